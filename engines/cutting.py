"""Where long audio is cut into windows."""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from audio import SAMPLE_RATE, Samples
from engines.voice import FRAME, speech

_NOBODY = 0.3  # probability of speech under which nobody speaks
_PAUSE = 8  # frames of 32 ms: shorter gaps are inside words
_STEP = SAMPLE_RATE // 100  # loudness is looked at every 10 ms
_SMOOTH = 20  # over 0.2 s


@dataclass(frozen=True)
class Cut:
    """A window of the audio; `start` and `end` in samples."""

    start: int
    end: int

    @property
    def start_seconds(self) -> float:
        return self.start / SAMPLE_RATE

    @property
    def seconds(self) -> float:
        return (self.end - self.start) / SAMPLE_RATE


def cut(samples: Samples, longest: float) -> Iterator[Cut]:
    """Windows of at most `longest` seconds that follow on each other and leave nothing out.

    Each is as long as it can be: it ends in the last pause of its last third, else of its second third, else at
    the quietest moment of its last half. Looked for as they are asked for.
    """
    most = int(longest * SAMPLE_RATE)
    start = 0
    while len(samples) - start > most:
        end = start + _last_pause(samples[start : start + most])
        yield Cut(start, end)
        start = end
    if len(samples) > start:
        yield Cut(start, len(samples))


def _last_pause(samples: Samples) -> int:
    """The sample at which to end a window that is too long by what follows."""
    third = len(samples) // 3
    for first in (2 * third, third):
        within = _pause(samples[first : first + third])
        if within is not None:
            return first + within
    half = len(samples) // 2
    return half + _quietest(samples[half:])


def _pause(samples: Samples) -> int | None:
    """The middle of the last stretch in which nobody speaks, None where somebody always does."""
    silent = np.concatenate([[False], speech(samples) < _NOBODY, [False]])
    begins, ends = (np.flatnonzero(change) for change in (silent[1:] & ~silent[:-1], ~silent[1:] & silent[:-1]))
    long_enough = np.flatnonzero(ends - begins >= _PAUSE)
    if not len(long_enough):
        return None
    last = long_enough[-1]
    return int(min((begins[last] + ends[last]) * FRAME // 2, len(samples)))


def _quietest(samples: Samples) -> int:
    """The sample in the middle of the quietest 0.2 s; the last of them where several are."""
    frames = samples[: len(samples) // _STEP * _STEP].reshape(-1, _STEP)
    energy = np.square(frames, dtype=np.float64).mean(axis=1)
    window = min(_SMOOTH, len(energy))
    smooth = np.convolve(energy, np.full(window, 1 / window), mode="valid")
    quiet = smooth <= smooth.min() * 1.01 + 1e-12
    return int(np.flatnonzero(quiet)[-1] + window // 2) * _STEP
