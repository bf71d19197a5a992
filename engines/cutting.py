"""Where long audio is cut into windows."""

from dataclasses import dataclass

import numpy as np

from audio import SAMPLE_RATE, Samples

_STEP = SAMPLE_RATE // 100  # loudness is looked at every 10 ms
_SMOOTH = 20  # over 0.2 s: shorter dips are inside words


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


def cut(samples: Samples, longest: float) -> list[Cut]:
    """Windows of at most `longest` seconds that follow on each other and leave nothing out.

    Each ends at the quietest moment of its last half, the latest of several equally quiet ones, so that
    no word is cut while anyone pauses for 0.2 s.
    """
    most = int(longest * SAMPLE_RATE)
    cuts, start = [], 0
    while len(samples) - start > most:
        end = start + most // 2 + _quietest(samples[start + most // 2 : start + most])
        cuts.append(Cut(start, end))
        start = end
    if len(samples) > start:
        cuts.append(Cut(start, len(samples)))
    return cuts


def _quietest(samples: Samples) -> int:
    """The sample in the middle of the quietest 0.2 s; the last of them where several are."""
    frames = samples[: len(samples) // _STEP * _STEP].reshape(-1, _STEP)
    energy = np.square(frames, dtype=np.float64).mean(axis=1)
    window = min(_SMOOTH, len(energy))
    smooth = np.convolve(energy, np.full(window, 1 / window), mode="valid")
    quiet = smooth <= smooth.min() * 1.01 + 1e-12
    return int(np.flatnonzero(quiet)[-1] + window // 2) * _STEP
