"""OpenAI's chat completions, for clients that send audio as a part of a message."""

import asyncio
import time
import uuid
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import IO, Any

from fastapi import APIRouter, Request, Response
from fastapi.responses import JSONResponse

from transcription.audio import AudioLimits, decode_base64
from transcription.config import InferenceConfig
from transcription.context import RequestContext
from transcription.errors import AudioTooLong, InvalidAudio, InvalidRequest
from transcription.server.bodies import json_limit, read_body, read_json, to_file
from transcription.server.request_log import record_of
from transcription.server.responses import notes, token_usage
from transcription.server.schemas import ERRORS, ChatCompletion, chat_body
from transcription.server.service import service_of
from transcription.server.streaming import Delta, Events, Stream
from transcription.transcript import Transcript

router = APIRouter(tags=["chat"])
# What belongs to the protocol, and not to the transcription.
_PROTOCOL = frozenset({"model", "messages", "stream", "stream_options", "response_format", "n"})
# What a text alone cannot show.
_INVISIBLE = ("timestamps", "logprobs", "diarize", "num_speakers", "min_speakers", "max_speakers")
_RESPONSES: dict[int | str, dict[str, Any]] = {
    200: {"model": ChatCompletion, "content": {"text/event-stream": {"schema": {"type": "string"}}}},
    **{status: known for status, known in ERRORS.items() if status != 415},
}


@dataclass(frozen=True)
class _Asked:
    """A request without its recording; `url` where that is to be fetched, else empty."""

    config: InferenceConfig
    url: str
    stream: bool
    counted: bool  # the usage of a stream
    unread: bool  # text beside the audio


@router.post("/v1/chat/completions", responses=_RESPONSES, openapi_extra=chat_body())
async def completions(request: Request) -> Response:
    """What is said in the one input_audio or audio_url part of the messages. Whisper follows no instructions."""
    service, record = service_of(request), record_of(request)
    most = service.transcriber.settings.max_audio_bytes
    asked, file = await service.receive(request, _received, most)
    recording = await service.fetch(request, asked.url, most) if file is None else file
    stream = Stream() if asked.stream else None
    context = stream.context if stream else RequestContext()
    work = service.begin(request, lambda: service.transcribe(recording, asked.config, context, record), context)
    work.add_done_callback(lambda _: recording.close())
    answer = _Answer(service.model, asked)
    if stream:
        return await stream.response(request, work, answer.events())
    return JSONResponse(answer.whole(await service.finished(request, work)))


async def _received(request: Request, most: int) -> tuple[_Asked, IO[bytes] | None]:
    """The request, and its recording as a file, None where it is elsewhere: what waits in line waits on the disk."""
    with await read_body(request, json_limit(most)) as body:
        asked, data = await asyncio.to_thread(_read, body, AudioLimits(most))
    service_of(request).transcriber.check(asked.config)
    return asked, None if data is None else await to_file(data)


def _read(body: IO[bytes], limits: AudioLimits) -> tuple[_Asked, bytes | None]:
    """The request, and the bytes of its recording where they are in it. Raises InvalidRequest, AudioTooLong."""
    sent = read_json(body)
    config, (audio, is_url), options = _config(sent), _audio(sent.get("messages")), sent.get("stream_options")
    counted = isinstance(options, Mapping) and options.get("include_usage") is True
    url = audio if is_url and not audio.startswith("data:") else ""
    asked = _Asked(config, url, bool(sent.get("stream")), counted, _has_text(sent["messages"]))
    if url:
        return asked, None
    try:
        return asked, decode_base64(audio, limits)
    except InvalidAudio as error:
        if isinstance(error, AudioTooLong):
            raise
        raise InvalidRequest(str(error).replace("inputs", "the audio", 1), "messages") from None


class _Answer:
    """One completion in the protocol's words."""

    def __init__(self, model: str, asked: _Asked) -> None:
        self._head = {"id": f"chatcmpl-{uuid.uuid4().hex}", "created": int(time.time()), "model": model}
        self._asked = asked

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
            if self._asked.counted:
                yield self._chunk({}) | {"choices": [], "usage": _usage(part)}
            yield "[DONE]"

        return events

    def _chunk(self, delta: dict[str, Any], finish: str | None = None) -> dict[str, Any]:
        choice = {"index": 0, "delta": delta, "logprobs": None, "finish_reason": finish}
        return self._head | {"object": "chat.completion.chunk", "choices": [choice]}

    def _notes(self, transcript: Transcript) -> dict[str, Any]:
        found = notes(transcript)
        if self._asked.unread:
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
    for name in _INVISIBLE:
        if sent.get(name) is not None:
            raise InvalidRequest(f"{name} has no effect on a completion: leave it out", name)
    return InferenceConfig.from_request({k: v for k, v in sent.items() if k not in _PROTOCOL} | {"diarize": False})


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


def _audio(messages: object) -> tuple[str, bool]:
    """The one audio part: its base64 text, or its address, which is then a URL. Raises InvalidRequest."""
    found = [part for part in _parts(messages) if part.get("type") in ("input_audio", "audio_url")]
    if len(found) != 1:
        raise InvalidRequest(f"send one input_audio or audio_url part, not {len(found)}", "messages")
    kind = found[0]["type"]
    inner, key = found[0].get(kind), "data" if kind == "input_audio" else "url"
    value = inner.get(key) if isinstance(inner, Mapping) else None
    if not isinstance(value, str):
        raise InvalidRequest(f"{kind}.{key} is missing", "messages")
    if key == "url" and not value.startswith(("data:", "http:", "https:")):
        raise InvalidRequest("audio_url takes data: and http(s) addresses", "messages")
    return value, key == "url"


def _has_text(messages: object) -> bool:
    return any(part.get("type") == "text" and part.get("text") for part in _parts(messages))
