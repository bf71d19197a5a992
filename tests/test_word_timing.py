"""Words lie where somebody speaks, and nothing but their times changes."""

from dataclasses import replace
from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from transcription.transcript import Segment, Word
from transcription.vad.activity import SpeechActivity
from transcription.whisper.word_timing import place_words

FRAME = 0.032  # seconds


def activity_of(*lengths: int) -> SpeechActivity:
    """Return the activity of silence, speech, silence, … of so many frames."""
    return SpeechActivity(np.concatenate([np.full(n, index % 2, np.float32) for index, n in enumerate(lengths)]))


def segment_of(*words: tuple[str, float, float]) -> Segment:
    """Return a segment of words (text, start, end)."""
    timed = tuple(Word(*word) for word in words)
    return Segment("".join(word.word for word in timed), timed[0].start, timed[-1].end, timed)


def placed(activity: SpeechActivity, *words: tuple[str, float, float]) -> list[tuple[str, float, float]]:
    """Return the words of one segment after they were placed, in hundredths of a second."""
    (segment,) = place_words([segment_of(*words)], activity)
    return [(word.word, round(word.start, 2), round(word.end, 2)) for word in segment.words]


def test_a_word_that_is_stretched_over_the_silence_before_it_starts_with_the_speech() -> None:
    activity = activity_of(250, 50)  # speech from 8.0 s to 9.6 s
    words = placed(activity, (" And", 0.0, 8.48), (" so", 8.48, 9.5))
    assert words == [(" And", 8.0, 8.48), (" so", 8.48, 9.6)]


def test_a_word_that_is_stretched_over_the_silence_behind_it_ends_with_the_speech() -> None:
    activity = activity_of(0, 50, 250)  # speech until 1.6 s
    words = placed(activity, (" your", 0.1, 0.9), (" country.", 0.9, 9.6))
    assert words == [(" your", 0.0, 0.9), (" country.", 0.9, 1.6)]


def test_a_word_over_a_pause_keeps_the_side_where_most_of_it_lies() -> None:
    activity = activity_of(0, 50, 50, 50)  # speech until 1.6 s and from 3.2 s to 4.8 s
    before = (" one", 0.0, 1.0), (" two", 1.0, 3.3), (" three", 3.3, 4.8)
    assert placed(activity, *before) == [(" one", 0.0, 1.0), (" two", 1.0, 1.6), (" three", 3.2, 4.8)]
    behind = (" one", 0.0, 1.5), (" two", 1.5, 4.0), (" three", 4.0, 4.8)
    assert placed(activity, *behind) == [(" one", 0.0, 1.6), (" two", 3.2, 4.0), (" three", 4.0, 4.8)]


def test_words_without_duration_share_the_speech() -> None:
    activity = activity_of(50, 50)  # speech from 1.6 s to 3.2 s
    words = placed(activity, (" a", 0.5, 0.5), (" bc", 0.5, 0.5), (" def", 0.5, 3.2))
    assert words == [(" a", 1.6, 1.62), (" bc", 1.62, 1.66), (" def", 1.66, 3.2)]


def test_words_stay_between_the_given_times() -> None:
    (segment,) = place_words([segment_of((" one", 0.0, 3.0))], activity_of(0, 100), start=0.5, end=2.0)
    assert (segment.start, segment.end) == (0.5, 2.0)


def test_segments_follow_their_words() -> None:
    one, two = segment_of((" one.", 0.0, 2.0)), segment_of((" two.", 2.0, 4.8))
    segments = place_words([one, replace(one, text="", words=()), two], activity_of(0, 50, 50, 50))
    times = [(round(segment.start, 2), round(segment.end, 2)) for segment in segments]
    assert times == [(0.0, 1.6), (0.0, 2.0), (3.2, 4.8)]


@pytest.mark.parametrize("activity", [activity_of(0), activity_of(100), activity_of(100, 2, 100)])
def test_nothing_changes_where_nobody_speaks(activity: SpeechActivity) -> None:
    segments = [segment_of((" one", 0.0, 3.0))]
    assert place_words(segments, activity) == segments


def test_nothing_changes_without_words() -> None:
    segments = [Segment(" one", 0.0, 3.0)]
    assert place_words([], activity_of(50, 50)) == []
    assert place_words(segments, activity_of(50, 50)) == segments


TEXTS = st.sampled_from([" a", " and", " country.", "字", "-", " internationally"])
WORDS = st.lists(st.tuples(TEXTS, st.integers(0, 300), st.integers(0, 100)), min_size=1, max_size=40)


@settings(deadline=None, max_examples=200)
@given(st.lists(st.integers(5, 60), min_size=2, max_size=9), WORDS, st.integers(1, 4))
def test_words_lie_in_speech_in_order_and_keep_their_text(
    lengths: list[int], words: list[tuple[str, int, int]], size: int
) -> None:
    timed = [(text, start / 10, (start + length) / 10) for text, start, length in sorted(words, key=lambda w: w[1])]
    segments = [segment_of(*timed[first : first + size]) for first in range(0, len(timed), size)]
    activity = activity_of(*lengths)
    new = place_words(segments, activity)
    assert [(one.text, [word.word for word in one.words]) for one in new] == [
        (one.text, [word.word for word in one.words]) for one in segments
    ]
    everything = [word for segment in new for word in segment.words]
    assert all(before.end <= behind.start for before, behind in pairwise(everything))
    assert all(word.end > word.start for word in everything)
    speech = list(activity.intervals(0.1, 0.2))
    assert all(any(start <= word.start and word.end <= end for start, end in speech) for word in everything)
    assert [(one.start, one.end) for one in new] == [(one.words[0].start, one.words[-1].end) for one in new]
