"""Timing of alternating calls, so that all are affected alike when the machine's speed changes."""

import statistics
import time
from collections.abc import Callable, Sequence

Clock = Callable[[], float]


def seconds_of(call: Callable[[], object], clock: Clock = time.perf_counter) -> float:
    """Return the seconds that a call takes."""
    started = clock()
    call()
    return clock() - started


def alternate(rounds: int, *calls: Callable[[], object], clock: Clock = time.perf_counter) -> list[list[float]]:
    """Return the seconds of each call in each round; the calls alternate after one round of warm-up."""
    for call in calls:
        call()
    by_round = [[seconds_of(call, clock) for call in calls] for _ in range(rounds)]
    return [list(times) for times in zip(*by_round, strict=True)]


def ratio(times: Sequence[float], baseline: Sequence[float]) -> float:
    """Return the median over rounds of time / baseline."""
    return statistics.median(time / base for time, base in zip(times, baseline, strict=True))
