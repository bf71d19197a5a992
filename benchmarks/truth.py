"""The ground truth of the shipped recordings."""

import json
from dataclasses import dataclass, field
from pathlib import Path


@dataclass(frozen=True)
class TrueWord:
    """A spoken word with its times in seconds."""

    word: str
    start: float
    end: float
    speaker: str


@dataclass(frozen=True)
class Truth:
    """The ground truth of a recording. english: translation of each sentence.

    segments: (start, end, text). turns: (speaker, start, end), which may overlap.
    """

    text: str
    english: str
    language: str
    duration: float
    segments: list[tuple[float, float, str]]
    words: list[TrueWord]
    turns: list[tuple[str, float, float]] = field(default_factory=list)


def read_truth(path: Path) -> Truth:
    """Return the ground truth of a recording."""
    fields = json.loads(path.with_suffix(".json").read_text())
    return Truth(**{**fields, "words": [TrueWord(**word) for word in fields["words"]]})
