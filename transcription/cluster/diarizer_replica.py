"""DiarizerReplica: a diarization pipeline that other processes call."""

from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING

import numpy as np

from transcription.audio import Audio
from transcription.config import InferenceConfig, ModelSettings
from transcription.context import RequestContext, run_in_thread
from transcription.diarization import SpeakerDiarizer, load_diarizer
from transcription.errors import InvalidSettings, TranscriptionError
from transcription.transcriber import as_engine_failure

if TYPE_CHECKING:
    from transcription.diarization.result import Diarization

MAX_RECORDINGS = 2
"""Recordings that one replica accepts at the same time: while it diarizes one, the next one is already there."""


class DiarizerReplica:
    """One replica with one pipeline, which diarizes whole recordings, one after the other."""

    def __init__(self, settings: ModelSettings) -> None:
        """Load the pipeline. If that fails, the replica answers every call with the reason."""
        self._threads = ThreadPoolExecutor(MAX_RECORDINGS, "recording")
        self._diarizer: SpeakerDiarizer | None = None
        self._refusal: str | None = None
        try:
            self._diarizer = load_diarizer(settings)
        except InvalidSettings as error:
            self._refusal = str(error)

    def refusal(self) -> str | None:
        """Return why the pipeline cannot be loaded, None if it is loaded."""
        return self._refusal

    async def diarize(self, audio: Audio, config: InferenceConfig) -> "Diarization | TranscriptionError":
        """Return the speaker turns of a recording, or the error. Cancelling the call stops the work."""
        diarizer, context = self._diarizer, RequestContext()
        if diarizer is None:
            return InvalidSettings(self._refusal or "")

        def work() -> "Diarization":
            samples = np.array(audio.samples)  # a copy: arrays from Ray are read-only, and torch needs writable ones
            with as_engine_failure():
                return diarizer.diarize(Audio(samples, audio.sample_rate), config, context)

        try:
            return await run_in_thread(self._threads, work, context)
        except TranscriptionError as error:
            return error
