"""The types of the fields of ModelSettings and InferenceConfig."""

import re
from collections.abc import Callable
from typing import Annotated, Literal

from pydantic import AfterValidator, BeforeValidator, Field, ValidationError

Task = Literal["transcribe", "translate"]
Timestamps = Literal["none", "segment", "word"]
DType = Literal["auto", "float32", "float16", "bfloat16"]
DIARIZATION_MODEL = "pyannote/speaker-diarization-community-1"
"""The pipeline for commands that diarize and name no other."""
MULTILINGUAL = "multi"
"""The value of `language` for recordings in several languages."""
FALLBACK_TEMPERATURES = (0.0, 0.2, 0.4, 0.6, 0.8, 1.0)  # openai/whisper, transcribe.py


def _read_language(value: object) -> object:
    if not isinstance(value, str):
        return value
    name = value.strip().lower()
    return None if name in ("", "auto", "none") else MULTILINGUAL if name == MULTILINGUAL else value


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
Language = Annotated[str | None, BeforeValidator(_read_language)]
Temperature = Annotated[float, Field(ge=0, le=1)]
Temperatures = Annotated[tuple[Temperature, ...], BeforeValidator(_split_numbers), Field(min_length=1, max_length=16)]
Assisted = Literal["auto"] | bool
SpeakerCount = Annotated[int | None, Field(ge=1, le=100)]


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
