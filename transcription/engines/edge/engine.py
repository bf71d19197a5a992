"""EdgeEngine: a checkpoint that transcribe-export wrote, run by onnxruntime, without torch."""

from concurrent.futures import Future
from dataclasses import replace
from pathlib import Path

import numpy as np

from transcription.audio import SAMPLE_RATE, Audio, Samples
from transcription.config import InferenceConfig, ModelSettings
from transcription.context import RequestContext
from transcription.engines.batching.longform import LongFormTranscriber
from transcription.engines.batching.reading import read_window
from transcription.engines.batching.window import DecodingRequest, Window, WindowResult
from transcription.engines.edge.checkpoint import ExportedCheckpoint
from transcription.engines.edge.decoding import GreedyDecoder
from transcription.engines.edge.network import Network
from transcription.engines.edge.row import Row
from transcription.engines.edge.worker import Worker
from transcription.errors import InvalidSettings
from transcription.transcript import Transcript
from transcription.whisper.alignment import starts_of
from transcription.whisper.checkpoint import SAMPLES_PER_FRAME, Whisper

_WINDOWS = 2  # decoded at a time if SLOTS is not set: more take memory and save little time on one core


class EdgeEngine:
    """An exported Whisper checkpoint. It can be called from several threads."""

    out_of_memory = 0
    """onnxruntime on a CPU does not report it: the system ends the process."""

    def __init__(self, settings: ModelSettings) -> None:
        """Load the networks.

        Raises InvalidSettings if they cannot be loaded, or a setting needs another engine.
        """
        _check(settings)
        checkpoint = ExportedCheckpoint.load(Path(settings.asr_model))
        self.whisper = Whisper(checkpoint, assisted=False)
        decoder = GreedyDecoder(self.whisper, Network(checkpoint))
        size = settings.slots or _WINDOWS
        self._worker = Worker(size, self.whisper.detects_language, decoder.decode, self._finish)
        self._longform = LongFormTranscriber(self, replace(self.whisper.capabilities, max_beams=1))

    def warm_up(self) -> None:
        """Decode a second of silence.

        Raises EngineFailure if the model fails.
        """
        request = DecodingRequest(InferenceConfig(timestamps="word"), is_short=True)
        self.submit(request, np.zeros(SAMPLE_RATE, np.float32)).result()

    def transcribe(self, audio: Audio, config: InferenceConfig, context: RequestContext | None = None) -> Transcript:
        """Return the transcript of audio at 16 kHz.

        Raises InvalidRequest, EngineFailure, or Cancelled if the context is cancelled.
        """
        return self._longform.transcribe(audio, config, context or RequestContext())

    def preview(self, samples: Samples, config: InferenceConfig) -> Future[WindowResult]:
        """Queue up to 30 s of speech that goes on, and return the future of its words (engines.Engine)."""
        return self._longform.preview(samples, config)

    def submit(self, request: DecodingRequest, samples: Samples, language: str | None = None) -> Future[WindowResult]:
        """Queue a window of a request (window.WindowDecoder)."""
        if request.context_tokens is None:
            request.context_tokens = self.whisper.context_tokens(request.config)
        window = Window(request, samples, language=language)
        self._worker.submit(window)
        return window.future

    def queue_limit(self, request: DecodingRequest) -> int:
        """Return how many windows of the request may be submitted and not finished."""
        return self._worker.scheduler.queue_limit(request)

    def _finish(self, row: Row) -> None:
        """Resolve the window of a decoded row."""
        if row.decoded is None:
            return
        result, attention, starts = row.decoded.result, row.decoded.attention, None
        if attention:
            frames = -(-len(row.window.samples) // SAMPLES_PER_FRAME)
            starts = starts_of(np.stack(attention, axis=1)[..., :frames]).tolist()
        row.window.resolve(
            read_window(self.whisper, row.window, result, starts, row.language, row.language_probability)
        )


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
