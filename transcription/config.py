"""The settings of the service (ModelSettings, from the environment) and of one request (InferenceConfig)."""

import logging
import re
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Annotated, Any, Literal, Self

from pydantic import (
    AfterValidator,
    AliasChoices,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    SecretStr,
    ValidationError,
    model_validator,
)
from pydantic_settings import BaseSettings, SettingsConfigDict

from transcription.errors import InvalidRequest, InvalidSettings

logger = logging.getLogger(__name__)

Task = Literal["transcribe", "translate"]
Timestamps = Literal["none", "segment", "word"]
DType = Literal["auto", "float32", "float16", "bfloat16"]
DIARIZATION_MODEL = "pyannote/speaker-diarization-community-1"
"""The pipeline for commands that diarize and name no other."""
FALLBACK_TEMPERATURES = (0.0, 0.2, 0.4, 0.6, 0.8, 1.0)  # openai/whisper, transcribe.py


def _none_if_blank(value: object) -> object:
    return None if isinstance(value, str) and value.strip().lower() in ("", "auto", "none") else value


def _current_engine_name(value: object) -> object:
    return "batching" if value == "slots" else value  # "slots" is the old name


def _split_numbers(value: object) -> object:
    """Return a list of temperatures; a query string has them as "0,0.2,0.4"."""
    if isinstance(value, str):
        return [part for part in re.split(r"[,\s]+", value.strip("[]() ")) if part]
    return value if isinstance(value, (list, tuple)) else [value]


def _check_unicode(text: str) -> str:
    """Refuse half of a surrogate pair: JSON can hold one, and no tokenizer reads it."""
    if any("\ud800" <= character <= "\udfff" for character in text):
        raise ValueError("the text is not valid Unicode: it contains half a character")
    return text


def split_list(value: object) -> object:
    """Return a list of strings; a query string has them as "de,en"."""
    return [part.strip() for part in value.split(",") if part.strip()] if isinstance(value, str) else value


UnicodeText = Annotated[str, AfterValidator(_check_unicode)]
ShortText = Annotated[str, Field(max_length=200)]
Strings = Annotated[tuple[ShortText, ...], BeforeValidator(split_list), Field(max_length=100)]
EngineName = Annotated[Literal["batching", "transformers"], BeforeValidator(_current_engine_name)]
Language = Annotated[str | None, BeforeValidator(_none_if_blank)]
Temperature = Annotated[float, Field(ge=0, le=1)]
Temperatures = Annotated[tuple[Temperature, ...], BeforeValidator(_split_numbers), Field(min_length=1, max_length=16)]
Assisted = Literal["auto"] | bool
SpeakerCount = Annotated[int | None, Field(ge=1, le=100)]


class ModelSettings(BaseSettings):
    """The settings of the models. Each is read from the environment variable of the same name in capitals."""

    model_config = SettingsConfigDict(
        env_ignore_empty=True, extra="ignore", populate_by_name=True, protected_namespaces=()
    )

    asr_model: str = Field(
        validation_alias=AliasChoices("ASR_MODEL", "MODEL_ID", "asr_model"),
        description="Whisper checkpoint: a Hub name or a directory.",
    )
    asr_revision: str | None = Field(None, description="Branch, tag or commit of ASR_MODEL.")
    assistant_model: str | None = Field(
        None, description="Smaller Whisper checkpoint with the same vocabulary, for speculative decoding."
    )
    assistant_revision: str | None = Field(None, description="Branch, tag or commit of ASSISTANT_MODEL.")
    diarization_model: str | None = Field(
        None,
        description="Speaker diarization pipeline of pyannote.audio, e.g. pyannote/speaker-diarization-community-1.",
    )
    diarization_revision: str | None = Field(None, description="Branch, tag or commit of DIARIZATION_MODEL.")
    diarization_batch_size: int = Field(
        32, ge=1, le=1024, description="Batch size of the neural networks in DIARIZATION_MODEL."
    )
    hf_token: SecretStr | None = Field(None, description="Hugging Face token for gated or private models.")
    dtype: DType = Field(
        "auto",
        description="Data type of the Whisper weights. auto: bfloat16 on GPUs with compute capability 8.0 or higher,"
        " float16 on other GPUs, float32 on CPU.",
    )
    device: str = Field("auto", description="Device of the models: auto, cpu, cuda, cuda:1 or mps.")
    engine: EngineName = Field(
        "batching",
        description="batching: decode the windows of all requests in one batch."
        " transformers: use the generation loop of transformers, one request at a time.",
    )
    slots: int | None = Field(
        None,
        ge=1,
        le=1024,
        description="Maximum number of windows in the batch of ENGINE=batching."
        " If not set: 24 on CPU, and on a GPU as many as its memory allows.",
    )
    cuda_graphs: bool = Field(
        False, description="Replay decoding steps as CUDA graphs. Experimental: the speed is not yet measured."
    )
    quantization: Literal["none", "int8"] = Field(
        "none", description="int8: use 8-bit weights in linear layers. Only for CPU."
    )
    attn_implementation: Literal["sdpa", "eager", "flash_attention_2"] = Field(
        "sdpa", description="Attention implementation of ENGINE=transformers. ENGINE=batching has its own."
    )
    language_force: Language = Field(
        None, description="Language of all requests. It replaces the language that a request asks for."
    )
    timestamps: Timestamps = Field("segment", description="Value of timestamps for requests that do not set it.")
    max_audio_seconds: float = Field(4 * 3600.0, gt=0, description="Maximum length of the audio, in seconds.")
    max_audio_bytes: int = Field(1024**3, gt=0, description="Maximum size of the audio file, in bytes.")

    @classmethod
    def from_environment(cls, path: str = "", **changes: Any) -> Self:
        """Return the settings of the environment, updated with `changes`.

        path: the directory of a checkpoint, used if ASR_MODEL is not set. A change of None has no effect.
        Raises InvalidSettings if a value is wrong or there is no model.
        """
        try:
            return cls(**{name: value for name, value in changes.items() if value is not None})
        except ValidationError as error:
            is_missing = any(details["type"] == "missing" for details in error.errors())
            if is_missing and path and Path(path, "config.json").is_file() and "asr_model" not in changes:
                return cls.from_environment(path="", **changes, asr_model=path)
            if is_missing:
                raise InvalidSettings(
                    "ASR_MODEL is not set: set it to a Whisper model, e.g. openai/whisper-large-v3-turbo"
                ) from None
            raise InvalidSettings(describe(error, str.upper)) from None


class InferenceConfig(BaseModel):
    """The parameters of one request. Unknown parameters are ignored and logged."""

    model_config = ConfigDict(extra="ignore", frozen=True)

    task: Task = Field(
        "transcribe", description="transcribe: write the spoken language. translate: translate to English."
    )
    language: Language = Field(
        None, description="Spoken language: a code (de) or an English name (german). If not set, it is detected."
    )
    languages: Strings = Field(
        (), description="Languages that detection may choose from. If not set: all languages of the model."
    )
    timestamps: Timestamps | None = Field(
        None, description="Times in the response: none, segment or word. If not set: the setting TIMESTAMPS."
    )
    prompt: UnicodeText | None = Field(
        None, description="Text that comes before the audio. It gives context and the spelling of names."
    )
    keywords: Strings = Field((), description="Words to expect, e.g. names. The model reads them before the prompt.")
    temperature: Temperatures = Field(
        (0.0,),
        description="Sampling temperature. With a list (temperature fallback), a window is decoded again at the next"
        " temperature if it fails compression_ratio_threshold or logprob_threshold.",
    )
    seed: int = Field(
        0,
        ge=0,
        lt=2**31,
        description="Seed of sampling. The same request with the same seed gives the same text.",
    )
    compression_ratio_threshold: float | None = Field(
        2.4, gt=0, description="Maximum zlib compression ratio of the text of a window; more means repetition."
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
        0.3, gt=0, lt=1, description="With vad_filter: minimum speech probability of a frame that counts as speech."
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
    multichannel: bool = Field(
        False,
        description="Transcribe each channel separately, as one speaker per channel (phone calls). It does not use"
        " DIARIZATION_MODEL.",
    )

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
        if self.language and self.languages:
            raise ValueError("language cannot be combined with languages: send one of them")
        if self.multichannel and (self.diarize or self.speaker_hints):
            raise ValueError("multichannel cannot be combined with diarize or speaker counts")
        return self

    @property
    def speaker_hints(self) -> bool:
        """Whether the request limits the number of speakers."""
        return any((self.num_speakers, self.min_speakers, self.max_speakers))

    @classmethod
    def from_request(cls, parameters: object) -> Self:
        """Return the parameters of a request; None and {} are the defaults.

        Raises InvalidRequest if a value is wrong.
        """
        if parameters is None:
            parameters = {}
        if not isinstance(parameters, Mapping):
            raise InvalidRequest('parameters must be an object, e.g. {"language": "en"}')
        unknown = sorted(str(name) for name in parameters if name not in cls.model_fields)
        if unknown:
            logger.warning("ignored unknown parameters: %s", ", ".join(unknown)[:200])
        try:
            return cls.model_validate(dict(parameters))
        except ValidationError as error:
            location = error.errors()[0]["loc"]
            raise InvalidRequest(describe(error), str(location[0]) if location else None) from None


def with_absolute_paths(settings: ModelSettings) -> ModelSettings:
    """Return the settings with absolute paths of local models, for processes with another working directory."""
    names = ("asr_model", "assistant_model", "diarization_model")
    folders = {name: value for name in names if (value := getattr(settings, name)) and Path(value).is_dir()}
    return settings.model_copy(update={name: str(Path(value).resolve()) for name, value in folders.items()})


def describe(error: ValidationError, to_name: Callable[[str], str] = str) -> str:
    """Return the messages of a pydantic error in one line, without its URLs and without the values sent.

    to_name: maps the name of a field to the name that the reader knows.
    """
    parts = []
    for details in error.errors(include_url=False, include_input=False, include_context=False):
        message = details["msg"].removeprefix("Value error, ")
        name = to_name(str(details["loc"][0])) if details["loc"] else ""
        parts.append(f"{name}: {message}" if name else message)
    return "; ".join(dict.fromkeys(parts))
