"""Load Whisper checkpoints from the Hub or a directory, on a device, in a precision."""

import logging
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch
import transformers

from transcription.config import ModelSettings
from transcription.errors import InvalidSettings
from transcription.torchaudio_patch import patch_torchaudio
from transcription.whisper.processor import computes_in_bfloat16

if TYPE_CHECKING:
    from transformers import WhisperForConditionalGeneration

patch_torchaudio()  # before transformers imports its models, which it does when one is used

logger = logging.getLogger(__name__)

DTYPES = {"float32": torch.float32, "float16": torch.float16, "bfloat16": torch.bfloat16}


@dataclass(frozen=True)
class Checkpoint:
    """A loaded Whisper model with its tokenizer and feature extractor."""

    model: "WhisperForConditionalGeneration"
    tokenizer: Any
    feature_extractor: Any
    device: torch.device
    dtype: torch.dtype


def display_name(name: str) -> str:
    """Return the name of a model, or the last part of its directory: messages show no path of the host."""
    return Path(name).name if Path(name).is_absolute() else name


def choose_device(settings: ModelSettings) -> torch.device:
    """Return the device of the settings; auto takes a GPU if there is one.

    Raises InvalidSettings if there is no such kind of device.
    """
    if settings.device != "auto":
        try:
            return torch.device(settings.device)
        except RuntimeError:
            raise InvalidSettings("DEVICE is unknown: set auto, cpu, cuda, cuda:0 or mps") from None
    return torch.device("cuda" if torch.cuda.is_available() else "cpu")


def choose_dtype(settings: ModelSettings, device: torch.device) -> torch.dtype:
    """Return the precision of the settings; auto takes the fastest one with the same error rate.

    Raises InvalidSettings if QUANTIZATION needs another one.
    """
    int8 = settings.quantization == "int8"
    if int8 and settings.dtype not in ("auto", "float32"):
        raise InvalidSettings("QUANTIZATION int8 needs float32 for all else: set DTYPE to float32 or auto")
    if settings.dtype != "auto":
        return DTYPES[settings.dtype]
    if device.type == "cpu" and not int8 and computes_in_bfloat16():
        return torch.bfloat16
    if device.type != "cuda":
        return torch.float32
    return torch.bfloat16 if torch.cuda.get_device_capability(device) >= (8, 0) else torch.float16


def load_checkpoint(settings: ModelSettings) -> Checkpoint:
    """Load ASR_MODEL.

    Raises InvalidSettings if it cannot be loaded.
    """
    transformers.utils.logging.disable_progress_bar()  # it would fill a server's log
    device = choose_device(settings)
    dtype = choose_dtype(settings, device)
    processor = _from_hub(transformers.AutoProcessor, "ASR_MODEL", settings.asr_model, settings.asr_revision, settings)
    model = _load_model("ASR_MODEL", settings.asr_model, settings.asr_revision, settings, device, dtype)
    logger.info("%s computes on %s in %s", display_name(settings.asr_model), device, str(dtype).removeprefix("torch."))
    return Checkpoint(model, processor.tokenizer, processor.feature_extractor, device, dtype)


def load_assistant(settings: ModelSettings, main: Checkpoint) -> Any:
    """Load ASSISTANT_MODEL; return None if it is not set.

    An assistant with the same encoder as the main model (distil-whisper) is reduced to its decoder, which reads the
    main model's encoder states.

    Raises InvalidSettings if it cannot be loaded, or has another vocabulary than the main model.
    """
    if settings.assistant_model is None:
        return None
    assistant = _load_model(
        "ASSISTANT_MODEL", settings.assistant_model, settings.assistant_revision, settings,
        main.device, main.dtype,
    )  # fmt: skip
    if assistant.config.vocab_size != main.model.config.vocab_size:
        raise InvalidSettings(
            "ASSISTANT_MODEL has another vocabulary than ASR_MODEL: choose an assistant that was made for it"
        )
    if not same_encoder(assistant, main.model):
        return assistant
    decoder = transformers.WhisperForCausalLM(assistant.config)
    decoder.model.decoder = assistant.model.decoder
    decoder.proj_out = assistant.proj_out
    decoder.generation_config = assistant.generation_config
    return decoder.to(main.device, main.dtype).eval()


def same_encoder(one: "WhisperForConditionalGeneration", other: "WhisperForConditionalGeneration") -> bool:
    """Return whether two models have the same encoder, weight by weight."""
    ours, theirs = one.model.encoder.state_dict(), other.model.encoder.state_dict()
    return ours.keys() == theirs.keys() and all(
        weight.shape == theirs[name].shape and torch.equal(weight, theirs[name]) for name, weight in ours.items()
    )


def _load_model(
    variable: str, name: str, revision: str | None, settings: ModelSettings,
    device: torch.device, dtype: torch.dtype,
) -> "WhisperForConditionalGeneration":  # fmt: skip
    # transformers 4.56 renamed the argument; the default container has 4.51.
    old = tuple(int(part) for part in transformers.__version__.split(".")[:2]) < (4, 56)
    model = _from_hub(
        transformers.AutoModelForSpeechSeq2Seq, variable, name, revision, settings,
        attn_implementation=settings.attn_implementation, **{"torch_dtype" if old else "dtype": dtype},
    )  # fmt: skip
    if not isinstance(model, transformers.WhisperForConditionalGeneration):
        raise InvalidSettings(f"{variable} is a {model.config.model_type} model: choose a Whisper checkpoint")
    try:
        return model.to(device).eval()
    except (RuntimeError, AssertionError):
        raise InvalidSettings(f"DEVICE {device} cannot hold {variable}: is it there, and large enough?") from None


def _from_hub(
    kind: Any, variable: str, name: str, revision: str | None, settings: ModelSettings, **options: Any
) -> Any:
    token = settings.hf_token.get_secret_value() if settings.hf_token else None
    try:
        return kind.from_pretrained(name, revision=revision or "main", token=token, **options)
    except (OSError, ValueError, KeyError, ImportError):
        raise InvalidSettings(
            f"{variable} {display_name(name)} cannot be loaded: is it a Whisper checkpoint's name or directory, "
            "and does HF_TOKEN allow it?"
        ) from None
