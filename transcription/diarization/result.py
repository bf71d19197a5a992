"""Diarization: what a diarizer finds in a recording."""

from dataclasses import dataclass, field

from transcription.transcript import SpeakerMatch, SpeakerTurn, Voiceprint


@dataclass(frozen=True)
class Diarization:
    """Who speaks when. Labels are SPEAKER_00, SPEAKER_01, … in order of appearance, or names of known speakers.

    turns: the regular diarization: turns may overlap.
    exclusive: the exclusive diarization: one speaker at a time.
    warnings: messages for the reader, one sentence each.
    voiceprints: by label; without those who never talk alone for long enough.
    matches: how much each voice is like the known speaker next to it; empty without known speakers.
    """

    turns: tuple[SpeakerTurn, ...] = ()
    exclusive: tuple[SpeakerTurn, ...] = ()
    warnings: tuple[str, ...] = ()
    voiceprints: dict[str, Voiceprint] = field(default_factory=dict)
    matches: tuple[SpeakerMatch, ...] = ()
