"""How speech becomes text: the Engine protocol, and the engines that keep it.

To add one: a module, and a row of ENGINES.
"""

from collections.abc import Callable
from typing import Protocol

from transcription.audio import Audio
from transcription.config import InferenceConfig, ModelSettings
from transcription.context import RequestContext
from transcription.torchaudio_patch import patch_torchaudio
from transcription.transcript import Transcript

patch_torchaudio()  # before any module here, or above, imports transformers or pyannote.audio


class Engine(Protocol):
    """Speech to text. Safe to call from several threads."""

    @property
    def out_of_memory(self) -> int:
        """How often the device's memory has run out."""
        ...

    def transcribe(self, audio: Audio, config: InferenceConfig, context: RequestContext | None = None) -> Transcript:
        """What is said in `audio` (16 kHz). Raises InvalidRequest, EngineFailure, Cancelled."""
        ...


def _transformers(settings: ModelSettings) -> Engine:
    from transcription.engines.hf_generate import HFGenerateEngine

    return HFGenerateEngine(settings)


def _batching(settings: ModelSettings) -> Engine:
    from transcription.engines.batching.engine import BatchingEngine

    return BatchingEngine(settings)


ENGINES: dict[str, Callable[[ModelSettings], Engine]] = {
    "batching": _batching,
    "transformers": _transformers,
}
"""Each loads its models; raises InvalidSettings."""
