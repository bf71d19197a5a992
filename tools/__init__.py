"""The code that made the demo models and the samples, from start to end."""

from transcription.torchaudio_patch import patch_torchaudio

patch_torchaudio()  # before any module here imports transformers or pyannote.audio
