"""The types of the fields of ModelSettings and InferenceConfig."""

import json
import re
from collections.abc import Callable
from contextlib import suppress
from typing import Annotated, Literal

from pydantic import AfterValidator, AliasChoices, BeforeValidator, Field, ValidationError
from pydantic.fields import FieldInfo

Task = Literal["transcribe", "translate"]
ChineseScript = Literal["simplified", "traditional", "unchanged"]
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


def _other_name(names: dict[str, str]) -> Callable[[object], object]:
    """Return a function that replaces the names of other software by ours."""
    return lambda value: names.get(value.strip().lower(), value) if isinstance(value, str) else value


def _split_numbers(value: object) -> object:
    """Return a list of temperatures; a query string has them as "0,0.2,0.4"."""
    if isinstance(value, str):
        return [part for part in re.split(r"[,\s]+", value.strip("[]() ")) if part]
    return value if isinstance(value, (list, tuple)) else [value]


def _as_text(value: object) -> object:
    """Return a number as text: the container of an endpoint turns prompt=2024 in a query into one."""
    return str(value).lower() if isinstance(value, bool) else str(value) if isinstance(value, int | float) else value


def _check_unicode(text: str) -> str:
    """Refuse half of a surrogate pair: JSON can hold one, and no tokenizer reads it."""
    if any("\ud800" <= character <= "\udfff" for character in text):
        raise ValueError("the text is not valid Unicode: it contains half a character")
    return text


def split_list(value: object) -> object:
    """Return a list of strings; a query string has them as "de,en", and some clients send JSON."""
    text = _as_text(value)
    if not isinstance(text, str):
        return value
    if text.lstrip().startswith("["):
        with suppress(ValueError, RecursionError):
            return json.loads(text)
    return [part.strip() for part in text.split(",") if part.strip()]


def _check_words(text: str) -> str:
    if len(text) > MAX_TEXT:
        raise ValueError(f"there are more than {MAX_TEXT} characters: send a part of the recording and its text")
    if not any(character.isalnum() for character in text):
        raise ValueError("there are no words: send the text that is spoken in the recording")
    return text


UnicodeText = Annotated[str, BeforeValidator(_as_text), AfterValidator(_check_unicode)]
MAX_TEXT = 400_000  # characters; a recording of eight hours has fewer
SpokenText = Annotated[UnicodeText, AfterValidator(_check_words)]
ShortText = Annotated[str, Field(max_length=200)]
Strings = Annotated[tuple[ShortText, ...], BeforeValidator(split_list), Field(max_length=100)]
Timestamps = Annotated[
    Literal["none", "segment", "word"], BeforeValidator(_other_name({"segments": "segment", "words": "word"}))
]
DType = Annotated[
    Literal["auto", "float32", "float16", "bfloat16"],
    BeforeValidator(
        _other_name({"half": "float16", "fp16": "float16", "bf16": "bfloat16", "float": "float32", "fp32": "float32"})
    ),
]
EngineName = Annotated[Literal["batching", "transformers", "onnx"], BeforeValidator(_current_engine_name)]
DiarizerName = Literal["pyannote"]
Language = Annotated[str | None, BeforeValidator(_read_language)]
Temperature = Annotated[float, Field(ge=0, le=1)]
Temperatures = Annotated[tuple[Temperature, ...], BeforeValidator(_split_numbers), Field(min_length=1, max_length=16)]
Assisted = Literal["auto"] | bool
MAX_BEAMS = 10
BeamSize = Annotated[int, Field(ge=1, le=MAX_BEAMS)]
Seed = Annotated[int, AfterValidator(lambda seed: seed % 2**31)]  # clients send any size and sign
SpeakerCount = Annotated[int | None, Field(ge=1, le=100)]


def variables(name: str, field: FieldInfo) -> list[str]:
    """Return the environment variables of a field of settings, the preferred one first."""
    choices = field.validation_alias.choices if isinstance(field.validation_alias, AliasChoices) else [name]
    return list(dict.fromkeys(str(choice).upper() for choice in choices))


def describe(error: ValidationError, to_name: Callable[[str], str] = str) -> str:
    """Return the messages of a pydantic error in one line, without its URLs and without the values sent.

    to_name: maps the name of a field to the name that the reader knows.
    """
    parts, errors = [], error.errors(include_url=False, include_input=False, include_context=False)
    with_inner = {details["loc"][0] for details in errors if len(details["loc"]) > 2}
    for details in errors:
        place = details["loc"]
        if place and len(place) <= 2 and place[0] in with_inner:
            continue  # the other kinds of a field that has fields itself, of which the client meant one
        message = details["msg"].removeprefix("Value error, ")
        name = ".".join([to_name(str(part)) for part in place[:1]] + [str(part) for part in place[2:]])
        parts.append(f"{name}: {message}" if name else message)
    return "; ".join(dict.fromkeys(parts))
