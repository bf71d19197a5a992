"""Engines: audio in, transcript out.

To add an engine: write one module, and add one row to ENGINES.
"""

from collections.abc import Callable
from typing import Protocol

from transcription.audio import Audio
from transcription.config import InferenceConfig, ModelSettings
from transcription.context import RequestContext
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
