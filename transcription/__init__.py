"""Transcription with speakers: Whisper, speculative decoding and pyannote behind one Transcriber."""

import os

__version__ = "0.1.0"

# OpenMP threads that spin while they wait would take the cores that other work needs. It must be set before torch.
os.environ.setdefault("OMP_WAIT_POLICY", "passive")
