"""DiarizerReplica: tells who speaks when in whole recordings, one at a time."""

from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING

import numpy as np

from transcription.audio import Audio
from transcription.config import InferenceConfig, ModelSettings
from transcription.context import RequestContext, run_in_thread
from transcription.errors import InvalidSettings, TranscriptionError
from transcription.transcriber import as_engine_failure

if TYPE_CHECKING:
    from transcription.diarization.pyannote import Diarization

WAITING = 2
"""Recordings that one replica has at a time: one that is worked on, one that is on its way."""


class DiarizerReplica:
    """One replica: one pipeline. One that cannot be loaded says why, to whoever asks for speakers."""

    def __init__(self, settings: ModelSettings) -> None:
        from transcription.diarization.pyannote import Diarizer  # here, as pyannote takes seconds to import

        self._threads = ThreadPoolExecutor(WAITING, "recording")
        self._diarizer: Diarizer | None = None
        self._refusal: str | None = None
        try:
            self._diarizer = Diarizer(settings)
        except InvalidSettings as error:
            self._refusal = str(error)

    def refusal(self) -> str | None:
        """Why the pipeline cannot be loaded, None where it is."""
        return self._refusal

    async def diarize(self, audio: Audio, config: InferenceConfig) -> "Diarization | TranscriptionError":
        """Who speaks when. Whoever stops waiting for it ends the work."""
        diarizer, context = self._diarizer, RequestContext()
        if diarizer is None:
            return InvalidSettings(self._refusal or "")

        def work() -> "Diarization":
            samples = np.array(audio.samples)  # what Ray brings cannot be written to, and torch wants what can
            with as_engine_failure():
                return diarizer.diarize(Audio(samples, audio.sample_rate), config, context)

        try:
            return await run_in_thread(self._threads, work, context)
        except TranscriptionError as error:
            return error
