"""Where long audio is cut into windows."""

from collections.abc import Iterator
from dataclasses import dataclass, replace

import numpy as np

from transcription.audio import SAMPLE_RATE, Samples
from transcription.config import InferenceConfig
from transcription.transcript import Segment
from transcription.vad.silero import FRAME, speech

_NOBODY = 0.3  # probability of speech under which nobody speaks
_PAUSE = 8  # frames of 32 ms: shorter gaps are inside words
_STEP = SAMPLE_RATE // 100  # loudness is looked at every 10 ms
_SMOOTH = 20  # over 0.2 s


@dataclass(frozen=True)
class Chunk:
    """A window: pieces of the audio, in samples, that follow on each other in it."""

    pieces: tuple[tuple[int, int], ...]

    @property
    def end(self) -> int:
        """Where its last piece ends."""
        return self.pieces[-1][1]

    @property
    def seconds(self) -> float:
        """How long it is."""
        return sum(end - start for start, end in self.pieces) / SAMPLE_RATE

    def of(self, samples: Samples) -> Samples:
        """Its part of the audio."""
        parts = [samples[start:end] for start, end in self.pieces]
        return parts[0] if len(parts) == 1 else np.concatenate(parts)

    def at(self, seconds: float, ends: bool = False) -> float:
        """The time in the audio of a time in the window; of one that ends something, where two pieces meet."""
        left = seconds
        for start, end in self.pieces[:-1]:
            length = (end - start) / SAMPLE_RATE
            if left < length or (ends and left <= length):
                return start / SAMPLE_RATE + left
            left -= length
        return self.pieces[-1][0] / SAMPLE_RATE + left

    def to_recording_time(self, segment: Segment) -> Segment:
        """A segment of the window, with its times in the audio."""
        return replace(
            segment,
            start=self.at(segment.start),
            end=self.at(segment.end, ends=True),
            words=tuple(
                replace(word, start=self.at(word.start), end=self.at(word.end, ends=True)) for word in segment.words
            ),
        )


def windows(samples: Samples, config: InferenceConfig) -> Iterator[Chunk]:
    """Windows as the request wants them: chunk_length_s, and vad_filter with its threshold, silence and padding."""
    return packed(samples, config) if config.vad_filter else cut(samples, config.chunk_length_s)


def packed(samples: Samples, config: InferenceConfig) -> Iterator[Chunk]:
    """Windows of speech alone, as many stretches of it in each as fit.

    Between stretches lie pauses of vad_silence_ms and more, of which vad_padding_ms stay on both sides.
    """
    longest = config.chunk_length_s
    most, pieces, held = int(longest * SAMPLE_RATE), list[tuple[int, int]](), 0
    for first, last in _stretches(samples, config):
        for part in cut(samples[first:last], longest):
            start, end = first + part.pieces[0][0], first + part.end
            if pieces and held + end - start > most:
                yield Chunk(tuple(pieces))
                pieces, held = [], 0
            pieces.append((start, end))
            held += end - start
    if pieces:
        yield Chunk(tuple(pieces))


def _stretches(samples: Samples, config: InferenceConfig) -> Iterator[tuple[int, int]]:
    """Where somebody speaks, with the shorter pauses inside."""
    silence, padding = (
        milliseconds * SAMPLE_RATE // 1000 // FRAME for milliseconds in (config.vad_silence_ms, config.vad_padding_ms)
    )
    padding = min(padding, silence // 2)  # or one stretch would run into the next
    spoken = np.flatnonzero(speech(samples) >= config.vad_threshold)
    if not len(spoken):
        return
    breaks = np.flatnonzero(np.diff(spoken) > silence)
    for first, last in zip(spoken[np.r_[0, breaks + 1]], spoken[np.r_[breaks, -1]], strict=True):
        yield max((first - padding) * FRAME, 0), min((last + 1 + padding) * FRAME, len(samples))


def cut(samples: Samples, longest: float) -> Iterator[Chunk]:
    """Windows of at most `longest` seconds that follow on each other and leave nothing out.

    Each is as long as it can be: it ends in the last pause of its last two thirds, else at the quietest moment of
    its last half. Pauses are looked for backwards, and as windows are asked for.
    """
    most = int(longest * SAMPLE_RATE)
    start = 0
    while len(samples) - start > most:
        end = start + _last_pause(samples[start : start + most])
        yield Chunk(((start, end),))
        start = end
    if len(samples) > start:
        yield Chunk(((start, len(samples)),))


def _last_pause(samples: Samples) -> int:
    """The sample at which to end a window that is too long by what follows."""
    sixth = len(samples) // 6
    for first in range(5 * sixth, sixth, -sixth):
        within = _pause(samples[first : first + sixth])
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
