"""The names that a reader gives to speakers."""

from collections.abc import Mapping
from dataclasses import replace
from typing import TypeVar

from transcription.transcript import Segment, SpeakerTurn, Transcript, Word

MAX_NAME = 80  # characters
T = TypeVar("T", Word, Segment, SpeakerTurn)


def rename_speakers(transcript: Transcript, names: Mapping[str, str]) -> Transcript:
    """Return the transcript with these names in place of the speakers' labels.

    Two speakers with the same name become one. A name without printable characters is ignored.
    """
    clean_names = {label: name for label, text in names.items() if (name := clean_name(text))}

    def name_of(label: str | None) -> str | None:
        return clean_names.get(label, label) if label is not None else None

    def rename_word(word: Word) -> Word:
        return replace(word, speaker=name_of(word.speaker), second_speaker=name_of(word.second_speaker))

    segments = tuple(
        replace(segment, speaker=name_of(segment.speaker), words=tuple(map(rename_word, segment.words)))
        for segment in transcript.segments
    )
    turns = transcript.turns and tuple(replace(turn, speaker=str(name_of(turn.speaker))) for turn in transcript.turns)
    return replace(transcript, segments=segments, turns=turns)


def clean_name(text: str) -> str:
    """Return a name as one line of printable characters, at most MAX_NAME. It may be empty."""
    printable = "".join(character if character.isprintable() else " " for character in text)
    return " ".join(printable.split())[:MAX_NAME].strip()
