"""The shapes of the JSON documents. FastAPI describes them in the OpenAPI document."""

from typing import Literal, NotRequired

from typing_extensions import TypedDict  # pydantic accepts typing's own from Python 3.12


class SpeakerConfidence(TypedDict):
    """The speaker of a word, present only if speakers are known."""

    speaker: NotRequired[str | None]
    confidence: NotRequired[float | None]  # of the speaker, 0 to 1
    second_speaker: NotRequired[str]  # another possible speaker
    overlap: NotRequired[Literal[True]]  # several people talk during the word


class Chunk(SpeakerConfidence):
    """A word if words are timed, else a segment."""

    text: str
    timestamp: list[float | None]  # start and end, in seconds; null for a word that is not said
    said: NotRequired[Literal[False]]  # a word of the given text that is not said
    language: NotRequired[str | None]  # a code, present only if the recording has several languages


class SpeakerText(TypedDict):
    """Consecutive segments of one speaker."""

    speaker: str | None
    text: str
    timestamp: list[float]


class Notes(TypedDict):
    """What a reader should know about the transcript."""

    partial: NotRequired[Literal[True]]  # the file was truncated
    warnings: NotRequired[list[str]]


class CoverageEntry(TypedDict):
    """What became of the audio between two times."""

    start: float
    end: float
    kind: Literal["transcribed", "silent", "uncertain"]  # uncertain: somebody speaks, and there is no text


class KnownSpeakerEntry(TypedDict):
    """How much the voice of a speaker is like the known speaker next to it."""

    speaker: str  # the label in this document
    nearest: str  # the name of the known speaker
    score: float  # cosine similarity, −1 to 1
    threshold: float  # from this score on, the speaker gets the name


class VoiceprintEntry(TypedDict):
    """The voice of a speaker, which known_speakers accepts."""

    embedding: str  # identity of the model
    vector: list[float]  # of length 1


class Voices(TypedDict):
    """What is known of the voices, present only if the request asks for it."""

    known_speakers: NotRequired[list[KnownSpeakerEntry]]
    voiceprints: NotRequired[dict[str, VoiceprintEntry]]  # by label


class ChunksDocument(Notes, Voices):
    """The answer of the endpoint."""

    text: str
    chunks: list[Chunk]
    speakers: list[SpeakerText]
    language: str | None
    duration: float
    num_speakers: NotRequired[int]
    coverage: NotRequired[list[CoverageEntry]]  # of the whole recording, in order


class LogprobEntry(TypedDict):
    """One token of the text."""

    token: str
    bytes: list[int]
    logprob: float


class Usage(TypedDict):
    """OpenAI's usage by duration."""

    type: Literal["duration"]
    seconds: float


class OpenAIDocument(Notes):
    """What the server adds to each of OpenAI's documents."""

    usage: NotRequired[Usage]


class LanguageEntry(TypedDict):
    """A language by its ISO 639-1 code."""

    code: str


class JsonDocument(OpenAIDocument):
    """OpenAI's json."""

    text: str
    languages: NotRequired[list[LanguageEntry]]
    logprobs: NotRequired[list[LogprobEntry]]


class VerboseSegment(TypedDict):
    """A segment with the measures of its decoding."""

    id: int
    seek: int  # in feature frames of 10 ms
    start: float
    end: float
    text: str
    tokens: list[int]
    temperature: float
    avg_logprob: float
    compression_ratio: float
    no_speech_prob: float
    language: NotRequired[str]  # a code; absent if the model is English only
    speaker: NotRequired[str | None]


class VerboseWord(SpeakerConfidence):
    """A word with its times and its probability."""

    word: str
    start: float | None  # null for a word that is not said
    end: float | None
    probability: float | None
    said: NotRequired[Literal[False]]  # a word of the given text that is not said


class VerboseDocument(OpenAIDocument, Voices):
    """OpenAI's verbose_json."""

    task: str
    language: str | None
    duration: float
    text: str
    segments: NotRequired[list[VerboseSegment]]
    words: NotRequired[list[VerboseWord]]
    coverage: NotRequired[list[CoverageEntry]]  # of the whole recording, in order


class DiarizedSegment(TypedDict):
    """Consecutive segments of one speaker: the name of a known one, or A, B, …, or unknown."""

    type: Literal["transcript.text.segment"]
    id: str
    start: float
    end: float
    text: str
    speaker: str


class DiarizedDocument(OpenAIDocument, Voices):
    """OpenAI's diarized_json."""

    task: str
    duration: float
    text: str
    segments: list[DiarizedSegment]
