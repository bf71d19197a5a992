"""Transcript and its parts: the result of an engine, and the input of every format. Times are seconds, float."""

from dataclasses import dataclass, replace


@dataclass(frozen=True)
class Word:
    """One word, with the space before it as the model wrote it, e.g. " report".

    probability: probability of the word, 0 to 1.
    confidence: confidence of the speaker, 0 to 1.
    second_speaker: the second most likely speaker, if the confidence is low.
    overlap: whether several people talk during the word.
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
    """One token of the text.

    token: the decoded text; U+FFFD if the token is only a part of a character.
    data: the bytes of the token.
    logprob: the log-probability of the token.
    """

    token: str
    data: bytes
    logprob: float


@dataclass(frozen=True)
class Segment:
    """The text between two timestamps of the model. `logprobs` is empty unless the request asks for it."""

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
    """One speaker talks from start to end."""

    speaker: str
    start: float
    end: float


@dataclass(frozen=True)
class Transcript:
    """The transcript of one recording. Segments are in order of time.

    language: Whisper's code, e.g. "en", given or detected; None for an English-only model or without audio.
    language_probability: probability of the detected language; None if the request gave the language.
    duration: seconds of audio.
    partial: a part of the recording is missing, because the file was truncated or damaged.
    turns: speaker turns sorted by start, which may overlap; None if no speakers were assigned.
    warnings: messages for the reader, one sentence each.
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
        """Text of all segments, in one line."""
        return "".join(segment.text for segment in self.segments).strip()

    @property
    def words(self) -> tuple[Word, ...]:
        """Words of all segments."""
        return tuple(word for segment in self.segments for word in segment.words)

    @property
    def speakers(self) -> tuple[str, ...]:
        """Labels of all speakers who have a turn, in order of appearance."""
        return tuple(dict.fromkeys(turn.speaker for turn in self.turns or ()))

    def without_words(self) -> "Transcript":
        """Return the transcript with times of segments only."""
        return replace(self, segments=tuple(replace(segment, words=()) for segment in self.segments))
