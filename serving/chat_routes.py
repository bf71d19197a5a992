"""OpenAI's chat completions, for clients that send audio as a part of a message."""

import asyncio
import time
import uuid
from collections.abc import Iterable, Mapping
from typing import IO, Any

from fastapi import APIRouter, Request, Response
from fastapi.responses import JSONResponse

from config import InferenceConfig
from errors import InvalidRequest
from serving.answers import notes, token_usage
from serving.bodies import read_body, read_json
from serving.records import record_of
from serving.schemas import ERRORS, ChatCompletion, chat_body
from serving.service import service_of
from serving.streaming import Delta, Events, Stream
from transcript import Transcript

router = APIRouter(tags=["chat"])
_BASE64 = 4 / 3
_AROUND = 1024 * 1024
# What belongs to the protocol, and not to the transcription.
_PROTOCOL = frozenset({"model", "messages", "stream", "stream_options", "response_format", "n"})
_RESPONSES: dict[int | str, dict[str, Any]] = {
    200: {"model": ChatCompletion, "content": {"text/event-stream": {"schema": {"type": "string"}}}},
    **{status: known for status, known in ERRORS.items() if status != 415},
}


@router.post("/v1/chat/completions", responses=_RESPONSES, openapi_extra=chat_body())
async def completions(request: Request) -> Response:
    """What is said in the one input_audio or audio_url part of the messages. Whisper follows no instructions."""
    service, record = service_of(request), record_of(request)
    most = service.transcriber.settings.max_audio_bytes
    body = await service.receive(request, read_body, int(most * _BASE64) + _AROUND)
    with body:
        sent = await asyncio.to_thread(read_json, body)
    config, audio = _config(sent), _audio(sent.get("messages"))
    service.transcriber.check(config)
    source: IO[bytes] | str = audio
    if audio.startswith(("http:", "https:")):
        with record.stage("download"):
            source = await service.fetcher.fetch(audio, most)
    stream = Stream()
    work = service.begin(request, lambda: service.transcribe(source, config, stream.watch, record), stream.watch)
    if not isinstance(source, str):
        work.add_done_callback(lambda _: source.close())
    answer = _Answer(service.model, sent)
    if sent.get("stream"):
        return await stream.response(request, work, answer.events())
    return JSONResponse(answer.whole(await service.finished(request, work)))


class _Answer:
    """One completion in the protocol's words."""

    def __init__(self, model: str, sent: Mapping[str, Any]) -> None:
        self._head = {"id": f"chatcmpl-{uuid.uuid4().hex}", "created": int(time.time()), "model": model}
        options = sent.get("stream_options")
        self._counted = isinstance(options, Mapping) and options.get("include_usage") is True
        self._unread = _has_text(sent["messages"])

    def whole(self, transcript: Transcript) -> dict[str, Any]:
        """chat.completion."""
        message = {"role": "assistant", "content": transcript.text, "refusal": None}
        choice = {"index": 0, "message": message, "logprobs": None, "finish_reason": "stop"}
        told = {"object": "chat.completion", "choices": [choice], "usage": _usage(transcript)}
        return self._head | told | self._notes(transcript)

    def events(self) -> Events:
        """chat.completion.chunk, and [DONE]."""

        def events(part: Delta | Transcript) -> Iterable[dict[str, Any] | str]:
            if isinstance(part, Delta):
                yield self._chunk({"role": "assistant", "content": part.text})
                return
            yield self._chunk({}, "stop") | self._notes(part)
            if self._counted:
                yield self._chunk({}) | {"choices": [], "usage": _usage(part)}
            yield "[DONE]"

        return events

    def _chunk(self, delta: dict[str, Any], finish: str | None = None) -> dict[str, Any]:
        choice = {"index": 0, "delta": delta, "logprobs": None, "finish_reason": finish}
        return self._head | {"object": "chat.completion.chunk", "choices": [choice]}

    def _notes(self, transcript: Transcript) -> dict[str, Any]:
        found = notes(transcript)
        if self._unread:
            found["warnings"] = [*found.get("warnings", ()), "text is not read: send prompt beside messages"]
        return found


def _usage(transcript: Transcript) -> dict[str, Any]:
    counted = token_usage(transcript)
    return {
        "prompt_tokens": counted["input_tokens"],
        "completion_tokens": counted["output_tokens"],
        "total_tokens": counted["total_tokens"],
    }


def _config(sent: Mapping[str, Any]) -> InferenceConfig:
    """The transcription's parameters among the body's. Raises InvalidRequest."""
    if sent.get("n") not in (None, 1):
        raise InvalidRequest("n is 1: a recording has one transcript", "n")
    if sent.get("response_format") not in (None, {"type": "text"}):
        raise InvalidRequest("response_format is text here: /v1/audio/transcriptions has others", "response_format")
    if not isinstance(sent.get("stream", False), bool | None):
        raise InvalidRequest("stream is true or false", "stream")
    return InferenceConfig.from_request({"diarize": False} | {k: v for k, v in sent.items() if k not in _PROTOCOL})


def _parts(messages: object) -> list[Mapping[str, Any]]:
    """All parts of all messages. Raises InvalidRequest."""
    if not isinstance(messages, list) or not all(isinstance(message, Mapping) for message in messages):
        raise InvalidRequest("messages is a list of messages with an input_audio or audio_url part", "messages")
    found: list[Mapping[str, Any]] = []
    for message in messages:
        content = message.get("content")
        parts = [{"type": "text", "text": content}] if isinstance(content, str) else content or []
        if not isinstance(parts, list) or not all(isinstance(part, Mapping) for part in parts):
            raise InvalidRequest("content is a text or a list of parts", "messages")
        found += parts
    return found


def _audio(messages: object) -> str:
    """The address, or the base64 text, of the one audio part. Raises InvalidRequest."""
    found = [part for part in _parts(messages) if part.get("type") in ("input_audio", "audio_url")]
    if len(found) != 1:
        raise InvalidRequest(f"send one input_audio or audio_url part, not {len(found)}", "messages")
    inner = found[0].get(found[0]["type"])
    key = "data" if found[0]["type"] == "input_audio" else "url"
    value = inner.get(key) if isinstance(inner, Mapping) else None
    if not isinstance(value, str):
        raise InvalidRequest(f"{found[0]['type']}.{key} is missing", "messages")
    if key == "url" and not value.startswith(("data:", "http:", "https:")):
        raise InvalidRequest("audio_url takes data: and http(s) addresses", "messages")
    if key == "data" and value.startswith(("http:", "https:")):
        raise InvalidRequest("input_audio.data is base64 text: send an address as audio_url", "messages")
    return value


def _has_text(messages: object) -> bool:
    return any(part.get("type") == "text" and part.get("text") for part in _parts(messages))
