"""What happens in a live session. All times are seconds since the start of the session."""

from dataclasses import dataclass

from transcription.errors import TranscriptionError
from transcription.transcript import Transcript, Word


@dataclass(frozen=True)
class SpeechStarted:
    """Somebody begins to speak: a turn begins. item: its name in all later events."""

    item: str
    start: float


@dataclass(frozen=True)
class SpeechStopped:
    """A pause ends the turn."""

    item: str
    end: float


@dataclass(frozen=True)
class TurnCommitted:
    """A turn has ended, by a pause or a commit. previous: the item before it."""

    item: str
    previous: str | None


@dataclass(frozen=True)
class WordsAdded:
    """Words of a turn that are not taken back."""

    item: str
    words: tuple[Word, ...]

    @property
    def text(self) -> str:
        """The text of the words, with their spaces."""
        return "".join(word.word for word in self.words)


@dataclass(frozen=True)
class TurnCompleted:
    """A turn, decoded as a file is. seconds: of its audio."""

    item: str
    transcript: Transcript
    seconds: float


@dataclass(frozen=True)
class TurnFailed:
    """A turn cannot be decoded."""

    item: str
    error: TranscriptionError


LiveEvent = SpeechStarted | SpeechStopped | TurnCommitted | WordsAdded | TurnCompleted | TurnFailed
