"""EdgeEngine: a checkpoint that transcribe-export wrote, run by onnxruntime, without torch."""

from dataclasses import replace
from pathlib import Path

import numpy as np

from transcription.config import ModelSettings
from transcription.engines.batching.reading import read_window
from transcription.engines.batching.scheduler import Scheduler
from transcription.engines.batching.window import Window, WindowResult
from transcription.engines.edge.checkpoint import ExportedCheckpoint
from transcription.engines.edge.decoding import GreedyDecoder
from transcription.engines.edge.network import Network
from transcription.engines.edge.row import Decoded, Row
from transcription.engines.edge.worker import Worker
from transcription.engines.windowed import WindowedEngine
from transcription.errors import InvalidSettings
from transcription.whisper.alignment import starts_of
from transcription.whisper.checkpoint import SAMPLES_PER_FRAME, Whisper

_WINDOWS = 2  # decoded at a time if SLOTS is not set; each takes memory for its keys and values of cross-attention


class EdgeEngine(WindowedEngine):
    """An exported Whisper checkpoint. It can be called from several threads."""

    out_of_memory = 0
    """onnxruntime on a CPU does not report it: the system ends the process."""

    def __init__(self, settings: ModelSettings) -> None:
        """Load the networks.

        Raises InvalidSettings if they cannot be loaded, or a setting needs another engine.
        """
        _check(settings)
        checkpoint = ExportedCheckpoint.load(Path(settings.asr_model))
        whisper = Whisper(checkpoint, assisted=False)
        super().__init__(whisper, replace(whisper.capabilities, max_beams=1))
        decoder = GreedyDecoder(self.whisper, Network(checkpoint))
        size = settings.slots or _WINDOWS
        self._worker = Worker(size, self.whisper.detects_language, decoder.decode, self.read)

    @property
    def scheduler(self) -> Scheduler:
        """What chooses the next window."""
        return self._worker.scheduler

    def queue(self, window: Window) -> None:
        """Queue a window."""
        self._worker.submit(window)

    def read(self, row: Row, decoded: Decoded) -> WindowResult:
        """Return the segments of a row's tokens."""
        starts = None
        if decoded.attention:
            frames = -(-len(row.window.samples) // SAMPLES_PER_FRAME)
            starts = starts_of(np.stack(decoded.attention, axis=1)[..., :frames]).tolist()
        return read_window(self.whisper, row.window, decoded.result, starts, row.language, row.language_probability)


def _check(settings: ModelSettings) -> None:
    """Raise InvalidSettings if a setting has no effect here."""
    refused = {
        "ASSISTANT_MODEL": settings.assistant_model is not None,
        "ASR_REVISION": settings.asr_revision is not None,
        "QUANTIZATION": settings.quantization != "none",
        "DTYPE": settings.dtype not in ("auto", "float32"),
        "DEVICE": settings.device not in ("auto", "cpu"),
        "CUDA_GRAPHS": bool(settings.cuda_graphs),
    }
    for name, is_set in refused.items():
        if is_set:
            hint = "; transcribe-export --int8 writes 8-bit weights" if name == "QUANTIZATION" else ""
            raise InvalidSettings(f"{name} needs another engine: leave it out with ENGINE=onnx{hint}")
