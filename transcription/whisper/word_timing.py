"""Word times that lie where somebody speaks.

The attention that gives word times says little about pauses: a word is stretched over the pause beside it, or lies in
it. Voice activity detection knows the pauses. So each pause is put between two words, where it moves the words least,
and the words beside it end and begin at its edges.
"""

from collections.abc import Iterable, Sequence
from dataclasses import replace
from itertools import accumulate, pairwise

import numpy as np
import numpy.typing as npt

from transcription.transcript import Segment, Word
from transcription.vad.activity import Interval, SpeechActivity

_MIN_SPEECH = 0.1  # seconds; shorter sounds are clicks
_MIN_PAUSE = 0.2  # seconds; shorter gaps lie inside words
_REACH = 0.3  # seconds by which a word is extended to the edge of the speech in which it lies
_SECONDS_PER_CHARACTER = 0.02  # nobody speaks faster

Times = npt.NDArray[np.float64]


def place_words(
    segments: Iterable[Segment], activity: SpeechActivity, start: float = 0.0, end: float = float("inf")
) -> list[Segment]:
    """Return segments with their words inside the speech between two times, all in seconds of one window.

    A segment starts with its first word and ends with its last one. A segment without words stays as it is, and so
    does everything where nobody speaks.
    """
    segments = list(segments)
    words = [word for segment in segments for word in segment.words]
    speech = _clipped(activity.intervals(_MIN_SPEECH, _MIN_PAUSE), start, end) if words else []
    if not speech:
        return segments
    placed = _place(words, speech)
    firsts = accumulate((len(segment.words) for segment in segments), initial=0)
    return [
        replace(segment, words=tuple(placed[first:last]), start=placed[first].start, end=placed[last - 1].end)
        if segment.words
        else segment
        for segment, (first, last) in zip(segments, pairwise(firsts), strict=True)
    ]


def _clipped(intervals: Iterable[Interval], start: float, end: float) -> list[Interval]:
    clipped = [(max(first, start), min(last, end)) for first, last in intervals]
    return [(first, last) for first, last in clipped if first < last]


def _place(words: Sequence[Word], speech: Sequence[Interval]) -> list[Word]:
    starts: Times = np.maximum.accumulate([word.start for word in words])
    ends: Times = np.maximum([word.end for word in words], starts)
    lengths: Times = np.array([max(len(word.word.strip()), 1) for word in words]) * _SECONDS_PER_CHARACTER
    firsts = [0]
    for (_, pause), (resume, _) in pairwise(speech):
        firsts.append(max(firsts[-1], _count_before(starts, ends, pause, resume)))
    firsts.append(len(words))
    for (first, last), interval in zip(pairwise(firsts), speech, strict=True):
        if first < last:
            _fit(starts[first:last], ends[first:last], lengths[first:last], interval)
    return [
        replace(word, start=start, end=end)
        for word, start, end in zip(words, starts.tolist(), ends.tolist(), strict=True)
    ]


def _count_before(starts: Times, ends: Times, pause: float, resume: float) -> int:
    """Return how many words lie before a pause, so that its two sides move the words least."""
    moved_back = np.r_[0.0, np.cumsum(np.maximum(ends - pause, 0.0))]
    moved_on = np.r_[np.cumsum(np.maximum(resume - starts, 0.0)[::-1])[::-1], 0.0]
    return int(np.argmin(moved_back + moved_on))


def _fit(starts: Times, ends: Times, lengths: Times, interval: Interval) -> None:
    """Move words into an interval of speech, in place; give each at least its length if all have room."""
    begin, finish = interval
    np.clip(starts, begin, finish, out=starts)
    np.clip(ends, begin, finish, out=ends)
    if starts[0] - begin <= _REACH:
        starts[0] = begin
    if finish - ends[-1] <= _REACH:
        ends[-1] = finish
    lengths = lengths * min(1.0, (finish - begin) / lengths.sum())
    before = np.cumsum(lengths) - lengths
    earliest = np.maximum.accumulate(starts - before) + before
    starts[:] = np.maximum(np.minimum(earliest, finish - (lengths.sum() - before)), begin)
    ends[:-1] = np.minimum(ends[:-1], starts[1:])
    ends[:] = np.minimum(np.maximum(ends, starts + lengths), finish)
    ends[:-1] = np.minimum(ends[:-1], starts[1:])
