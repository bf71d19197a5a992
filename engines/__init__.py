"""How speech becomes text: the Engine protocol, and the engines that keep it.

To add one: a module, and a row of ENGINES.
"""

from collections.abc import Callable
from typing import Protocol

from audio import Audio
from config import InferenceConfig, ModelSettings
from torch_guard import mend_torchaudio
from transcript import Transcript
from watch import Watch

mend_torchaudio()  # before any module here, or above, imports transformers or pyannote.audio


class Engine(Protocol):
    """Speech to text. Safe to call from several threads."""

    @property
    def out_of_memory(self) -> int:
        """How often the device's memory has run out."""
        ...

    def transcribe(self, audio: Audio, config: InferenceConfig, watch: Watch | None = None) -> Transcript:
        """What is said in `audio` (16 kHz). Raises InvalidRequest, EngineFailure, Cancelled."""
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
