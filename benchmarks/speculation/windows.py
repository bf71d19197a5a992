"""Windows of recordings for distillation: as the engine cuts them, cut at other places, and clips joined at random."""

import random
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from fnmatch import fnmatch

import numpy as np

from benchmarks.speech.recordings import Recording
from transcription.audio import SAMPLE_RATE, Samples
from transcription.config import InferenceConfig
from transcription.vad.chunking import windows

_WINDOW_SECONDS = 30
_CLIP_SECONDS = 16  # a shorter recording is a clip, and may be joined with others
_PAUSE_SECONDS = (0.1, 0.8)  # between joined clips


@dataclass(frozen=True, eq=False)
class Spoken:
    """Samples of at most 30 s at 16 kHz, and their language (ISO 639-1)."""

    samples: Samples
    language: str


def matches(file: str, patterns: Iterable[str]) -> bool:
    """Return whether a file's name is like one of the patterns (`*` and `?` stand for anything)."""
    return any(fnmatch(file, pattern) for pattern in patterns)


def cut(recordings: Sequence[Recording], offset: float = 0.0) -> Iterator[Spoken]:
    """Yield the windows that the engine cuts, from so many seconds on.

    With an offset, only recordings longer than a window are cut: a clip would lose its first words.
    """
    for recording in recordings:
        samples = recording.load()
        if offset and len(samples) <= _WINDOW_SECONDS * SAMPLE_RATE:
            continue
        rest = samples[int(offset * SAMPLE_RATE) :]
        for chunk in windows(rest, InferenceConfig()):
            yield Spoken(chunk.of(rest), recording.language)


def joined(recordings: Sequence[Recording], generator: random.Random) -> Iterator[Spoken]:
    """Yield windows of clips of one language, in random order with short pauses; every clip is in one of them."""
    clips: dict[str, list[Samples]] = {}
    for recording in recordings:
        samples = recording.load()
        if len(samples) < _CLIP_SECONDS * SAMPLE_RATE:
            clips.setdefault(recording.language, []).append(samples)
    for language, spoken in clips.items():
        generator.shuffle(spoken)
        parts: list[Samples] = []
        for samples in spoken:
            pause = np.zeros(int(generator.uniform(*_PAUSE_SECONDS) * SAMPLE_RATE), np.float32)
            if parts and sum(map(len, parts)) + len(samples) > _WINDOW_SECONDS * SAMPLE_RATE - len(pause):
                yield Spoken(np.concatenate(parts[:-1]), language)
                parts = []
            parts += [samples, pause]
        yield Spoken(np.concatenate(parts[:-1]), language)


def training_windows(recordings: Sequence[Recording], passes: int) -> list[Spoken]:
    """Return the windows of the recordings, and so many passes over them cut and joined in other ways."""
    found = list(cut(recordings))
    for number in range(passes):
        generator = random.Random(number)
        found += [*cut(recordings, generator.uniform(3.0, 25.0)), *joined(recordings, generator)]
    return found
