"""Names for speakers, as their reader gives them."""

from collections.abc import Mapping
from dataclasses import replace
from typing import TypeVar

from transcription.transcript import Segment, SpeakerTurn, Transcript, Word

LONGEST = 80  # characters
T = TypeVar("T", Word, Segment, SpeakerTurn)


def renamed(transcript: Transcript, names: Mapping[str, str]) -> Transcript:
    """The same transcript with the speakers called so; two with one name are one."""
    known = {speaker: name for speaker, given in names.items() if (name := cleaned(given))}

    def called(speaker: str | None) -> str | None:
        return known.get(speaker, speaker) if speaker is not None else None

    def word(one: Word) -> Word:
        return replace(one, speaker=called(one.speaker), second_speaker=called(one.second_speaker))

    segments = tuple(
        replace(one, speaker=called(one.speaker), words=tuple(map(word, one.words))) for one in transcript.segments
    )
    turns = transcript.turns and tuple(replace(turn, speaker=str(called(turn.speaker))) for turn in transcript.turns)
    return replace(transcript, segments=segments, turns=turns)


def cleaned(name: str) -> str:
    """A name in one line, without what is not printed; empty where nothing is left."""
    return " ".join("".join(one if one.isprintable() else " " for one in name).split())[:LONGEST].strip()
