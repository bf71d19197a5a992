"""Coverage: what became of every second of a recording. The warnings about missing text are made from it.

An account partitions the recording, in order, into intervals of three kinds:

- transcribed: a segment lies there.
- uncertain: somebody speaks clearly for MIN_UNCERTAIN seconds or more, and there is no text.
- silent: neither. Audio that vad_filter leaves out is silent.

Speech that a segment misses by TIME_TOLERANCE, or by less than MIN_UNCERTAIN, counts as transcribed with it: timestamps
are not exact.
"""

from collections.abc import Iterable, Sequence

from transcription.transcript import CoverageInterval, CoverageKind
from transcription.vad.activity import Interval

MIN_UNCERTAIN = 0.6
"""Seconds of speech without text that are reported."""
TIME_TOLERANCE = 0.3
"""Seconds by which timestamps may miss the speech."""
_MAX_REPORTED = 20


def account_for(duration: float, speech: Iterable[Interval], text: Iterable[Interval]) -> tuple[CoverageInterval, ...]:
    """Return the coverage of a recording.

    speech: where somebody speaks clearly. text: where segments lie. Both in seconds, in any order; they may overlap.
    """
    speech, text = union(speech), union(text)
    return _partition(duration, [*text, *speech], uncovered(speech, text, MIN_UNCERTAIN))


def join_coverage(duration: float, channels: Iterable[Sequence[CoverageInterval]]) -> tuple[CoverageInterval, ...]:
    """Return one coverage of the channels of a recording.

    A moment is uncertain if it is uncertain in a channel, else transcribed if it is transcribed in a channel.
    """
    intervals = [interval for channel in channels for interval in channel]
    return _partition(duration, _of_kind(intervals, "transcribed"), _of_kind(intervals, "uncertain"))


def coverage_warnings(coverage: Iterable[CoverageInterval]) -> tuple[str, ...]:
    """Return the warning that names the uncertain intervals; none if there are none."""
    uncertain = _of_kind(coverage, "uncertain")
    if not uncertain:
        return ()
    times = ", ".join(f"{start:.1f}-{end:.1f}" for start, end in uncertain[:_MAX_REPORTED])
    more = f" and {len(uncertain) - _MAX_REPORTED} more" if len(uncertain) > _MAX_REPORTED else ""
    return (f"somebody speaks and no text was found at {times} s{more}",)


def uncovered(speech: Iterable[Interval], text: Iterable[Interval], min_seconds: float) -> list[Interval]:
    """Return the parts of the speech, of at least `min_seconds`, that are not near any text."""
    near_text = [(start - TIME_TOLERANCE, end + TIME_TOLERANCE) for start, end in text]
    return [(start, end) for start, end in subtract(speech, near_text) if end - start >= min_seconds]


def union(intervals: Iterable[Interval]) -> list[Interval]:
    """Return the time that is in any of the intervals, as intervals in order that do not touch."""
    merged: list[Interval] = []
    for start, end in sorted(interval for interval in intervals if interval[0] < interval[1]):
        if merged and start <= merged[-1][1]:
            merged[-1] = (merged[-1][0], max(merged[-1][1], end))
        else:
            merged.append((start, end))
    return merged


def subtract(intervals: Iterable[Interval], removed: Iterable[Interval]) -> list[Interval]:
    """Return the time that is in any of the intervals and in none of the removed ones, likewise."""
    holes = union(removed)
    rest: list[Interval] = []
    first = 0
    for start, end in union(intervals):
        while first < len(holes) and holes[first][1] <= start:
            first += 1
        covered_until, index = start, first
        while index < len(holes) and holes[index][0] < end:
            rest.append((covered_until, holes[index][0]))
            covered_until = holes[index][1]
            index += 1
        rest.append((covered_until, end))
    return [(start, end) for start, end in rest if start < end]


def _partition(
    duration: float, transcribed: Iterable[Interval], uncertain: Iterable[Interval]
) -> tuple[CoverageInterval, ...]:
    """Return the partition of [0, duration]. Where both kinds overlap, it is uncertain; the rest is silent."""
    text, missing = (
        [(max(start, 0.0), min(end, duration)) for start, end in kind] for kind in (transcribed, uncertain)
    )
    kinds: dict[CoverageKind, list[Interval]] = {
        "transcribed": subtract(text, missing),
        "uncertain": union(missing),
        "silent": subtract([(0.0, duration)], [*text, *missing]),
    }
    parts = [CoverageInterval(start, end, kind) for kind, intervals in kinds.items() for start, end in intervals]
    return tuple(sorted(parts, key=lambda part: part.start))


def _of_kind(coverage: Iterable[CoverageInterval], kind: CoverageKind) -> list[Interval]:
    return [(part.start, part.end) for part in coverage if part.kind == kind]
