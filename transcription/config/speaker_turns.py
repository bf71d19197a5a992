"""The value of `turns`: who speaks when, as a client knows it."""

import json
import math
from collections.abc import Mapping
from typing import Annotated, Any

from pydantic import PlainValidator, WithJsonSchema

from transcription.errors import InvalidRequest
from transcription.rttm import read_rttm
from transcription.transcript import SpeakerTurn

MAX_TURNS = 100_000
_MAX_LABEL = 200  # characters
_MAX_TIME = 1e8  # seconds: three years
_FORM = 'a list of {"start", "end", "speaker"}, or RTTM'


def read_turns(value: object) -> tuple[SpeakerTurn, ...]:
    """Return speaker turns, sorted by start. value: a list of objects, the same as JSON text, or RTTM of one file.

    start, end: seconds. Raises ValueError that names the first bad turn.
    """
    if isinstance(value, str) and value.lstrip()[:1] in ("[", "{"):
        try:
            value = json.loads(value)
        except (ValueError, RecursionError):
            raise ValueError(f"is not JSON: send {_FORM}") from None
    if isinstance(value, str):
        try:
            turns = read_rttm(value)
        except InvalidRequest as error:
            raise ValueError(str(error)) from None
    elif isinstance(value, (list, tuple)):
        turns = [_turn(one, number) for number, one in enumerate(value, 1)]
    else:
        raise ValueError(f"send {_FORM}")
    if len(turns) > MAX_TURNS:
        raise ValueError(f"send at most {MAX_TURNS} turns")
    return tuple(sorted(turns, key=lambda turn: (turn.start, turn.end, turn.speaker)))


def _turn(value: object, number: int) -> SpeakerTurn:
    if isinstance(value, SpeakerTurn):
        return value
    if not isinstance(value, Mapping) or value.keys() != {"start", "end", "speaker"}:
        raise ValueError(f"turn {number} must have start, end and speaker, and nothing else")
    start, end, speaker = _seconds(value["start"]), _seconds(value["end"]), value["speaker"]
    if start is None or end is None or not 0 <= start <= end <= _MAX_TIME:
        raise ValueError(f"turn {number}: start and end must be seconds, and end not before start")
    if not isinstance(speaker, str) or not 0 < len(speaker.strip()) <= _MAX_LABEL:
        raise ValueError(f"turn {number}: speaker must be a name of 1 to {_MAX_LABEL} characters")
    return SpeakerTurn(speaker.strip(), start, end)


def _seconds(value: Any) -> float | None:
    """Return a time, None if the value is no finite number."""
    is_number = isinstance(value, int | float) and not isinstance(value, bool)
    return float(value) if is_number and math.isfinite(value) else None


_SCHEMA = {
    "anyOf": [
        {"type": "string", "description": "RTTM of one file"},
        {
            "type": "array",
            "maxItems": MAX_TURNS,
            "items": {
                "type": "object",
                "properties": {
                    "start": {"type": "number"}, "end": {"type": "number"}, "speaker": {"type": "string"},
                },
                "required": ["start", "end", "speaker"],
                "additionalProperties": False,
            },
        },
    ]
}  # fmt: skip
Turns = Annotated[tuple[SpeakerTurn, ...], PlainValidator(read_turns), WithJsonSchema(_SCHEMA)]
