"""What the routes take and give, for the OpenAPI document."""

import base64
import io
import wave
from typing import Any

from pydantic import BaseModel, Field

from transcription.formats import FORMATS
from transcription.server.parameters import SAID_OTHERWISE, AudioRequest


class ErrorDetail(BaseModel):
    """What was wrong, and with which parameter."""

    message: str
    type: str
    param: str | None
    code: str | None


class Error(BaseModel):
    """OpenAI's error object."""

    error: ErrorDetail


class PlainError(BaseModel):
    """Inference Endpoints' error object."""

    error: str


class Usage(BaseModel):
    """By duration, or, at the end of a stream, by tokens."""

    type: str
    seconds: float | None = None


class Language(BaseModel):
    """An ISO 639-1 code."""

    code: str


class Logprob(BaseModel):
    """One token."""

    token: str
    bytes: list[int]
    logprob: float


class Transcription(BaseModel):
    """response_format json."""

    text: str
    languages: list[Language] | None = None
    logprobs: list[Logprob] | None = None
    usage: Usage


class Word(BaseModel):
    """A word; who says it, how surely, and who else where speakers were told apart."""

    word: str
    start: float
    end: float
    probability: float | None
    speaker: str | None = None
    confidence: float | None = None
    second_speaker: str | None = None
    overlap: bool | None = None


class VerboseSegment(BaseModel):
    """A stretch between two time stamps of Whisper."""

    id: int
    seek: int
    start: float
    end: float
    text: str
    tokens: list[int]
    temperature: float
    avg_logprob: float | None
    compression_ratio: float | None
    no_speech_prob: float | None
    speaker: str | None = None


class VerboseTranscription(BaseModel):
    """response_format verbose_json."""

    task: str
    language: str | None
    duration: float
    text: str
    segments: list[VerboseSegment] | None = None
    words: list[Word] | None = None
    usage: Usage


class DiarizedSegment(BaseModel):
    """A turn of talk; speaker is null where nobody's turn is near."""

    type: str
    id: str
    start: float
    end: float
    text: str
    speaker: str | None


class DiarizedTranscription(BaseModel):
    """response_format diarized_json."""

    task: str
    duration: float
    text: str
    segments: list[DiarizedSegment]
    usage: Usage


class EndpointAnswer(BaseModel):
    """The handler's answer; another response_format adds a key of its own name."""

    text: str
    chunks: list[dict[str, Any]]
    speakers: list[dict[str, Any]]
    language: str | None
    duration: float


class Model(BaseModel):
    """A model that is served."""

    id: str
    object: str = "model"
    created: int
    owned_by: str


class Models(BaseModel):
    """All of them."""

    object: str = "list"
    data: list[Model]


class Health(BaseModel):
    """Whether the service works."""

    status: str = Field(examples=["ok"])


class ChatMessage(BaseModel):
    """The transcript."""

    role: str
    content: str


class ChatChoice(BaseModel):
    """There is one."""

    index: int
    message: ChatMessage
    finish_reason: str


class ChatCompletion(BaseModel):
    """chat.completion."""

    id: str
    object: str
    created: int
    model: str
    choices: list[ChatChoice]
    usage: dict[str, int]


def _silence() -> str:
    """A tenth of a second of it, as base64 text of a wav file: for examples that can be tried."""
    file = io.BytesIO()
    with wave.open(file, "wb") as sound:
        sound.setparams((1, 1, 8000, 0, "NONE", "NONE"))
        sound.writeframes(bytes([128]) * 800)
    return base64.b64encode(file.getvalue()).decode()


def chat_body() -> dict[str, Any]:
    """The JSON body of a chat completion."""
    audio = {"type": "object", "properties": {"data": {"type": "string"}, "format": {"type": "string"}}}
    part = {
        "type": "object",
        "properties": {
            "type": {"enum": ["input_audio", "audio_url", "text"]},
            "input_audio": audio,
            "audio_url": {"type": "object", "properties": {"url": {"type": "string"}}},
            "text": {"type": "string"},
        },
        "required": ["type"],
    }
    message = {
        "type": "object",
        "properties": {"role": {"type": "string"}, "content": {"type": "array", "items": part}},
        "required": ["role", "content"],
    }
    body = {
        "type": "object",
        "properties": {
            "model": {"type": "string"},
            "messages": {"type": "array", "items": message, "minItems": 1},
            "stream": {"type": "boolean"},
        },
        "required": ["messages"],
    }
    audio_part = {"type": "input_audio", "input_audio": {"data": _silence(), "format": "wav"}}
    example = {"model": "whisper-1", "messages": [{"role": "user", "content": [audio_part]}]}
    content = {"application/json": {"schema": body, "example": example}}
    return {"requestBody": {"required": True, "content": content}}


def endpoint_body() -> dict[str, Any]:
    """The body of the Inference Endpoints contract: JSON, or the recording itself."""
    body = {
        "type": "object",
        "properties": {
            "inputs": {"type": "string", "description": "base64 text of an audio file"},
            "parameters": {"type": "object", "description": "as in the README; null or absent"},
        },
        "required": ["inputs"],
    }
    example = {"inputs": _silence(), "parameters": {"timestamps": "word"}}
    content = {
        "application/json": {"schema": body, "example": example},
        "audio/*": {"schema": {"type": "string", "format": "binary"}},
    }
    return {"requestBody": {"required": True, "content": content}}


def audio_body() -> dict[str, Any]:
    """The multipart body of an audio route."""
    schema = AudioRequest.model_json_schema()
    shown = {
        name: _without_null(field, schema["$defs"])
        for name, field in schema["properties"].items()
        if name not in SAID_OTHERWISE
    }
    file = {"type": "string", "format": "binary", "description": "the recording, in any container"}
    form = {
        "type": "object",
        "properties": {"file": file, **shown},
        "required": ["file"],
        "additionalProperties": False,
    }
    return {"requestBody": {"required": True, "content": {"multipart/form-data": {"schema": form}}}}


def _without_null(field: dict[str, Any], definitions: dict[str, Any]) -> dict[str, Any]:
    """A form leaves out what has no value; definitions stand where they are used."""
    kinds = [
        definitions[kind["$ref"].rsplit("/", 1)[1]] if "$ref" in kind else kind
        for kind in field.get("anyOf", ())
        if kind.get("type") != "null"
    ]
    rest = {name: value for name, value in field.items() if name != "anyOf"}
    if not isinstance(rest.get("default"), str | int | float):  # an empty list, or nothing
        rest.pop("default", None)
    return {**rest, **(kinds[0] if len(kinds) == 1 else {"anyOf": kinds} if kinds else {})}


ERRORS: dict[int | str, dict[str, Any]] = {
    400: {"model": Error, "description": "the request cannot be served as it is: the message says what to do"},
    401: {"model": Error, "description": "the API key is missing or wrong"},
    408: {"model": Error, "description": "the body did not arrive in time"},
    413: {"model": Error, "description": "the audio is too large or too long"},
    415: {"model": Error, "description": "the body is not multipart/form-data"},
    429: {"model": Error, "description": "too many requests: Retry-After says when to try again"},
    500: {"model": Error, "description": "the model failed"},
    503: {"model": Error, "description": "loading or shutting down: Retry-After says when to try again"},
    504: {"model": Error, "description": "the request took too long"},
}
TRANSCRIPTS: dict[int | str, dict[str, Any]] = {
    200: {
        "model": Transcription | VerboseTranscription | DiarizedTranscription,
        "description": "the transcript, in the format that was asked for",
        "content": {
            **{FORMATS[name].media_type: {"schema": {"type": "string"}} for name in ("text", "srt", "vtt")},
            "text/event-stream": {"schema": {"type": "string"}},
        },
    },
    **ERRORS,
}
