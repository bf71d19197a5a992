"""Transcript and its parts: the result of an engine, and the input of every format. Times are seconds, float."""

import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any, Literal, Self

CoverageKind = Literal["transcribed", "silent", "uncertain"]


@dataclass(frozen=True)
class Word:
    """One word, with the space before it as the model wrote it, e.g. " report".

    probability: of the word being right, 0 to 1 (whisper/confidence.py).
    confidence: confidence of the speaker, 0 to 1.
    second_speaker: the second most likely speaker, if the confidence is low.
    overlap: whether several people talk during the word.
    said: false for a word of a given text that is not said; its start and end are where the word before it ends.
    """

    word: str
    start: float
    end: float
    probability: float | None = None
    speaker: str | None = None
    confidence: float | None = None
    second_speaker: str | None = None
    overlap: bool = False
    said: bool = True


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
    """The text between two timestamps of the model. `logprobs` is empty unless the request asks for it.

    language: Whisper's code; None for an English-only model.
    """

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
    language: str | None = None


def spoken_languages(segments: Iterable[Segment]) -> tuple[str, ...]:
    """Return the languages of segments; the one that is spoken longest comes first."""
    seconds: dict[str, float] = {}
    for segment in segments:
        if segment.language is not None:
            seconds[segment.language] = seconds.get(segment.language, 0.0) + segment.end - segment.start
    return tuple(sorted(seconds, key=lambda code: -seconds[code]))


@dataclass(frozen=True)
class SpeakerTurn:
    """One speaker talks from start to end."""

    speaker: str
    start: float
    end: float


@dataclass(frozen=True)
class Voiceprint:
    """A voice, as an embedding model describes it. Similar voices have a high cosine similarity.

    embedding: identity of the model; voiceprints of different models cannot be compared.
    vector: the embedding, of length 1.
    """

    embedding: str
    vector: tuple[float, ...]

    @classmethod
    def of(cls, embedding: str, vector: Iterable[float]) -> Self:
        """Return a voiceprint with the vector scaled to length 1. Raises ValueError if it has no direction."""
        values = [float(value) for value in vector]
        length = math.hypot(*values)
        if not math.isfinite(length) or length == 0:
            raise ValueError("the vector has no direction")
        return cls(embedding, tuple(round(value / length, 6) for value in values))

    @classmethod
    def from_document(cls, document: Any) -> Self:
        """Return the voiceprint in a JSON document. Raises ValueError or TypeError if it is none."""
        if not isinstance(document, Mapping) or not isinstance(document.get("embedding"), str):
            raise ValueError("no voiceprint")
        return cls.of(document["embedding"], document.get("vector") or ())

    def to_document(self) -> dict[str, Any]:
        """Return the JSON document of the voiceprint."""
        return {"embedding": self.embedding, "vector": list(self.vector)}

    def similarity(self, other: "Voiceprint") -> float:
        """Return the cosine similarity, −1 to 1."""
        return sum(a * b for a, b in zip(self.vector, other.vector, strict=True))


@dataclass(frozen=True)
class SpeakerMatch:
    """How much the voice of a speaker is like the known speaker next to it.

    speaker: the label: the name of the known speaker if it is this person, else another one.
    nearest: the name of the known speaker with the most similar voice.
    score: cosine similarity of the two voices, −1 to 1. At threshold or above, it is the same person.
    """

    speaker: str
    nearest: str
    score: float
    threshold: float


@dataclass(frozen=True)
class CoverageInterval:
    """What became of the audio from start to end: text, no speech, or speech without text (vad/coverage.py)."""

    start: float
    end: float
    kind: CoverageKind


@dataclass(frozen=True)
class Transcript:
    """The transcript of one recording. Segments are in order of time.

    language: Whisper's code, e.g. "en", given or detected; with several languages, the one that is spoken longest. None
        for an English-only model or without audio.
    language_probability: probability of the detected language; None if the request gave the language.
    duration: seconds of audio.
    partial: a part of the recording is missing, because the file was truncated or damaged.
    turns: speaker turns sorted by start, which may overlap; None if no speakers were assigned.
    warnings: messages for the reader, one sentence each.
    coverage: intervals that partition the recording, in order of time; empty if they are unknown.
    name: of the recording: its file name without folder and suffix; empty if it is unknown.
    matches: how much each voice is like a known speaker; empty if the request names none.
    voiceprints: by label of the speaker; empty unless the request asks for them.
    """

    segments: tuple[Segment, ...] = ()
    language: str | None = None
    duration: float = 0.0
    task: str = "transcribe"
    language_probability: float | None = None
    turns: tuple[SpeakerTurn, ...] | None = None
    partial: bool = False
    warnings: tuple[str, ...] = ()
    coverage: tuple[CoverageInterval, ...] = ()
    name: str = ""
    matches: tuple[SpeakerMatch, ...] = ()
    voiceprints: dict[str, Voiceprint] = field(default_factory=dict)

    @property
    def text(self) -> str:
        """Text of all segments, in one line."""
        return "".join(segment.text for segment in self.segments).strip()

    @property
    def words(self) -> tuple[Word, ...]:
        """Words of all segments."""
        return tuple(word for segment in self.segments for word in segment.words)

    @property
    def languages(self) -> tuple[str, ...]:
        """Languages of all segments; the one that is spoken longest comes first."""
        return spoken_languages(self.segments) or ((self.language,) if self.language else ())

    @property
    def speakers(self) -> tuple[str, ...]:
        """Labels of all speakers who have a turn, in order of appearance."""
        return tuple(dict.fromkeys(turn.speaker for turn in self.turns or ()))

    def with_warnings(self, *warnings: str) -> Self:
        """Return the transcript with more warnings."""
        return replace(self, warnings=(*self.warnings, *warnings)) if warnings else self

    def without_words(self) -> "Transcript":
        """Return the transcript with times of segments only."""
        return replace(self, segments=tuple(replace(segment, words=()) for segment in self.segments))
