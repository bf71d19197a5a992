"""How speech becomes text: the Engine protocol, and the engines that keep it.

To add one: a module, and a row of ENGINES.
"""

from collections.abc import Callable
from typing import Protocol

from audio import Audio
from config import InferenceConfig, ModelSettings
from torch_guard import mend_torchaudio
from transcript import Transcript

mend_torchaudio()  # before any module here, or above, imports transformers or pyannote.audio

Progress = Callable[[float, float], None]
"""Told (seconds done, seconds in all) as windows finish."""


class Engine(Protocol):
    """Speech to text. Safe to call from several threads."""

    def transcribe(self, audio: Audio, config: InferenceConfig, progress: Progress | None = None) -> Transcript:
        """What is said in `audio` (16 kHz). Raises InvalidRequest, EngineFailure."""
        ...


def _transformers(settings: ModelSettings) -> Engine:
    from engines.generate import GenerateEngine

    return GenerateEngine(settings)


def _slots(settings: ModelSettings) -> Engine:
    from engines.slots.engine import SlotEngine

    return SlotEngine(settings)


ENGINES: dict[str, Callable[[ModelSettings], Engine]] = {
    "slots": _slots,
    "transformers": _transformers,
}
"""Each loads its models; raises InvalidSettings."""
