"""Engines: audio in, transcript out.

To add an engine: write one module, and add one row to ENGINES.
"""

from collections.abc import Callable
from concurrent.futures import Future
from typing import Protocol

from transcription.audio import Audio, Samples
from transcription.config import InferenceConfig, ModelSettings
from transcription.context import RequestContext
from transcription.engines.batching.window import WindowResult
from transcription.transcript import Transcript


class Engine(Protocol):
    """Speech to text. An engine can be called from several threads."""

    @property
    def out_of_memory(self) -> int:
        """How many times the device ran out of memory."""
        ...

    def warm_up(self) -> None:
        """Decode a second of silence, so that the first request does not wait for what is loaded on first use.

        Raises EngineFailure if the model fails.
        """
        ...

    def transcribe(self, audio: Audio, config: InferenceConfig, context: RequestContext | None = None) -> Transcript:
        """Return the transcript of audio at 16 kHz.

        Raises InvalidRequest, EngineFailure, or Cancelled if the context is cancelled.
        """
        ...

    def force(
        self, audio: Audio, aligned: Transcript, config: InferenceConfig, context: RequestContext | None = None
    ) -> Transcript:
        """Return a text that is aligned with audio at 16 kHz, with times from a decoder that is forced over it.

        An engine that cannot force its decoder returns the text as it is.
        Raises EngineFailure, or Cancelled if the context is cancelled.
        """
        ...

    def preview(self, samples: Samples, config: InferenceConfig, prefix: str = "") -> Future[WindowResult]:
        """Queue up to 30 s of speech that goes on, and return the future of its words, decoded greedily.

        prefix: its first words, which are known. An engine may decode them again.
        It goes before all requests. Cancelling the future drops it.
        Raises InvalidRequest; the future raises EngineFailure.
        """
        ...


def _batching(settings: ModelSettings) -> Engine:
    from transcription.engines.batching.engine import BatchingEngine

    return BatchingEngine(settings)


def _transformers(settings: ModelSettings) -> Engine:
    from transcription.engines.hf_generate import HFGenerateEngine

    return HFGenerateEngine(settings)


def _onnx(settings: ModelSettings) -> Engine:
    from transcription.engines.edge.engine import EdgeEngine

    return EdgeEngine(settings)


ENGINES: dict[str, Callable[[ModelSettings], Engine]] = {
    "batching": _batching,
    "transformers": _transformers,
    "onnx": _onnx,
}
"""The values of ENGINE. Each loads its models, and raises InvalidSettings if it cannot."""
