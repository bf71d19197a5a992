"""WindowedEngine: what the engines share that decode windows in this process. It needs no torch."""

from abc import ABC, abstractmethod
from concurrent.futures import Future

import numpy as np

from transcription.audio import SAMPLE_RATE, Audio, Samples
from transcription.config import InferenceConfig
from transcription.context import RequestContext
from transcription.engines.batching.longform import LongFormTranscriber
from transcription.engines.batching.scheduler import Scheduler
from transcription.engines.batching.window import (
    DEFAULT_OPTIONS,
    DecodingRequest,
    Window,
    WindowOptions,
    WindowResult,
)
from transcription.transcript import Transcript
from transcription.whisper.capabilities import Capabilities
from transcription.whisper.checkpoint import Whisper


class WindowedEngine(ABC):
    """A Whisper checkpoint, and the windows that wait for it. It can be called from several threads."""

    def __init__(self, whisper: Whisper, capabilities: Capabilities) -> None:
        """Use a model with these capabilities."""
        self.whisper = whisper
        self._longform = LongFormTranscriber(self, capabilities)

    @property
    @abstractmethod
    def scheduler(self) -> Scheduler:
        """What chooses the next window."""

    @abstractmethod
    def queue(self, window: Window) -> None:
        """Queue a window. Its future must end with a result or an error."""

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

    def preview(self, samples: Samples, config: InferenceConfig, prefix: str = "") -> Future[WindowResult]:
        """Queue up to 30 s of speech that goes on, and return the future of its words (engines.Engine)."""
        return self._longform.preview(samples, config, prefix)

    def force(
        self, audio: Audio, aligned: Transcript, config: InferenceConfig, context: RequestContext | None = None
    ) -> Transcript:
        """Return the text as it is: this engine cannot force its decoder (engines.Engine)."""
        return aligned

    def submit(
        self, request: DecodingRequest, samples: Samples, options: WindowOptions = DEFAULT_OPTIONS
    ) -> Future[WindowResult]:
        """Queue a window of a request, whose other windows may be decoded elsewhere (window.WindowDecoder)."""
        if request.context_tokens is None:
            request.context_tokens = self.whisper.context_tokens(request.config)
        window = Window(request, samples, options)
        self.queue(window)
        return window.future

    def queue_limit(self, request: DecodingRequest) -> int:
        """Return how many windows of the request may be submitted and not finished."""
        return self.scheduler.queue_limit(request)
