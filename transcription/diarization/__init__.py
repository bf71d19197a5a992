"""Speaker diarization, and the assignment of speakers to words.

To add a diarizer: write one module, and add one row to DIARIZERS.
"""

from collections.abc import Callable
from typing import TYPE_CHECKING, Protocol

from transcription.audio import Audio
from transcription.config import InferenceConfig, ModelSettings
from transcription.context import RequestContext
from transcription.errors import InvalidSettings

if TYPE_CHECKING:
    from transcription.diarization.result import Diarization


class SpeakerDiarizer(Protocol):
    """Finds who speaks when. Safe to call from several threads."""

    def diarize(self, audio: Audio, config: InferenceConfig, context: RequestContext | None = None) -> "Diarization":
        """Return the speaker turns of `audio` (16 kHz), with the speaker counts of the request.

        Raises EngineFailure, Cancelled.
        """
        ...


def _pyannote(settings: ModelSettings) -> SpeakerDiarizer:
    try:
        from transcription.diarization.pyannote import Diarizer  # here, because pyannote takes seconds to import
    except ModuleNotFoundError:  # ENGINE=onnx runs without torch
        raise InvalidSettings("DIARIZATION_MODEL needs torch and pyannote.audio: install both, or unset it") from None
    return Diarizer(settings)


DIARIZERS: dict[str, Callable[[ModelSettings], SpeakerDiarizer]] = {"pyannote": _pyannote}
"""The values of DIARIZER. Each loads DIARIZATION_MODEL, and raises InvalidSettings if it cannot."""


def load_diarizer(settings: ModelSettings) -> SpeakerDiarizer:
    """Load DIARIZATION_MODEL in this process, with the row of DIARIZERS that the settings name.

    Raises InvalidSettings if it cannot be loaded.
    """
    return DIARIZERS[settings.diarizer](settings)
