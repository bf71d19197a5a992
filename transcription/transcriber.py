"""Transcriber: audio in, labelled transcript out. What every door calls."""

import logging
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import replace
from typing import TYPE_CHECKING, Protocol

from transcription.audio import Audio, AudioLimits
from transcription.config import InferenceConfig, ModelSettings
from transcription.context import RequestContext
from transcription.diarization.assign import assign_speakers, by_channel
from transcription.engines import ENGINES, Engine
from transcription.errors import EngineFailure, InvalidRequest, InvalidSettings, TranscriptionError
from transcription.transcript import Transcript

if TYPE_CHECKING:
    from transcription.diarization.pyannote import Diarization

logger = logging.getLogger(__name__)


class Diarizes(Protocol):
    """Tells who speaks when. Safe to call from several threads."""

    def diarize(self, audio: Audio, config: InferenceConfig, context: RequestContext | None = None) -> "Diarization":
        """Who speaks when in `audio` (16 kHz). Raises Cancelled."""
        ...


def _diarizer(settings: ModelSettings) -> Diarizes:
    from transcription.diarization.pyannote import Diarizer  # here, as pyannote takes seconds to import

    return Diarizer(settings)


class Transcriber:
    """The service itself: models loaded once from the settings. Safe to call from several threads."""

    def __init__(
        self, settings: ModelSettings, engine: Engine | None = None,
        diarizer: Callable[[ModelSettings], Diarizes] = _diarizer,
    ) -> None:  # fmt: skip
        """Loads the models, or takes an engine and a diarizer that are elsewhere. Raises InvalidSettings.

        A diarization model that cannot be loaded is logged, and said to those who ask for speakers:
        transcription goes on without it.
        """
        self.settings = settings
        self.engine = engine or ENGINES[settings.engine](settings)
        self.limits = AudioLimits(settings.max_audio_bytes, settings.max_audio_seconds)
        self.failures = 0
        """Requests in a row that the models failed on."""
        self.diarizer: Diarizes | None = None
        self._no_speakers = "no diarization model is loaded: set DIARIZATION_MODEL"
        if settings.diarization_model is not None:
            self._load_diarizer(diarizer)

    def transcribe(self, audio: Audio, config: InferenceConfig, context: RequestContext | None = None) -> Transcript:
        """What is said in `audio`, and by whom where that is asked for.

        Raises InvalidRequest, EngineFailure, and Cancelled when the context is stopped.
        """
        config, context = self._resolved(config), context or RequestContext()
        self.check(config)
        try:
            with as_engine_failure():
                transcript = self._heard(audio, config, context)
        except EngineFailure:
            self.failures += 1
            raise
        self.failures = 0
        return transcript

    def check(self, config: InferenceConfig, param: str = "diarize") -> None:
        """Check what is known before the audio is read. `param` is the parameter that asks for speakers.

        Raises InvalidRequest if the request needs speakers and no diarization model is loaded.
        """
        if self.diarizer is None and config.diarize and not config.multichannel:
            raise InvalidRequest(self._no_speakers, param)

    def _heard(self, audio: Audio, config: InferenceConfig, context: RequestContext) -> Transcript:
        if config.multichannel:
            return self._channel_by_channel(audio, config, context)
        if self.diarizer is None or config.diarize is False:
            return self._without_speakers(self.engine.transcribe(audio, config, context), config)
        return self._with_speakers(self.diarizer, audio, config, context)

    def _load_diarizer(self, load: Callable[[ModelSettings], Diarizes]) -> None:
        try:
            self.diarizer = load(self.settings)
        except InvalidSettings as error:
            self._no_speakers = str(error)
            logger.error("going on without speakers: %s", error)

    def _with_speakers(
        self, diarizer: Diarizes, audio: Audio, config: InferenceConfig, context: RequestContext
    ) -> Transcript:
        """Transcribed and diarized at the same time, which two CPU cores also gain from (benchmarks/README.md)."""
        timed = config.model_copy(update={"timestamps": "word"})  # speakers change between words
        with context.child() as aside, ThreadPoolExecutor(1) as beside:
            future = beside.submit(diarizer.diarize, audio, config, aside)
            try:
                transcript = self.engine.transcribe(audio, timed, context)
            except BaseException:
                aside.cancel()
                raise
            try:
                found = future.result()
            except Exception:
                context.check_cancelled()
                if config.diarize:
                    raise
                logger.exception("diarization failed")
                return _told(_at(transcript, config), "speakers are missing: diarization failed")
        labelled = assign_speakers(transcript, found.turns, found.exclusive)
        return _told(_at(labelled, config), *found.warnings)

    def _without_speakers(self, transcript: Transcript, config: InferenceConfig) -> Transcript:
        """What was wanted or configured, and cannot be done, is said."""
        if self.diarizer is not None:  # diarize: false
            return transcript
        expected = self.settings.diarization_model is not None and config.diarize is None
        if not expected and not config.speaker_hints:
            return transcript
        return _told(transcript, f"speakers are missing: {self._no_speakers}")

    def _channel_by_channel(self, audio: Audio, config: InferenceConfig, context: RequestContext) -> Transcript:
        """Every channel transcribed by itself; its speaker is its number."""
        channels = [audio.samples] if audio.channels is None else list(audio.channels)
        if len(channels) > 1:
            config = config.model_copy(update={"vad_filter": True})  # a channel is silent while the others talk
        parts = []
        for number, samples in enumerate(channels):
            one = Audio(samples, audio.sample_rate, audio.partial)
            with context.child(number, len(channels)) as branch:
                parts.append(self.engine.transcribe(one, config, branch))
        return by_channel(parts)

    def _resolved(self, config: InferenceConfig) -> InferenceConfig:
        """The request with the service's defaults and orders in it."""
        return config.model_copy(
            update={
                "language": self.settings.language_force or config.language,
                "timestamps": config.timestamps or self.settings.timestamps,
            }
        )


def _at(transcript: Transcript, config: InferenceConfig) -> Transcript:
    """With the word times left out again where they were not asked for."""
    if config.timestamps == "word":
        return transcript
    return replace(transcript, segments=tuple(replace(segment, words=()) for segment in transcript.segments))


def _told(transcript: Transcript, *warnings: str) -> Transcript:
    return replace(transcript, warnings=(*transcript.warnings, *warnings))


@contextmanager
def as_engine_failure() -> Iterator[None]:
    """A failure that nobody foresaw, as an EngineFailure: a library's message may show paths or secrets."""
    try:
        yield
    except TranscriptionError:
        raise
    except Exception as error:
        logger.exception("transcription failed")
        if "out of memory" in str(error).lower():
            raise EngineFailure("the model ran out of memory: send a smaller batch_size or shorter audio") from None
        raise EngineFailure("transcription failed inside the model: the log says why") from None
