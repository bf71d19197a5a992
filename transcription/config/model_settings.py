"""ModelSettings: the settings of the models, from the environment."""

import logging
import os
from pathlib import Path
from typing import Annotated, Any, Literal, Self

from pydantic import AliasChoices, BeforeValidator, Field, SecretStr, ValidationError
from pydantic_settings import BaseSettings, SettingsConfigDict

from transcription.config.fields import DiarizerName, DType, EngineName, Language, Timestamps, describe, variables
from transcription.config.ignored_variables import IgnoredVariables
from transcription.errors import InvalidSettings

logger = logging.getLogger(__name__)


def _segment_if_auto(value: object) -> object:
    return "segment" if value == "auto" else value


class ModelSettings(BaseSettings):
    """The settings of the models. Each is read from the environment variable of the same name in capitals."""

    model_config = SettingsConfigDict(
        env_ignore_empty=True, extra="ignore", populate_by_name=True, protected_namespaces=()
    )

    asr_model: str = Field(
        validation_alias=AliasChoices("ASR_MODEL", "MODEL_ID", "asr_model"),
        description="Whisper checkpoint: a Hub name or a directory."
        " With ENGINE=onnx: a directory that transcribe-export wrote.",
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
    diarizer: DiarizerName = Field("pyannote", description="Software that runs DIARIZATION_MODEL: pyannote.")
    diarization_revision: str | None = Field(None, description="Branch, tag or commit of DIARIZATION_MODEL.")
    diarization_batch_size: int = Field(
        32, ge=1, le=1024, description="Batch size of the neural networks in DIARIZATION_MODEL."
    )
    hf_token: SecretStr | None = Field(None, description="Hugging Face token for gated or private models.")
    dtype: DType = Field(
        "auto",
        validation_alias=AliasChoices("DTYPE", "VLLM_DTYPE", "dtype"),
        description="Data type of the Whisper weights: auto, float32, float16 (or half, fp16), bfloat16 (or bf16)."
        " auto: bfloat16 on GPUs with compute capability 8.0 or higher, float16 on other GPUs,"
        " bfloat16 on CPUs with AVX512-BF16 or AMX unless QUANTIZATION is int8, float32 elsewhere.",
    )
    device: str = Field("auto", description="Device of the models: auto, cpu, cuda, cuda:1 or mps.")
    engine: EngineName = Field(
        "batching",
        description="batching: decode the windows of all requests in one batch."
        " transformers: use the generation loop of transformers, one request at a time."
        " onnx: run a checkpoint that transcribe-export wrote, without torch.",
    )
    slots: int | None = Field(
        None,
        validation_alias=AliasChoices("SLOTS", "MAX_NUM_SEQS", "slots"),
        ge=1,
        le=1024,
        description="Maximum number of windows in the batch of ENGINE=batching."
        " If not set: 24 on CPU, and on a GPU as many as its memory allows. With ENGINE=onnx: 2.",
    )
    cuda_graphs: bool = Field(
        False, description="Replay decoding steps as CUDA graphs. Experimental: the speed is not yet measured."
    )
    quantization: Literal["none", "int8"] = Field(
        "none",
        description="int8: use 8-bit weights in the linear layers of the decoder, and of the encoder on CPUs that do"
        " not compute in bfloat16. Only for CPU.",
    )
    attn_implementation: Literal["sdpa", "eager", "flash_attention_2"] = Field(
        "sdpa", description="Attention implementation of ENGINE=transformers. ENGINE=batching has its own."
    )
    language_force: Language = Field(
        None, description="Language of all requests. It replaces the language that a request asks for."
    )
    timestamps: Annotated[Timestamps, BeforeValidator(_segment_if_auto)] = Field(
        "segment",
        description="Value of timestamps for requests that do not set it: none, segment (or segments, auto) or word.",
    )
    chunk_length_s: float | None = Field(
        None,
        ge=1,
        le=30,
        validation_alias=AliasChoices("CHUNK_LENGTH_S", "WHISPER_SEGMENT_DURATION_SEC", "chunk_length_s"),
        description="Value of chunk_length_s for requests that do not set it. If not set: 30.",
    )
    max_audio_seconds: float = Field(
        4 * 3600.0, ge=0, description="Maximum length of the audio, in seconds. 0: without limit."
    )
    max_audio_bytes: int = Field(1024**3, gt=0, description="Maximum size of the audio file, in bytes.")

    @classmethod
    def from_environment(cls, path: str = "", **changes: Any) -> Self:
        """Return the settings of the environment, updated with `changes`.

        path: the directory of a checkpoint, used if ASR_MODEL is not set. A change of None has no effect.
        The log names the variables of other software that are ignored.
        Raises InvalidSettings if a value is wrong or there is no model.
        """
        try:
            settings = cls(**{name: value for name, value in changes.items() if value is not None})
        except ValidationError as error:
            is_missing = any(details["type"] == "missing" for details in error.errors())
            if is_missing and path and Path(path, "config.json").is_file() and changes.get("asr_model") is None:
                return cls.from_environment(path="", **changes | {"asr_model": path})
            if is_missing:
                raise InvalidSettings(
                    "ASR_MODEL is not set: set it to a Whisper model, e.g. openai/whisper-large-v3-turbo"
                ) from None
            raise InvalidSettings(describe(error, cls._variable)) from None
        if ignored := IgnoredVariables().names():
            logger.warning("ignored variables without effect here: %s", ", ".join(ignored))
        return settings

    @classmethod
    def _variable(cls, name: str) -> str:
        """Return the variable that sets a field, by the name in an error of pydantic: the one that is set, if any."""
        field = cls.model_fields.get(name.lower())
        names = variables(name, field) if field else []
        return next((variable for variable in names if os.environ.get(variable)), name.upper())


def with_absolute_paths(settings: ModelSettings) -> ModelSettings:
    """Return the settings with absolute paths of local models, for processes with another working directory."""
    names = ("asr_model", "assistant_model", "diarization_model")
    folders = {name: value for name in names if (value := getattr(settings, name)) and Path(value).is_dir()}
    return settings.model_copy(update={name: str(Path(value).resolve()) for name, value in folders.items()})
