"""The request bodies and responses of the OpenAPI document, beyond what FastAPI finds by itself."""

import base64
import io
import operator
import wave
from functools import reduce
from typing import Any

from transcription.config import InferenceConfig
from transcription.formats import format_names, formats_of
from transcription.server.api_errors import ErrorBody
from transcription.server.parameters import TranscriptionRequest

Responses = dict[int | str, dict[str, Any]]

ERRORS: Responses = {
    400: {"model": ErrorBody, "description": "the request is wrong; the message says what to change"},
    401: {"model": ErrorBody, "description": "the API key is missing or wrong"},
    408: {"model": ErrorBody, "description": "the body did not arrive in time"},
    413: {"model": ErrorBody, "description": "the audio is too large or too long"},
    415: {"model": ErrorBody, "description": "the body is not multipart/form-data"},
    429: {"model": ErrorBody, "description": "too many requests; retry after the seconds in Retry-After"},
    500: {"model": ErrorBody, "description": "the model failed"},
    503: {"model": ErrorBody, "description": "loading or shutting down; retry after the seconds in Retry-After"},
    504: {"model": ErrorBody, "description": "the request took too long"},
}
_TEXT = {"schema": {"type": "string"}}
_EVENT = {"type": "object", "required": ["data"], "properties": {"data": {"type": "string"}}}
EVENT_STREAM = {"text/event-stream": {"itemSchema": _EVENT}}
"""Server-sent events; itemSchema describes one of them, as in OpenAPI 3.2."""


def transcription_responses(streams: bool = True) -> Responses:
    """Return the responses of an audio route, in each of OpenAI's formats, and as events if the route streams."""
    rows = formats_of("openai").values()
    texts = {row.media_type: _TEXT for row in rows if row.document is str}
    transcript = {
        "model": reduce(operator.or_, [row.document for row in rows if row.document is not str]),
        "description": "the transcript in the requested format",
        "content": texts | (EVENT_STREAM if streams else {}),
    }
    return {200: transcript, **ERRORS}


def transcription_body(kind: type[TranscriptionRequest] = TranscriptionRequest) -> dict[str, Any]:
    """Return the multipart body of an audio route, which takes the parameters of `kind`."""
    own, config = kind.model_json_schema(), InferenceConfig.model_json_schema()
    definitions = own.get("$defs", {}) | config.get("$defs", {})
    fields = {
        name: _without_null(field, definitions)
        for name, field in (own["properties"] | config["properties"]).items()
        if name not in kind.unsupported
    }
    required = ["file", *(name for name in ("text",) if name in fields)]
    file = {"type": "string", "format": "binary", "description": "The recording, in any audio or video container."}
    form = {
        "type": "object",
        "properties": {"file": file, **fields},
        "required": required,
        "additionalProperties": False,
    }
    return {"requestBody": {"required": True, "content": {"multipart/form-data": {"schema": form}}}}


def _without_null(field: dict[str, Any], definitions: dict[str, Any]) -> dict[str, Any]:
    """Return the schema of a form field: forms have no null, and definitions are inlined."""
    kinds = [
        definitions[kind["$ref"].rsplit("/", 1)[1]] if "$ref" in kind else kind
        for kind in field.get("anyOf", ())
        if kind.get("type") != "null"
    ]
    rest = {name: value for name, value in field.items() if name != "anyOf"}
    if not isinstance(rest.get("default"), str | int | float):  # null or an empty list
        rest.pop("default", None)
    return {**rest, **(kinds[0] if len(kinds) == 1 else {"anyOf": kinds} if kinds else {})}


def chat_body() -> dict[str, Any]:
    """Return the JSON body of a chat completion."""
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
    """Return the body of the Inference Endpoints API: JSON, or the bytes of an audio file."""
    parameters = f"Fields of InferenceConfig, and response_format ({format_names('endpoint')}); may be null or absent."
    body = {
        "type": "object",
        "properties": {
            "inputs": {"type": "string", "description": "Base64 text of an audio file."},
            "parameters": {"type": "object", "description": parameters},
        },
        "required": ["inputs"],
    }
    example = {"inputs": _silence(), "parameters": {"timestamps": "word"}}
    content = {
        "application/json": {"schema": body, "example": example},
        "audio/*": {"schema": {"type": "string", "format": "binary"}},
    }
    return {"requestBody": {"required": True, "content": content}}


def _silence() -> str:
    """Return a tenth of a second of silence, a WAV file as base64 text."""
    file = io.BytesIO()
    with wave.open(file, "wb") as silence:
        silence.setparams((1, 1, 8000, 0, "NONE", "NONE"))
        silence.writeframes(bytes([128]) * 800)
    return base64.b64encode(file.getvalue()).decode()
