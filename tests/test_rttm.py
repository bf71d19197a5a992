"""RTTM: reading and writing of speaker turns."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from transcription.errors import InvalidRequest
from transcription.rttm import as_field, read_rttm, read_rttm_files, write_rttm
from transcription.transcript import SpeakerTurn

TURNS = [SpeakerTurn("Ada", 0.0, 1.5), SpeakerTurn("Bo", 1.25, 2.0)]
TEXT = (
    "SPEAKER call 1 0.000 1.500 <NA> <NA> Ada <NA> <NA>\n"
    "SPEAKER call 1 1.250 0.750 <NA> <NA> Bo <NA> <NA>\n"
)  # fmt: skip


def test_a_text_has_one_line_for_each_turn() -> None:
    assert (write_rttm(TURNS, "call"), write_rttm([], "call")) == (TEXT, "")
    assert write_rttm([SpeakerTurn("Ada B", 0, 1)], "my call") == (
        "SPEAKER my_call 1 0.000 1.000 <NA> <NA> Ada_B <NA> <NA>\n"
    )
    assert write_rttm([SpeakerTurn(" ", 0, 1)]) == "SPEAKER audio 1 0.000 1.000 <NA> <NA> <NA> <NA> <NA>\n"


def test_turns_are_sorted_and_other_lines_are_skipped() -> None:
    first, second = TEXT.splitlines()
    assert read_rttm(f"\ufeff;; made by hand\n\n{second}\nSPKR-INFO call 1 <NA>\n{first}") == TURNS


def test_the_last_fields_may_be_missing() -> None:
    assert read_rttm("SPEAKER call 1 0 1.5 <NA> <NA> Ada") == TURNS[:1]


def test_texts_of_several_files_can_be_joined() -> None:
    assert read_rttm_files(write_rttm(TURNS, "a") + write_rttm(TURNS[:1], "b")) == {"a": TURNS, "b": TURNS[:1]}


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "the RTTM has no SPEAKER line"),
        (";; nothing", "the RTTM has no SPEAKER line"),
        ('[{"start": 0}]', "line 1 is not RTTM: it must begin with SPEAKER"),
        (f"{TEXT}SPEAKER call 1 0 1", "line 3 of the RTTM has 5 fields instead of 10"),
        ("SPEAKER call 1 0 x <NA> <NA> Ada", "line 1 of the RTTM: start and duration must be seconds"),
        ("SPEAKER call 1 0 -1 <NA> <NA> Ada", "line 1 of the RTTM: start and duration must not be negative"),
        ("SPEAKER call 1 nan 1 <NA> <NA> Ada", "line 1 of the RTTM: start and duration must not be negative"),
        (TEXT + TEXT.replace("call", "talk"), "the RTTM has turns of 2 files: send those of one"),
    ],
)
def test_bad_rttm_is_an_error_that_names_the_line(text: str, message: str) -> None:
    with pytest.raises(InvalidRequest) as caught:
        read_rttm(text)
    assert (str(caught.value), caught.value.param) == (message, "turns")


@given(st.lists(st.tuples(st.text(), st.integers(0, 10**7), st.integers(0, 10**6)), min_size=1, max_size=5), st.text())
def test_what_is_written_can_be_read(parts: list[tuple[str, int, int]], name: str) -> None:
    turns = [SpeakerTurn(speaker, start / 1000, (start + length) / 1000) for speaker, start, length in parts]
    found = [(turn.speaker, round(turn.start, 3), round(turn.end, 3)) for turn in read_rttm(write_rttm(turns, name))]
    assert sorted(found) == sorted((as_field(turn.speaker), turn.start, turn.end) for turn in turns)
