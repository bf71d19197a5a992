"""The account of every second of a recording, and the warnings that are made from it."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from transcription.transcript import CoverageInterval
from transcription.vad.coverage import account_for, coverage_warnings, join_coverage, subtract, union

TIMES = st.floats(-5, 60, allow_nan=False)
INTERVALS = st.lists(st.tuples(TIMES, TIMES), max_size=8)
DURATIONS = st.floats(0, 50, allow_nan=False)
Intervals = list[tuple[float, float]]


def is_partition(coverage: tuple[CoverageInterval, ...], duration: float) -> bool:
    """Return whether the intervals are not empty and follow each other from 0 to the duration."""
    bounds = [0.0, *(part.end for part in coverage)]
    starts = [part.start for part in coverage]
    return starts == bounds[:-1] and bounds[-1] == duration and all(part.start < part.end for part in coverage)


@given(DURATIONS, INTERVALS, INTERVALS)
def test_an_account_is_a_partition(duration: float, speech: Intervals, text: Intervals) -> None:
    assert is_partition(account_for(duration, speech, text), duration)


@given(DURATIONS, st.lists(st.tuples(INTERVALS, INTERVALS), max_size=3))
def test_a_joined_account_is_a_partition(duration: float, channels: list[tuple[Intervals, Intervals]]) -> None:
    accounts = [account_for(duration, speech, text) for speech, text in channels]
    assert is_partition(join_coverage(duration, accounts), duration)


@given(INTERVALS, INTERVALS)
def test_what_is_left_and_what_was_removed_make_the_whole(intervals: Intervals, removed: Intervals) -> None:
    left = subtract(intervals, removed)
    assert union([*left, *removed]) == union([*intervals, *removed])
    assert subtract(left, removed) == left


@given(INTERVALS, INTERVALS)
def test_text_is_never_uncertain_and_speech_never_silent(speech: Intervals, text: Intervals) -> None:
    coverage = account_for(50.0, speech, text)
    uncertain = [(part.start, part.end) for part in coverage if part.kind == "uncertain"]
    silent = [(part.start, part.end) for part in coverage if part.kind == "silent"]
    assert subtract(uncertain, text) == uncertain
    assert subtract(silent, [*speech, *text]) == silent


@pytest.mark.parametrize(
    ("speech", "text", "kinds"),
    [
        ([], [], [(0.0, 10.0, "silent")]),
        ([], [(0.0, 10.0)], [(0.0, 10.0, "transcribed")]),
        ([(1.0, 3.0)], [], [(0.0, 1.0, "silent"), (1.0, 3.0, "uncertain"), (3.0, 10.0, "silent")]),
        ([(1.0, 3.0)], [(1.25, 2.5)], [(0.0, 1.0, "silent"), (1.0, 3.0, "transcribed"), (3.0, 10.0, "silent")]),
        ([(0.0, 10.0)], [(0.0, 4.7)], [(0.0, 5.0, "transcribed"), (5.0, 10.0, "uncertain")]),
        ([(9.0, 12.0)], [], [(0.0, 9.0, "silent"), (9.0, 10.0, "uncertain")]),
    ],
)
def test_accounts_for_ten_seconds(speech: Intervals, text: Intervals, kinds: list[tuple[float, float, str]]) -> None:
    coverage = account_for(10.0, speech, text)
    assert [(part.start, part.end, part.kind) for part in coverage] == kinds


def test_empty_audio_has_an_empty_account() -> None:
    assert account_for(0.0, [], []) == join_coverage(0.0, []) == join_coverage(0.0, [(), ()]) == ()
    assert coverage_warnings(()) == ()


def test_warnings_name_the_uncertain_intervals() -> None:
    account = account_for(9.0, [(1.0, 2.0), (4.0, 6.5)], [(2.5, 3.0)])
    assert coverage_warnings(account) == ("somebody speaks and no text was found at 1.0-2.0, 4.0-6.5 s",)
    many = account_for(100.0, [(start, start + 1) for start in range(0, 100, 4)], [])
    assert coverage_warnings(many)[0].endswith("76.0-77.0 s and 5 more")
