"""Recordings whose speaker turns are known."""

import json
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from transcription.audio import Audio, read_file
from transcription.rttm import read_rttm
from transcription.transcript import SpeakerTurn


@dataclass(frozen=True)
class Utterance:
    """What one person says between two times, in seconds."""

    speaker: str
    start: float
    end: float
    text: str


@dataclass(frozen=True)
class Conversation:
    """A recording with its truth. Turns and utterances may overlap."""

    path: Path
    language: str
    turns: tuple[SpeakerTurn, ...]
    utterances: tuple[Utterance, ...]

    @property
    def name(self) -> str:
        return self.path.stem

    @property
    def speakers(self) -> int:
        """The number of people who talk."""
        return len({turn.speaker for turn in self.turns})

    def load(self) -> Audio:
        return read_file(self.path)


def read_conversations(path: Path) -> list[Conversation]:
    """Return the recordings of a manifest that have turns and say who says what.

    A line of the manifest has file and language, the turns as rttm_words (bounds of words) or rttm, and the JSON file
    turns or clips, with speaker, start, end and text of each utterance. File names are relative to the manifest.
    """
    lines = (json.loads(line) for line in path.read_text().splitlines() if line)
    return [
        _conversation(line, path.parent)
        for line in lines
        if line.get("rttm") and (line.get("turns") or line.get("clips"))
    ]


def _conversation(line: dict[str, Any], folder: Path) -> Conversation:
    utterances = json.loads((folder / (line.get("turns") or line["clips"])).read_text())
    return Conversation(
        folder / line["file"],
        line["language"],
        tuple(read_rttm((folder / (line.get("rttm_words") or line["rttm"])).read_text())),
        tuple(Utterance(one["speaker"], one["start"], one["end"], one["text"]) for one in utterances),
    )


def choose(conversations: Iterable[Conversation], names: Iterable[str], limit: int | None) -> list[Conversation]:
    """Return the conversations whose name begins with one of `names`, all without names; at most `limit`."""
    prefixes = tuple(names)
    return [one for one in conversations if not prefixes or one.name.startswith(prefixes)][:limit]
