"""What can be set: ModelSettings for the whole service (environment), InferenceConfig for one request."""

import logging
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any, Literal, Self

from pydantic import (
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
DIARIZATION_MODEL = "pyannote/speaker-diarization-community-1"  # what to take where none is named
FALLBACK_TEMPERATURES = (0.0, 0.2, 0.4, 0.6, 0.8, 1.0)  # openai/whisper, transcribe.py


def _blank_is_none(value: object) -> object:
    return None if isinstance(value, str) and value.strip().lower() in ("", "auto", "none") else value


def _temperatures(value: object) -> object:
    """One temperature or several; a query string brings them as "0,0.2,0.4"."""
    if isinstance(value, str):
        return [part for part in re.split(r"[,\s]+", value.strip("[]() ")) if part]
    return value if isinstance(value, (list, tuple)) else [value]


def split_list(value: object) -> object:
    """One string or several; a query string brings them as "de,en"."""
    return [part.strip() for part in value.split(",") if part.strip()] if isinstance(value, str) else value


Strings = Annotated[
    tuple[Annotated[str, Field(max_length=200)], ...], BeforeValidator(split_list), Field(max_length=100)
]
Language = Annotated[str | None, BeforeValidator(_blank_is_none)]
Temperature = Annotated[float, Field(ge=0, le=1)]
Temperatures = Annotated[tuple[Temperature, ...], BeforeValidator(_temperatures), Field(min_length=1, max_length=16)]
Assisted = Literal["auto"] | bool
SpeakerCount = Annotated[int | None, Field(ge=1, le=100)]


class ModelSettings(BaseSettings):
    """The service's settings, read from environment variables of the same names in capitals."""

    model_config = SettingsConfigDict(
        env_ignore_empty=True, extra="ignore", populate_by_name=True, protected_namespaces=()
    )

    asr_model: str = Field(
        validation_alias=AliasChoices("ASR_MODEL", "MODEL_ID", "asr_model"),
        description="Whisper checkpoint: a Hub name or a directory",
    )
    asr_revision: str | None = Field(None, description="branch, tag or commit of ASR_MODEL")
    assistant_model: str | None = Field(
        None, description="smaller checkpoint with the same vocabulary, for speculative decoding"
    )
    assistant_revision: str | None = Field(None, description="revision of ASSISTANT_MODEL")
    diarization_model: str | None = Field(
        None, description="pyannote pipeline that tells speakers apart, e.g. pyannote/speaker-diarization-community-1"
    )
    diarization_revision: str | None = Field(None, description="revision of DIARIZATION_MODEL")
    diarization_batch_size: int = Field(32, ge=1, le=1024, description="chunks that DIARIZATION_MODEL reads together")
    hf_token: SecretStr | None = Field(None, description="Hub token for gated or private models")
    dtype: DType = Field(
        "auto", description="auto: bfloat16 on GPUs that compute in it (8.0 up), float16 on others, float32 on CPU"
    )
    device: str = Field("auto", description="auto, cpu, cuda, cuda:1, mps")
    engine: Literal["slots", "transformers"] = Field(
        "slots", description="slots: all requests in one batch; transformers: its own loop, one request at a time"
    )
    slots: int | None = Field(
        None, ge=1, le=1024, description="windows decoded at the same time; absent: 24 on CPU, what fits on a GPU"
    )
    cuda_graphs: bool = Field(False, description="replay captured decoding steps on a GPU: new, and not yet measured")
    quantization: Literal["none", "int8"] = Field("none", description="int8: linear layers in 8 bits, on CPU")
    attn_implementation: Literal["sdpa", "eager", "flash_attention_2"] = Field(
        "sdpa", description="attention kernel with ENGINE=transformers; slots has its own"
    )
    language_force: Language = Field(None, description="language of every request, whatever the request says")
    timestamps: Timestamps = Field("segment", description="what a request that does not say gets")
    max_audio_seconds: float = Field(4 * 3600.0, gt=0, description="longest audio, after decoding")
    max_audio_bytes: int = Field(1024**3, gt=0, description="largest audio file")

    @classmethod
    def from_environment(cls, path: str = "", **changes: Any) -> Self:
        """Settings from the environment and `changes`; a checkpoint lying at `path` needs no ASR_MODEL.

        Raises InvalidSettings.
        """
        try:
            return cls(**{name: value for name, value in changes.items() if value is not None})
        except ValidationError as error:
            missing = [e for e in error.errors() if e["type"] == "missing"]
            if missing and path and Path(path, "config.json").is_file() and "asr_model" not in changes:
                return cls.from_environment(path="", **changes, asr_model=path)
            if missing:
                raise InvalidSettings(
                    "ASR_MODEL is not set: set it to a Whisper model, e.g. openai/whisper-large-v3-turbo"
                ) from None
            raise InvalidSettings(describe(error, str.upper)) from None


class InferenceConfig(BaseModel):
    """The parameters of one request. Unknown ones are ignored, and named in a log line."""

    model_config = ConfigDict(extra="ignore", frozen=True)

    task: Task = Field("transcribe", description="translate: to English")
    language: Language = Field(
        None, description="code or English name; absent: detected in the first 30 s and reported"
    )
    languages: Strings = Field((), description="codes between which the language is detected; absent: all")
    timestamps: Timestamps | None = Field(None, description="none, segment or word; absent: the service's TIMESTAMPS")
    prompt: str | None = Field(None, description="text that came before, or how names are spelt")
    keywords: Strings = Field((), description="words to expect, e.g. names; they go before the prompt")
    temperature: Temperatures = Field(
        (0.0,), description="one, or a ladder that is climbed while a threshold is missed"
    )
    compression_ratio_threshold: float | None = Field(
        2.4, gt=0, description="ladder: text that zlib packs better than this repeats itself"
    )
    logprob_threshold: float | None = Field(
        -1.0, le=0, description="ladder: mean log-probability under this is a guess"
    )
    no_speech_threshold: float | None = Field(
        0.6, ge=0, le=1, description="a window less sure than logprob_threshold and above this is silence"
    )
    batch_size: int = Field(24, ge=1, le=256, description="windows of this request decoded together, at most")
    assisted: Assisted = Field(
        "auto", description="speculative decoding with ASSISTANT_MODEL, same text: true, false or auto (while it wins)"
    )
    chunk_length_s: float = Field(30.0, ge=1, le=30, description="longest window, in seconds")
    sequential: bool = Field(
        False,
        description="windows one after the other, each from the end of the last whole sentence, as Whisper does",
    )
    vad_filter: bool = Field(False, description="leave out long pauses, and pack what is said into fewer windows")
    vad_threshold: float = Field(0.3, gt=0, lt=1, description="vad_filter: probability above which somebody speaks")
    vad_silence_ms: int = Field(2000, ge=100, le=60_000, description="vad_filter: shortest pause that is left out")
    vad_padding_ms: int = Field(400, ge=0, le=10_000, description="vad_filter: what stays of it on both sides")
    logprobs: bool = Field(False, description="log-probability of every token, in the json format")
    sampling_rate: int = Field(
        16_000, gt=0, description="accepted for old clients: the audio file itself says its rate"
    )
    diarize: bool | None = Field(
        None, description="tell speakers apart; absent: where DIARIZATION_MODEL is set; false: skip it"
    )
    num_speakers: SpeakerCount = Field(None, description="how many people speak, if known")
    min_speakers: SpeakerCount = Field(None, description="at least so many people speak")
    max_speakers: SpeakerCount = Field(None, description="at most so many people speak")
    multichannel: bool = Field(
        False, description="each channel of the recording is one speaker (calls): no DIARIZATION_MODEL needed"
    )

    @model_validator(mode="before")
    @classmethod
    def _null_is_absent(cls, values: Any) -> Any:
        if not isinstance(values, Mapping):
            return values
        return {name: value for name, value in values.items() if value is not None}

    @model_validator(mode="after")
    def _consistent(self) -> Self:
        least, most = self.min_speakers or 1, self.max_speakers or 100
        if least > most:
            raise ValueError("min_speakers is larger than max_speakers")
        if self.num_speakers and not least <= self.num_speakers <= most:
            raise ValueError("num_speakers is not between min_speakers and max_speakers")
        if self.sequential and (self.multichannel or self.vad_filter):
            raise ValueError("sequential reads all of one channel: leave vad_filter and multichannel out")
        if self.language and self.languages:
            raise ValueError("languages are to choose from: leave them out beside language")
        if self.multichannel and (self.diarize or self.speaker_hints):
            raise ValueError("multichannel takes each channel as a speaker: leave diarize and the counts out")
        return self

    @property
    def speaker_hints(self) -> bool:
        """Whether the request says anything of how many people speak."""
        return any((self.num_speakers, self.min_speakers, self.max_speakers))

    @classmethod
    def from_request(cls, parameters: object) -> Self:
        """The parameters of a request; null and {} are the defaults. Raises InvalidRequest."""
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
            place = error.errors()[0]["loc"]
            raise InvalidRequest(describe(error), str(place[0]) if place else None) from None


def with_absolute_paths(settings: ModelSettings) -> ModelSettings:
    """The settings for processes that run in other folders."""
    names = ("asr_model", "assistant_model", "diarization_model")
    folders = {name: value for name in names if (value := getattr(settings, name)) and Path(value).is_dir()}
    return settings.model_copy(update={name: str(Path(value).resolve()) for name, value in folders.items()})


def describe(error: ValidationError, name: Any = str) -> str:
    """What pydantic found, in one line, without its URLs and without the value sent."""
    parts = []
    for found in error.errors(include_url=False, include_input=False, include_context=False):
        message = found["msg"].removeprefix("Value error, ")
        place = name(str(found["loc"][0])) if found["loc"] else ""
        parts.append(f"{place}: {message}" if place else message)
    return "; ".join(dict.fromkeys(parts))
