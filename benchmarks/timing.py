"""Timing of alternating calls, so that all are affected alike when the machine's speed changes."""

import statistics
import time
from collections.abc import Callable, Sequence


def seconds_of(call: Callable[[], object]) -> float:
    """Return the seconds that a call takes."""
    started = time.perf_counter()
    call()
    return time.perf_counter() - started


def alternate(rounds: int, *calls: Callable[[], object]) -> list[list[float]]:
    """Return the seconds of each call in each round; the calls alternate after one round of warm-up."""
    for call in calls:
        call()
    by_round = [[seconds_of(call) for call in calls] for _ in range(rounds)]
    return [list(times) for times in zip(*by_round, strict=True)]


def ratio(times: Sequence[float], baseline: Sequence[float]) -> float:
    """Return the median over rounds of time / baseline."""
    return statistics.median(time / base for time, base in zip(times, baseline, strict=True))
