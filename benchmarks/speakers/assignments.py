"""Ways to give words their speakers. All get the same words and the same turns."""

from collections.abc import Callable, Sequence
from dataclasses import replace

from benchmarks.merge import argmin
from benchmarks.speakers.conversations import Conversation
from transcription.diarization.assign import assign_speakers
from transcription.diarization.result import Diarization
from transcription.transcript import SpeakerTurn, Transcript, Word

Assign = Callable[[Transcript, Diarization, Conversation], list[Word]]
"""Return the words with speakers, in order. Only the oracle looks at the truth."""


def ours(transcript: Transcript, diarization: Diarization, conversation: Conversation) -> list[Word]:
    """Assign speakers as the service does."""
    return list(assign_speakers(transcript, diarization.turns, diarization.exclusive).words)


def whisperx(transcript: Transcript, diarization: Diarization, conversation: Conversation) -> list[Word]:
    """Assign speakers as WhisperX describes it: a word belongs to the speaker whose turns overlap it most.

    A word without times or outside all turns has no speaker (Bain et al. 2023, and its assign_word_speakers).
    """
    return [replace(word, speaker=_most_overlap(word, diarization.turns)) for word in transcript.words]


def _most_overlap(word: Word, turns: Sequence[SpeakerTurn]) -> str | None:
    overlaps: dict[str, float] = {}
    for turn in turns:
        seconds = min(turn.end, word.end) - max(turn.start, word.start)
        if seconds > 0:
            overlaps[turn.speaker] = overlaps.get(turn.speaker, 0.0) + seconds
    return max(overlaps, key=lambda name: overlaps[name], default=None)


def original(transcript: Transcript, diarization: Diarization, conversation: Conversation) -> list[Word]:
    """Assign speakers as the original handler did: by the ends of words and turns. It may lose words."""
    words = transcript.words
    return [replace(words[index], speaker=name) for name, index in argmin(transcript, diarization.turns)]


def oracle(transcript: Transcript, diarization: Diarization, conversation: Conversation) -> list[Word]:
    """Assign speakers as the service does, from the true turns: what is left is due to the words and their times."""
    return list(assign_speakers(transcript, conversation.turns).words)


ASSIGNMENTS: dict[str, Assign] = {
    "ours": ours,
    "most overlap (WhisperX)": whisperx,
    "nearest end (original handler)": original,
    "ours, true turns": oracle,
}
