"""Transcriber: audio in, transcript with speakers out. Every interface of the package calls it."""

import logging
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import replace
from typing import TYPE_CHECKING

from transcription.audio import Audio, AudioLimits
from transcription.config import InferenceConfig, ModelSettings
from transcription.context import RequestContext
from transcription.diarization import SpeakerDiarizer, load_diarizer
from transcription.diarization.assign import assign_speakers
from transcription.diarization.channels import by_channel
from transcription.engines import ENGINES, Engine
from transcription.errors import EngineFailure, InvalidRequest, InvalidSettings, TranscriptionError
from transcription.transcript import SpeakerTurn, Transcript
from transcription.whisper.chinese import missing_warnings
from transcription.whisper.text_alignment import align_text

if TYPE_CHECKING:
    from transcription.diarization.result import Diarization

logger = logging.getLogger(__name__)


class Transcriber:
    """The loaded models. Safe to call from several threads."""

    def __init__(
        self, settings: ModelSettings, engine: Engine | None = None,
        load_diarizer: Callable[[ModelSettings], SpeakerDiarizer] = load_diarizer, needs_speakers: bool = False,
    ) -> None:  # fmt: skip
        """Load the models of the settings. With `engine` and `load_diarizer`, use models in other processes.

        If the diarization model cannot be loaded, log the error and transcribe without speakers; requests that
        require speakers fail with the same error.
        needs_speakers: raise this error instead, as no request goes without speakers.
        Raises InvalidSettings if the Whisper model cannot be loaded.
        """
        self.settings = settings
        self.engine = engine or ENGINES[settings.engine](settings)
        self.limits = AudioLimits(settings.max_audio_bytes, settings.max_audio_seconds or None)
        self.failures = 0
        """Number of consecutive requests on which the models failed."""
        self.diarizer: SpeakerDiarizer | None = None
        self._diarizer_error = "no diarization model is loaded: set DIARIZATION_MODEL"
        if settings.diarization_model is not None:
            try:
                self.diarizer = load_diarizer(settings)
            except InvalidSettings as error:
                if needs_speakers:
                    raise
                self._diarizer_error = str(error)
                logger.error("transcribing without speakers: %s", error)

    def transcribe(self, audio: Audio, config: InferenceConfig, context: RequestContext | None = None) -> Transcript:
        """Return the transcript of `audio`, with speakers if the request and the settings ask for them.

        Raises InvalidRequest, EngineFailure, Cancelled.
        """
        config, context = self._with_service_settings(config), context or RequestContext()
        self.check(config)
        try:
            with as_engine_failure():
                transcript = self._transcribe(audio, config, context)
        except EngineFailure:
            self.failures += 1
            raise
        self.failures = 0
        return transcript.with_warnings(*missing_warnings(transcript, config))

    def check(self, config: InferenceConfig, param: str = "diarize") -> None:
        """Check a request before its audio is loaded. `param` is the parameter that asks for speakers.

        Raises InvalidRequest if it requires speakers or voices and no diarization model is loaded.
        """
        if self.diarizer is None and config.needs_voices:
            param = "known_speakers" if config.known_speakers else "voiceprints"
            raise InvalidRequest(f"{param} needs speakers, and {self._diarizer_error}", param)
        needs_diarizer = config.diarize and not config.multichannel and config.turns is None
        if self.diarizer is None and needs_diarizer:
            raise InvalidRequest(self._diarizer_error, param)

    def with_requested_words(self, transcript: Transcript, config: InferenceConfig) -> Transcript:
        """Return the transcript without words, unless the request or the settings ask for the times of words."""
        return _with_requested_words(transcript, self._with_service_settings(config))

    def _transcribe(self, audio: Audio, config: InferenceConfig, context: RequestContext) -> Transcript:
        if config.multichannel:
            return self._transcribe_channels(audio, config, context)
        if config.turns is not None:
            return self._transcribe_with_turns(config.turns, audio, config, context)
        if self.diarizer is None:
            return self._warn_about_speakers(self._text_of(audio, config, context), config)
        if config.diarize is False:
            return self._text_of(audio, config, context)
        return self._transcribe_and_diarize(self.diarizer, audio, config, context)

    def _text_of(self, audio: Audio, config: InferenceConfig, context: RequestContext) -> Transcript:
        """Return the transcript without speakers, with the words of `align` if the request has them."""
        if config.align is None:
            return self.engine.transcribe(audio, config, context)
        # The text is known, so greedy decoding is enough: it is faster.
        changes = {"align": None, "timestamps": "word", "beam_size": config.beam_size or 1}
        heard = self.engine.transcribe(audio, config.model_copy(update=changes), context)
        aligned = self.engine.force(audio, align_text(heard, config.align), config, context)
        return _with_requested_words(aligned, config)

    def _transcribe_with_turns(
        self, turns: Sequence[SpeakerTurn], audio: Audio, config: InferenceConfig, context: RequestContext
    ) -> Transcript:
        """Assign the turns of the request instead of those of the diarizer."""
        word_config = config.model_copy(update={"timestamps": "word"})
        transcript = assign_speakers(self._text_of(audio, word_config, context), turns)
        late = sum(turn.start >= audio.duration for turn in turns)
        warnings = [f"{late} of {len(turns)} turns start after the end of the recording"] if late else []
        return _with_requested_words(transcript, config).with_warnings(*warnings)

    def _transcribe_and_diarize(
        self, diarizer: SpeakerDiarizer, audio: Audio, config: InferenceConfig, context: RequestContext
    ) -> Transcript:
        """Run both at the same time. This is faster on two CPU cores too (benchmarks/README.md).

        A sample of a known speaker that cannot be used ends the transcription.
        """
        word_config = config.model_copy(update={"timestamps": "word"})  # the speaker can change between any two words
        with context.child() as diarization_context, ThreadPoolExecutor(1) as thread:
            future = thread.submit(diarizer.diarize, audio, config, diarization_context)
            future.add_done_callback(lambda done: context.cancel() if _refusal(done) else None)
            try:
                transcript = self._text_of(audio, word_config, context)
            except BaseException:
                diarization_context.cancel()
                if refusal := future.done() and _refusal(future):
                    raise refusal from None
                raise
            try:
                diarization = future.result()
            except InvalidRequest:
                raise
            except Exception:
                context.check_cancelled()
                if config.diarize or config.needs_voices:
                    raise
                logger.exception("diarization failed")
                transcript = _with_requested_words(transcript, config)
                return transcript.with_warnings("speakers are missing: diarization failed")
        transcript = assign_speakers(transcript, diarization.turns, diarization.exclusive)
        transcript = replace(transcript, matches=diarization.matches)
        if config.voiceprints:
            transcript = replace(transcript, voiceprints=diarization.voiceprints)
        return _with_requested_words(transcript, config).with_warnings(*diarization.warnings)

    def _warn_about_speakers(self, transcript: Transcript, config: InferenceConfig) -> Transcript:
        """Add a warning if the settings or the request ask for speakers, and no diarization model is loaded."""
        is_configured = self.settings.diarization_model is not None and config.diarize is None
        if not is_configured and not config.speaker_hints:
            return transcript
        return transcript.with_warnings(f"speakers are missing: {self._diarizer_error}")

    def _transcribe_channels(self, audio: Audio, config: InferenceConfig, context: RequestContext) -> Transcript:
        """Transcribe each channel separately. The number of the channel is the speaker."""
        channels = [audio.samples] if audio.channels is None else list(audio.channels)
        if len(channels) > 1:
            config = config.model_copy(update={"vad_filter": True})  # a channel is silent while the others talk
        transcripts = []
        for number, samples in enumerate(channels):
            channel = Audio(samples, audio.sample_rate, audio.partial)
            with context.child(number, len(channels)) as channel_context:
                transcripts.append(self.engine.transcribe(channel, config, channel_context))
        return by_channel(transcripts)

    def _with_service_settings(self, config: InferenceConfig) -> InferenceConfig:
        """Return the request with LANGUAGE_FORCE, and the defaults TIMESTAMPS and CHUNK_LENGTH_S, of the settings."""
        settings = self.settings
        changes: dict[str, object] = {
            "language": settings.language_force or config.language,
            "timestamps": config.timestamps or ("word" if config.align else settings.timestamps),
        }
        if settings.chunk_length_s and "chunk_length_s" not in config.model_fields_set:
            changes["chunk_length_s"] = settings.chunk_length_s
        return config.model_copy(update=changes)


def _refusal(done: "Future[Diarization]") -> InvalidRequest | None:
    """Return why the diarizer refuses the request, None if it does not."""
    error = None if done.cancelled() else done.exception()
    return error if isinstance(error, InvalidRequest) else None


def _with_requested_words(transcript: Transcript, config: InferenceConfig) -> Transcript:
    """Remove the words if the request does not ask for word timestamps."""
    return transcript if config.timestamps == "word" else transcript.without_words()


@contextmanager
def as_engine_failure() -> Iterator[None]:
    """Replace unexpected errors by EngineFailure: the message of a library may contain paths or secrets."""
    try:
        yield
    except TranscriptionError:
        raise
    except Exception as error:
        logger.exception("transcription failed")
        if "out of memory" in str(error).lower():
            raise EngineFailure("the model ran out of memory: send a smaller batch_size or shorter audio") from None
        raise EngineFailure("transcription failed inside the model: see the log") from None
