"""InferenceConfig: the parameters of one request."""

from collections.abc import Mapping
from typing import Any, Self

from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from transcription.config.fields import (
    FALLBACK_TEMPERATURES,
    MULTILINGUAL,
    Assisted,
    BeamSize,
    ChineseScript,
    Language,
    Seed,
    SpeakerCount,
    SpokenText,
    Strings,
    Task,
    Temperatures,
    Timestamps,
    UnicodeText,
    describe,
)
from transcription.config.known_speakers import KNOWN_SPEAKER_THRESHOLD, KnownSpeakers
from transcription.config.speaker_turns import Turns
from transcription.errors import InvalidRequest


class InferenceConfig(BaseModel):
    """The parameters of one request. request_parameters.parse_request reads them, and names the unknown ones."""

    model_config = ConfigDict(extra="ignore", frozen=True)

    task: Task = Field(
        "transcribe", description="transcribe: write the spoken language. translate: translate to English."
    )
    language: Language = Field(
        None,
        description="Spoken language: a code (de), a tag (pt-BR) or an English name (German). If not set, it is"
        " detected. multi: the recording has several languages.",
    )
    languages: Strings = Field(
        (), description="Languages that detection may choose from. If not set: all languages of the model."
    )
    chinese_script: ChineseScript | None = Field(
        None,
        description="Characters of Chinese text: simplified, traditional, or unchanged (as the model writes them, which"
        " is often a mixture). If not set: traditional if language is zh-TW, zh-HK, zh-MO or zh-Hant, else simplified.",
    )
    timestamps: Timestamps | None = Field(
        None, description="Times in the response: none, segment or word. If not set: the setting TIMESTAMPS."
    )
    prompt: UnicodeText | None = Field(
        None, description="Text that comes before the audio. It gives context and the spelling of names."
    )
    keywords: Strings = Field((), description="Words to expect, e.g. names. The model reads them before the prompt.")
    align: SpokenText | None = Field(
        None,
        description="The text that is spoken. The answer has this text with the times of its words, and marks the words"
        " that are not said.",
    )
    temperature: Temperatures = Field(
        FALLBACK_TEMPERATURES,
        description="Sampling temperature. With a list (temperature fallback), a window is decoded again at the next"
        " temperature if it fails compression_ratio_threshold or logprob_threshold.",
    )
    beam_size: BeamSize | None = Field(
        None,
        description="Number of beams at temperature 0; 1 is greedy decoding. If not set: 1 with ASSISTANT_MODEL,"
        " ENGINE=transformers or ENGINE=onnx, which cannot search with beams, else 5.",
    )
    patience: float = Field(
        1.0, gt=0, le=10, description="Beam search ends when beam_size × patience candidates are found."
    )
    length_penalty: float | None = Field(
        None,
        ge=0,
        le=1,
        description="Exponent of the length by which the score of a candidate is divided (Google NMT). If not set: the"
        " score is the mean log-probability of its tokens.",
    )
    seed: Seed = Field(0, description="Seed of sampling. The same request with the same seed gives the same text.")
    compression_ratio_threshold: float | None = Field(
        2.4,
        gt=0,
        description="Maximum zlib compression ratio of the text of a window. More means repetition, if a phrase is"
        " there four times in a row.",
    )
    logprob_threshold: float | None = Field(
        -1.0, le=0, description="Minimum avg_logprob of a window: the mean log-probability of its tokens."
    )
    no_speech_threshold: float | None = Field(
        0.6,
        ge=0,
        le=1,
        description="Treat a window as silence if no_speech_prob is above this and avg_logprob is below"
        " logprob_threshold.",
    )
    batch_size: int = Field(
        24, ge=1, le=256, description="Maximum number of windows of this request that are decoded at the same time."
    )
    assisted: Assisted = Field(
        "auto",
        description="Use speculative decoding with ASSISTANT_MODEL: true, false, or auto (while it is faster)."
        " The text is the same.",
    )
    chunk_length_s: float = Field(30.0, ge=1, le=30, description="Maximum length of a window, in seconds.")
    sequential: bool = Field(
        False,
        description="Decode one window after the other, like openai/whisper: each starts at the end of the last"
        " complete segment.",
    )
    vad_filter: bool = Field(False, description="Skip long pauses and join the speech between them into fewer windows.")
    vad_threshold: float = Field(
        0.3, ge=0, le=1, description="With vad_filter: minimum speech probability of a frame that counts as speech."
    )
    vad_silence_ms: int = Field(
        2000, ge=100, le=60_000, description="With vad_filter: minimum length of a pause to skip, in milliseconds."
    )
    vad_padding_ms: int = Field(
        400, ge=0, le=10_000, description="With vad_filter: audio to keep before and after speech, in milliseconds."
    )
    logprobs: bool = Field(False, description="Return the log-probability of each token. Only in the json format.")
    sampling_rate: int = Field(
        16_000, gt=0, description="Ignored: the sample rate is read from the audio file. Old clients send it."
    )
    diarize: bool | None = Field(
        None, description="Assign a speaker to each word. If not set: only if DIARIZATION_MODEL is set."
    )
    num_speakers: SpeakerCount = Field(None, description="Exact number of speakers, if it is known.")
    min_speakers: SpeakerCount = Field(None, description="Minimum number of speakers.")
    max_speakers: SpeakerCount = Field(None, description="Maximum number of speakers.")
    turns: Turns | None = Field(
        None,
        description="Who speaks when, if it is known: a list of {start, end, speaker}, in seconds, or RTTM of one"
        " file. It is used instead of DIARIZATION_MODEL.",
    )
    known_speakers: KnownSpeakers = Field(
        (),
        description="Names of people, and how each sounds: an object of names and references. A reference is a sample"
        " of 2 to 30 seconds in which nobody else talks, as base64 text or data URI, or a voiceprint.",
    )
    known_speaker_threshold: float = Field(
        KNOWN_SPEAKER_THRESHOLD,
        ge=0,
        le=1,
        description="Minimum cosine similarity of a voice and the reference of a known speaker who gets the name.",
    )
    voiceprints: bool = Field(
        False, description="Return a voiceprint of each speaker, which later requests can send in known_speakers."
    )
    multichannel: bool = Field(
        False,
        description="Transcribe each channel separately, as one speaker per channel (phone calls). It does not use"
        " DIARIZATION_MODEL.",
    )
    max_line_width: int = Field(
        42,
        ge=8,
        le=200,
        description="In subtitles: maximum width of a line. A full-width character, e.g. a Chinese one, counts twice.",
    )
    max_line_count: int = Field(2, ge=1, le=10, description="In subtitles: maximum number of lines of a cue.")
    max_words_per_line: int | None = Field(
        None, ge=1, description="In subtitles: maximum number of words in a line. If not set: as many as fit."
    )
    highlight_words: bool = Field(False, description="In srt and vtt: underline each word while it is spoken.")
    min_cue_s: float = Field(
        0.8, ge=0, le=10, description="In subtitles: minimum time of a cue, in seconds, if the next one leaves it."
    )
    max_cue_s: float = Field(7.0, ge=1, le=60, description="In subtitles: maximum time of a cue, in seconds.")
    max_chars_per_s: float = Field(
        21.0,
        gt=0,
        description="In subtitles: a cue stays long enough for this reading speed, in characters per second, if the"
        " next one leaves the time.",
    )
    cue_gap_ms: int = Field(80, ge=0, le=1000, description="In subtitles: minimum gap between cues, in milliseconds.")

    @model_validator(mode="before")
    @classmethod
    def _drop_nulls(cls, values: Any) -> Any:
        if not isinstance(values, Mapping):
            return values
        return {name: value for name, value in values.items() if value is not None}

    @model_validator(mode="after")
    def _check_combinations(self) -> Self:
        min_speakers, max_speakers = self.min_speakers or 1, self.max_speakers or 100
        if min_speakers > max_speakers:
            raise ValueError("min_speakers is larger than max_speakers")
        if self.num_speakers and not min_speakers <= self.num_speakers <= max_speakers:
            raise ValueError("num_speakers is not between min_speakers and max_speakers")
        if self.sequential and (self.multichannel or self.vad_filter):
            raise ValueError("sequential cannot be combined with vad_filter or multichannel")
        if self.languages and not self.detects_language:
            raise ValueError("language cannot be combined with languages: send one of them")
        if self.multichannel and (self.diarize or self.speaker_hints):
            raise ValueError("multichannel cannot be combined with diarize or speaker counts")
        if self.align is not None and (self.task == "translate" or self.multichannel or self.logprobs):
            raise ValueError("align cannot be combined with task translate, multichannel or logprobs")
        if self.turns is not None and (self.multichannel or self.diarize is False or self.speaker_hints):
            raise ValueError("turns cannot be combined with multichannel, diarize false or speaker counts")
        if self.turns is not None and self.needs_voices:
            raise ValueError("turns cannot be combined with known_speakers or voiceprints: they need diarization")
        if self.needs_voices and (self.multichannel or self.diarize is False):
            raise ValueError("known_speakers and voiceprints need diarization: leave multichannel and diarize out")
        names = [known.name for known in self.known_speakers]
        if repeated := [name for name in names if names.count(name) > 1]:
            raise ValueError(f"known_speakers has {repeated[0]!r} twice: give each person another name")
        if self.min_cue_s > self.max_cue_s:
            raise ValueError("min_cue_s is larger than max_cue_s")
        return self

    @property
    def is_multilingual(self) -> bool:
        """Whether the recording has several languages."""
        return self.language == MULTILINGUAL

    @property
    def detects_language(self) -> bool:
        """Whether the language is to be detected."""
        return self.language is None or self.is_multilingual

    @property
    def speaker_hints(self) -> bool:
        """Whether the request limits the number of speakers."""
        return any((self.num_speakers, self.min_speakers, self.max_speakers))

    @property
    def needs_voices(self) -> bool:
        """Whether the request compares or returns voices."""
        return bool(self.known_speakers) or self.voiceprints

    @classmethod
    def from_request(cls, parameters: object) -> Self:
        """Return the parameters of a request under our names; None and {} are the defaults.

        Raises InvalidRequest if a value is wrong.
        """
        if parameters is None:
            parameters = {}
        if not isinstance(parameters, Mapping):
            raise InvalidRequest('parameters must be an object, e.g. {"language": "en"}')
        try:
            return cls.model_validate(dict(parameters))
        except ValidationError as error:
            location = error.errors()[0]["loc"]
            raise InvalidRequest(describe(error), str(location[0]) if location else None) from None
