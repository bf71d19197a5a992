"""KnownSpeaker: a name, and a sample or a voiceprint of the voice that has it."""

import json
from collections.abc import Mapping
from contextlib import suppress
from typing import Annotated

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field

from transcription.transcript import Voiceprint

MAX_KNOWN_SPEAKERS = 100
KNOWN_SPEAKER_THRESHOLD = 0.5
"""Cosine similarity, chosen by `python -m benchmarks.voices` (benchmarks/README.md)."""


class KnownSpeaker(BaseModel):
    """A person whom a request names. reference: base64 text or data URI of audio, or a voiceprint."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    name: Annotated[str, Field(min_length=1, max_length=100)]
    reference: str | Voiceprint = Field(repr=False)


def _read(value: object) -> object:
    """Return known speakers from {name: reference}, which a query string has as JSON text."""
    if isinstance(value, str):
        with suppress(ValueError, RecursionError):
            value = json.loads(value)
    if isinstance(value, Mapping):
        return [_known(name, reference) for name, reference in value.items()]
    if isinstance(value, list | tuple) and all(isinstance(one, KnownSpeaker) for one in value):
        return value
    raise ValueError('send an object of names and samples, e.g. {"Maria": "data:audio/wav;base64,…"}')


def _known(name: object, reference: object) -> KnownSpeaker:
    """Return a known speaker. Raises ValueError, whose message names the speaker and not the value."""
    text = str(name).strip()
    if not 1 <= len(text) <= 100:
        raise ValueError("a name must have 1 to 100 characters")
    if isinstance(reference, str):
        return KnownSpeaker(name=text, reference=reference)
    if isinstance(reference, Voiceprint):
        return KnownSpeaker(name=text, reference=reference)
    try:
        return KnownSpeaker(name=text, reference=Voiceprint.from_document(reference))
    except (ValueError, TypeError):
        raise ValueError(
            f"the reference of {text!r} is neither base64 text of a sample nor a voiceprint of this service"
        ) from None


KnownSpeakers = Annotated[tuple[KnownSpeaker, ...], BeforeValidator(_read), Field(max_length=MAX_KNOWN_SPEAKERS)]
