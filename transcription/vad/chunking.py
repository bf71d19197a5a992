"""Split long audio into windows for the model."""

from collections.abc import Iterator
from dataclasses import dataclass, replace

import numpy as np

from transcription.audio import SAMPLE_RATE, Samples
from transcription.config import InferenceConfig
from transcription.transcript import Segment
from transcription.vad.silero import FRAME, speech_probabilities

_MAX_SILENCE_PROBABILITY = 0.3  # a frame below this speech probability is silence
_MIN_PAUSE_FRAMES = 8  # of 32 ms; shorter gaps occur inside words
_ENERGY_STEP = SAMPLE_RATE // 100  # 10 ms
_ENERGY_WINDOW = 20  # steps: 0.2 s


@dataclass(frozen=True)
class Chunk:
    """A window: one or more pieces (start, end) of the audio, in samples, joined one after the other."""

    pieces: tuple[tuple[int, int], ...]

    @property
    def end(self) -> int:
        """The end of the last piece, in samples of the audio."""
        return self.pieces[-1][1]

    @property
    def seconds(self) -> float:
        """The length of the window in seconds."""
        return sum(end - start for start, end in self.pieces) / SAMPLE_RATE

    def of(self, samples: Samples) -> Samples:
        """Return the samples of the window, from all samples of the audio."""
        parts = [samples[start:end] for start, end in self.pieces]
        return parts[0] if len(parts) == 1 else np.concatenate(parts)

    def after(self, seconds: float) -> "Chunk":
        """Return the rest of the window from a time in it, in seconds."""
        skipped = round(seconds * SAMPLE_RATE)
        pieces = []
        for start, end in self.pieces:
            if skipped < end - start:
                pieces.append((start + skipped, end))
            skipped = max(skipped - (end - start), 0)
        return Chunk(tuple(pieces))

    def until(self, seconds: float) -> "Chunk":
        """Return the window up to a time in it, in seconds."""
        left = round(seconds * SAMPLE_RATE)
        pieces = []
        for start, end in self.pieces:
            if left > 0:
                pieces.append((start, min(start + left, end)))
            left -= end - start
        return Chunk(tuple(pieces))

    def at(self, seconds: float, is_end: bool = False) -> float:
        """Return the time in the audio of a time in the window.

        is_end: the time ends a word or a segment. Where two pieces meet, it is the end of the first piece.
        """
        remaining = seconds
        for start, end in self.pieces[:-1]:
            length = (end - start) / SAMPLE_RATE
            if remaining < length or (is_end and remaining <= length):
                return start / SAMPLE_RATE + remaining
            remaining -= length
        return self.pieces[-1][0] / SAMPLE_RATE + remaining

    def spans(self, start: float, end: float) -> Iterator[tuple[float, float]]:
        """Yield the intervals of the audio, in seconds, that lie between two times in the window."""
        offset = 0.0
        for first, last in self.pieces:
            piece_start, length = first / SAMPLE_RATE, (last - first) / SAMPLE_RATE
            if start < offset + length and end > offset:
                yield piece_start + max(start - offset, 0.0), piece_start + min(end - offset, length)
            offset += length

    def to_recording_time(self, segment: Segment) -> Segment:
        """Return a segment of the window with its times in the audio."""
        return replace(
            segment,
            start=self.at(segment.start),
            end=self.at(segment.end, is_end=True),
            words=tuple(
                replace(word, start=self.at(word.start), end=self.at(word.end, is_end=True)) for word in segment.words
            ),
        )


def windows(samples: Samples, config: InferenceConfig) -> Iterator[Chunk]:
    """Yield the windows of a request: of speech only with vad_filter, else of all audio."""
    return pack_speech(samples, config) if config.vad_filter else split_at_pauses(samples, config.chunk_length_s)


def pack_speech(samples: Samples, config: InferenceConfig) -> Iterator[Chunk]:
    """Yield windows of speech. Each has as many speech intervals as fit in chunk_length_s.

    Pauses of vad_silence_ms or longer are skipped, except for vad_padding_ms on both sides.
    """
    max_samples = int(config.chunk_length_s * SAMPLE_RATE)
    pieces, length = list[tuple[int, int]](), 0
    for first, last in _speech_intervals(samples, config):
        for part in split_at_pauses(samples[first:last], config.chunk_length_s):
            start, end = first + part.pieces[0][0], first + part.end
            if pieces and length + end - start > max_samples:
                yield Chunk(tuple(pieces))
                pieces, length = [], 0
            pieces.append((start, end))
            length += end - start
    if pieces:
        yield Chunk(tuple(pieces))


def _speech_intervals(samples: Samples, config: InferenceConfig) -> Iterator[tuple[int, int]]:
    """Yield intervals of speech, in samples. They include shorter pauses."""
    silence, padding = (
        milliseconds * SAMPLE_RATE // 1000 // FRAME for milliseconds in (config.vad_silence_ms, config.vad_padding_ms)
    )
    padding = min(padding, silence // 2)  # or two intervals would overlap
    speech = np.flatnonzero(speech_probabilities(samples) >= config.vad_threshold)
    if not len(speech):
        return
    breaks = np.flatnonzero(np.diff(speech) > silence)
    for first, last in zip(speech[np.r_[0, breaks + 1]], speech[np.r_[breaks, -1]], strict=True):
        yield max((first - padding) * FRAME, 0), min((last + 1 + padding) * FRAME, len(samples))


def split_at_pauses(samples: Samples, max_seconds: float) -> Iterator[Chunk]:
    """Yield windows of at most `max_seconds` that cover all samples, one after the other.

    A window ends in the last pause of its last two thirds. If there is no pause, it ends at the quietest moment of its
    second half. Pauses are searched only when the next window is requested.
    """
    max_samples = int(max_seconds * SAMPLE_RATE)
    start = 0
    while len(samples) - start > max_samples:
        end = start + _best_end(samples[start : start + max_samples])
        yield Chunk(((start, end),))
        start = end
    if len(samples) > start:
        yield Chunk(((start, len(samples)),))


def _best_end(samples: Samples) -> int:
    """Return the sample at which a window of maximum length should end."""
    sixth = len(samples) // 6
    for start in range(5 * sixth, sixth, -sixth):  # backwards, to stop at the last pause
        pause = _last_pause(samples[start : start + sixth])
        if pause is not None:
            return start + pause
    half = len(samples) // 2
    return half + _quietest(samples[half:])


def _last_pause(samples: Samples) -> int | None:
    """Return the middle of the last pause, in samples; None if there is no pause."""
    is_silent = np.concatenate([[False], speech_probabilities(samples) < _MAX_SILENCE_PROBABILITY, [False]])
    starts = np.flatnonzero(is_silent[1:] & ~is_silent[:-1])
    ends = np.flatnonzero(~is_silent[1:] & is_silent[:-1])
    pauses = np.flatnonzero(ends - starts >= _MIN_PAUSE_FRAMES)
    if not len(pauses):
        return None
    last = pauses[-1]
    return int(min((starts[last] + ends[last]) * FRAME // 2, len(samples)))


def _quietest(samples: Samples) -> int:
    """Return the sample in the middle of the quietest 0.2 s; of the last one if several are equal."""
    frames = samples[: len(samples) // _ENERGY_STEP * _ENERGY_STEP].reshape(-1, _ENERGY_STEP)
    energy = np.square(frames, dtype=np.float64).mean(axis=1)
    size = min(_ENERGY_WINDOW, len(energy))
    mean_energy = np.convolve(energy, np.full(size, 1 / size), mode="valid")
    is_quietest = mean_energy <= mean_energy.min() * 1.01 + 1e-12
    return int(np.flatnonzero(is_quietest)[-1] + size // 2) * _ENERGY_STEP
