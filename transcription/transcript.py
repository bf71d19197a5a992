"""What was said: the types that flow from the engine to the formats. Times are seconds, float."""

from dataclasses import dataclass


@dataclass(frozen=True)
class Word:
    """One word with the space before it as the model wrote it, e.g. " report".

    probability: of the word. confidence: of its speaker, 0 to 1. second_speaker: who else it may be,
    where that is close. overlap: several people talk during it.
    """

    word: str
    start: float
    end: float
    probability: float | None = None
    speaker: str | None = None
    confidence: float | None = None
    second_speaker: str | None = None
    overlap: bool = False


@dataclass(frozen=True)
class TokenLogprob:
    """One token of the text: what it decodes to (of a part of a character, U+FFFD), its bytes, its log-probability."""

    token: str
    data: bytes
    logprob: float


@dataclass(frozen=True)
class Segment:
    """A stretch of talk between two timestamps of the model; `logprobs` only where they were asked for."""

    text: str
    start: float
    end: float
    words: tuple[Word, ...] = ()
    speaker: str | None = None
    tokens: tuple[int, ...] = ()
    temperature: float = 0.0
    avg_logprob: float | None = None
    compression_ratio: float | None = None
    no_speech_prob: float | None = None
    logprobs: tuple[TokenLogprob, ...] = ()


@dataclass(frozen=True)
class SpeakerTurn:
    """Someone speaks from start to end."""

    speaker: str
    start: float
    end: float


@dataclass(frozen=True)
class Transcript:
    """All that was said in one recording, in order.

    language: ISO 639-1 code, given or detected; None for an English-only model or without audio.
    language_probability: of the detected language, None where it was given.
    duration: seconds of the audio. partial: the audio ended before its container said it would.
    turns: who speaks when, by start, may overlap; None where speakers were not told apart.
    warnings: what the reader should know, one sentence each.
    """

    segments: tuple[Segment, ...] = ()
    language: str | None = None
    duration: float = 0.0
    task: str = "transcribe"
    language_probability: float | None = None
    turns: tuple[SpeakerTurn, ...] | None = None
    partial: bool = False
    warnings: tuple[str, ...] = ()

    @property
    def text(self) -> str:
        """All segments' text in one line."""
        return "".join(segment.text for segment in self.segments).strip()

    @property
    def words(self) -> tuple[Word, ...]:
        """All segments' words."""
        return tuple(word for segment in self.segments for word in segment.words)

    @property
    def speakers(self) -> tuple[str, ...]:
        """Everyone who has a turn, in order of appearance."""
        return tuple(dict.fromkeys(turn.speaker for turn in self.turns or ()))
