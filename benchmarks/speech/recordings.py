"""Recordings with their truth: a manifest of JSON lines, and sounds without speech."""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import zip_longest
from pathlib import Path
from typing import Any, Literal

import numpy as np

from transcription.audio import SAMPLE_RATE, Samples, read_file

Unit = Literal["words", "characters", "mixed"]
"""What is counted. mixed: characters of Chinese, Japanese and Korean, words of other scripts."""
GROUPS: dict[str, tuple[str, Unit]] = {
    "clean": ("clean English", "words"),
    "languages": ("other languages", "words"),
    "characters": ("zh, ja, ko (CER)", "characters"),
    "meetings": ("meetings", "words"),
    "conversation": ("conversation, telephone, noise", "words"),
    "long": ("long", "words"),
    "code-switch": ("code-switch", "mixed"),
    "no-speech": ("no speech", "words"),
}
"""Title and unit of each group, in the order of the table."""
_BY_KIND = {
    "clean read": "clean", "other-language": "languages", "conversation": "conversation", "telephone": "conversation",
    "noisy": "conversation", "long": "long", "code-switch": "code-switch", "no-speech": "no-speech",
}  # fmt: skip
_CHARACTER_LANGUAGES = ("zh", "ja", "ko")
_FEW_WORDS, _LONG_SECONDS = 2, 20.0  # so few words in so long a recording count as no speech


@dataclass(frozen=True)
class Turn:
    """What one person says from `start` (seconds) on."""

    speaker: str
    start: float
    text: str


@dataclass(frozen=True)
class Recording:
    """A recording and its truth.

    text: None if unknown. turns: with starts that are known to 0.1 s, one after the other; empty if unknown.
    utterances: what each speaker says where several talk at the same time; empty elsewhere.
    """

    file: str
    language: str
    group: str
    text: str | None
    samples: Samples | Path
    turns: tuple[Turn, ...] = ()
    utterances: tuple[Turn, ...] = ()

    @property
    def unit(self) -> Unit:
        return GROUPS[self.group][1]

    def load(self) -> Samples:
        """Return the samples, 16 kHz mono."""
        return read_file(self.samples).samples if isinstance(self.samples, Path) else self.samples


def read_manifest(path: Path) -> list[Recording]:
    """Return the recordings of a manifest, whose file names are relative to its folder.

    A line has file, language, kind, seconds and text; it may name JSON files in clips (parts that were put together)
    and in turns (who says what, with overlap).
    """
    return [_recording(json.loads(line), path.parent) for line in path.read_text().splitlines() if line]


def _recording(line: dict[str, Any], folder: Path) -> Recording:
    return Recording(
        line["file"], line["language"], group_of(line), line["text"], folder / line["file"],
        turns=_turns(folder, line.get("clips")), utterances=_turns(folder, line.get("turns")),
    )  # fmt: skip


def group_of(line: dict[str, Any]) -> str:
    """Return the group of a manifest's line. A recording with overlapping turns is a meeting."""
    text = line["text"]
    if text is not None and len(text.split()) <= _FEW_WORDS and line["seconds"] >= _LONG_SECONDS:
        return "no-speech"
    if line.get("turns"):
        return "meetings"
    group = _BY_KIND[line["kind"]]
    return "characters" if group == "languages" and line["language"] in _CHARACTER_LANGUAGES else group


def _turns(folder: Path, name: str | None) -> tuple[Turn, ...]:
    if name is None:
        return ()
    return tuple(Turn(turn["speaker"], turn["start"], turn["text"]) for turn in json.loads((folder / name).read_text()))


def without_speech() -> list[Recording]:
    """Return silence, noise, tones and hum, the same in every run."""
    sounds = {
        "silence 1 s": np.zeros(SAMPLE_RATE),
        "silence 30 s": np.zeros(30 * SAMPLE_RATE),
        "silence 75 s": np.zeros(75 * SAMPLE_RATE),
        "white noise -70 dB 30 s": _noise(-70, 30),
        "white noise -50 dB 10 s": _noise(-50, 10),
        "white noise -30 dB 30 s": _noise(-30, 30),
        "tone 440 Hz 10 s": _tones([440], 10),
        "dial tone 350 and 440 Hz 30 s": _tones([350, 440], 30),
        "mains hum 50 Hz 30 s": _tones([50, 100, 150], 30) + _noise(-60, 30),
    }
    return [
        Recording(f"{name}.made", "", "no-speech", "", samples.astype(np.float32)) for name, samples in sounds.items()
    ]


def _noise(decibels: float, seconds: int) -> Any:
    deviation = 10 ** (decibels / 20)
    return np.random.default_rng(0).normal(0, deviation, seconds * SAMPLE_RATE)


def _tones(frequencies: Sequence[float], seconds: int) -> Any:
    times = np.arange(seconds * SAMPLE_RATE) / SAMPLE_RATE
    return 0.1 * sum(np.sin(2 * np.pi * frequency * times) for frequency in frequencies)


def choose(recordings: Sequence[Recording], groups: Sequence[str], limit: int | None) -> list[Recording]:
    """Return at most `limit` recordings of each group: all first ones, all second ones, ….

    So a run that was interrupted has some of each group.
    """
    chosen = [[recording for recording in recordings if recording.group == group][:limit] for group in groups]
    return [recording for row in zip_longest(*chosen) for recording in row if recording is not None]
