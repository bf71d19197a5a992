"""RTTM: who speaks when, one line per turn. Reading and writing.

The format is NIST's Rich Transcription Time Marked: SPEAKER file channel start duration <NA> <NA> speaker <NA> <NA>.
"""

import re
from collections.abc import Iterable, Iterator

from transcription.errors import InvalidRequest
from transcription.transcript import SpeakerTurn

DEFAULT_NAME = "audio"
"""The file's name in RTTM where no name is known."""
_MAX_TIME = 1e8  # seconds: three years
_MIN_FIELDS = 8  # the last two, confidence and lookahead, are often missing


def write_rttm(turns: Iterable[SpeakerTurn], name: str = DEFAULT_NAME) -> str:
    """Return a line for each turn. name: of the recording; spaces become _, as they separate fields."""
    file = as_field(name or DEFAULT_NAME)
    lines = [
        f"SPEAKER {file} 1 {turn.start:.3f} {turn.end - turn.start:.3f} <NA> <NA> {as_field(turn.speaker)} <NA> <NA>\n"
        for turn in turns
    ]
    return "".join(lines)


def as_field(text: str) -> str:
    """Return the text as a field of RTTM: without white space, which separates fields; <NA> if it is empty."""
    return "_".join(text.split()) or "<NA>"


def read_rttm_files(text: str) -> dict[str, list[SpeakerTurn]]:
    """Return the turns of each file in a text of RTTM, by the name of the file; turns are sorted by start.

    Empty lines, comments (;;) and other types are skipped. Raises InvalidRequest that names the first bad line.
    """
    by_file: dict[str, list[SpeakerTurn]] = {}
    for file, turn in _lines(text):
        by_file.setdefault(file, []).append(turn)
    if not by_file:
        raise InvalidRequest("the RTTM has no SPEAKER line", "turns")
    return {
        file: sorted(turns, key=lambda turn: (turn.start, turn.end, turn.speaker)) for file, turns in by_file.items()
    }


def read_rttm(text: str) -> list[SpeakerTurn]:
    """Return the turns in a text of RTTM of one file, sorted by start.

    Raises InvalidRequest if a line is bad, or if the text has turns of several files: the turns of another recording
    would give wrong speakers.
    """
    by_file = read_rttm_files(text)
    if len(by_file) > 1:
        raise InvalidRequest(f"the RTTM has turns of {len(by_file)} files: send those of one", "turns")
    return next(iter(by_file.values()))


def _lines(text: str) -> Iterator[tuple[str, SpeakerTurn]]:
    """Yield the file and the turn of each SPEAKER line. Raises InvalidRequest."""
    for number, line in enumerate(text.lstrip("\ufeff").splitlines(), 1):
        fields = line.split()
        if not fields or fields[0].startswith(";;"):
            continue
        if not re.fullmatch(r"[A-Z][A-Z-]*", fields[0]):
            raise InvalidRequest(f"line {number} is not RTTM: it must begin with SPEAKER", "turns")
        if fields[0] != "SPEAKER":
            continue  # SPKR-INFO, LEXEME and others say nothing about turns
        yield fields[1] if len(fields) > 1 else "", _turn(fields, number)


def _turn(fields: list[str], number: int) -> SpeakerTurn:
    if len(fields) < _MIN_FIELDS:
        raise InvalidRequest(f"line {number} of the RTTM has {len(fields)} fields instead of 10", "turns")
    try:
        start, duration = float(fields[3]), float(fields[4])
    except ValueError:
        raise InvalidRequest(f"line {number} of the RTTM: start and duration must be seconds", "turns") from None
    if not (0 <= start < _MAX_TIME and 0 <= duration < _MAX_TIME):  # false for NaN
        raise InvalidRequest(f"line {number} of the RTTM: start and duration must not be negative", "turns")
    return SpeakerTurn(fields[7], start, start + duration)
