"""Chat completions with audio: the request in a body, and a transcript as a completion."""

import time
import uuid
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import IO, Any, Literal

from typing_extensions import TypedDict

from transcription.audio import AudioLimits, decode_base64
from transcription.config import InferenceConfig, normalize, parse_request
from transcription.errors import AudioTooLong, InvalidAudio, InvalidRequest
from transcription.formats import SUBTITLE_PARAMETERS
from transcription.formats.answers import Notes
from transcription.server.bodies import read_json
from transcription.server.responses import notes, token_usage
from transcription.server.sse import Delta, Event, ServerSentEvents
from transcription.transcript import Transcript

_PROTOCOL = frozenset({"model", "messages", "stream", "stream_options", "response_format", "n"})
"""Parameters of the protocol, not of the transcription."""
_WITHOUT_EFFECT = (
    "align", "timestamps", "logprobs", "diarize", "num_speakers", "min_speakers", "max_speakers", "turns",
    *sorted(SUBTITLE_PARAMETERS),
)  # fmt: skip
"""Parameters of the transcription that a text cannot show."""


class ChatMessage(TypedDict):
    """The transcript as a message."""

    role: Literal["assistant"]
    content: str
    refusal: None


class ChatChoice(TypedDict):
    """The only choice."""

    index: int
    message: ChatMessage
    logprobs: None
    finish_reason: Literal["stop"]


class ChatUsage(TypedDict):
    """Positions of the encoder and tokens of the decoder."""

    prompt_tokens: int
    completion_tokens: int
    total_tokens: int


class ChatCompletion(Notes):
    """A completion."""

    id: str
    created: int
    model: str
    object: Literal["chat.completion"]
    choices: list[ChatChoice]
    usage: ChatUsage


@dataclass(frozen=True)
class ChatRequest:
    """The parameters of a chat completion, and where its audio is."""

    config: InferenceConfig
    audio: str  # base64 text, a data: URL, or another URL
    is_url: bool  # to be downloaded
    stream: bool
    include_usage: bool  # at the end of a stream
    warnings: tuple[str, ...]  # about parameters and text that are ignored

    @classmethod
    def from_body(cls, body: IO[bytes]) -> "ChatRequest":
        """Return the request in a JSON body. Raises InvalidRequest."""
        content = read_json(body)
        (config, warnings), parts = _config(content), _parts(content.get("messages"))
        audio = _audio(parts)
        options = content.get("stream_options")
        if any(part.get("type") == "text" and part.get("text") for part in parts):
            warnings += ("text parts are ignored: send prompt beside messages",)
        return cls(
            config=config,
            audio=audio,
            is_url=audio.startswith(("http:", "https:")),
            stream=bool(content.get("stream")),
            include_usage=isinstance(options, Mapping) and options.get("include_usage") is True,
            warnings=warnings,
        )

    def audio_bytes(self, max_bytes: int) -> bytes:
        """Return the audio in the request. Raises InvalidRequest, AudioTooLong."""
        try:
            return decode_base64(self.audio, AudioLimits(max_bytes))
        except AudioTooLong:
            raise
        except InvalidAudio as error:
            raise InvalidRequest(str(error).replace("inputs", "the audio", 1), "messages") from None


class Completion(ServerSentEvents):
    """A transcript as a chat completion, whole or as a stream of events."""

    def __init__(self, model: str, request: ChatRequest) -> None:
        super().__init__()
        self._request = request
        self._id, self._created, self._model = f"chatcmpl-{uuid.uuid4().hex}", int(time.time()), model

    def whole(self, transcript: Transcript) -> ChatCompletion:
        """Return chat.completion."""
        message: ChatMessage = {"role": "assistant", "content": transcript.text, "refusal": None}
        choice: ChatChoice = {"index": 0, "message": message, "logprobs": None, "finish_reason": "stop"}
        return {
            "id": self._id,
            "created": self._created,
            "model": self._model,
            "object": "chat.completion",
            "choices": [choice],
            "usage": _usage(transcript),
            **notes(transcript),
        }

    def delta_event(self, delta: Delta) -> dict[str, Any]:
        """Return chat.completion.chunk with more of the text."""
        return self._chunk({"role": "assistant", "content": delta.text})

    def last_events(self, transcript: Transcript) -> Iterable[Event]:
        """Yield the chunk with the finish_reason, the usage if requested, and [DONE]."""
        yield {**self._chunk({}, "stop"), **notes(transcript)}
        if self._request.include_usage:
            yield {**self._chunk({}), "choices": [], "usage": _usage(transcript)}
        yield "[DONE]"

    def _chunk(self, delta: Mapping[str, str], finish_reason: str | None = None) -> dict[str, Any]:
        choice = {"index": 0, "delta": delta, "logprobs": None, "finish_reason": finish_reason}
        return {
            "id": self._id,
            "created": self._created,
            "model": self._model,
            "object": "chat.completion.chunk",
            "choices": [choice],
        }


def _usage(transcript: Transcript) -> ChatUsage:
    tokens = token_usage(transcript)
    return {
        "prompt_tokens": tokens["input_tokens"],
        "completion_tokens": tokens["output_tokens"],
        "total_tokens": tokens["total_tokens"],
    }


def _config(content: Mapping[str, Any]) -> tuple[InferenceConfig, tuple[str, ...]]:
    """Return the parameters of the transcription in a body, and warnings. Raises InvalidRequest."""
    if content.get("n") not in (None, 1):
        raise InvalidRequest("n must be 1: a recording has one transcript", "n")
    if content.get("response_format") not in (None, {"type": "text"}):
        message = "response_format must be text: use /v1/audio/transcriptions for other formats"
        raise InvalidRequest(message, "response_format")
    if not isinstance(content.get("stream", False), bool | None):
        raise InvalidRequest("stream must be true or false", "stream")
    parameters = {name: value for name, value in content.items() if name not in _PROTOCOL}
    known, _ = normalize(parameters)
    for name in _WITHOUT_EFFECT:
        if known.get(name) is not None:
            raise InvalidRequest(f"{name} has no effect on a completion: leave it out", name)
    return parse_request(parameters | {"diarize": False}, InferenceConfig)


def _parts(messages: object) -> list[Mapping[str, Any]]:
    """Return all parts of all messages. Raises InvalidRequest."""
    if not isinstance(messages, list) or not all(isinstance(message, Mapping) for message in messages):
        raise InvalidRequest("messages must be a list of messages with one input_audio or audio_url part", "messages")
    all_parts: list[Mapping[str, Any]] = []
    for message in messages:
        content = message.get("content")
        parts = [{"type": "text", "text": content}] if isinstance(content, str) else content or []
        if not isinstance(parts, list) or not all(isinstance(part, Mapping) for part in parts):
            raise InvalidRequest("content must be text or a list of parts", "messages")
        all_parts += parts
    return all_parts


def _audio(parts: Sequence[Mapping[str, Any]]) -> str:
    """Return the base64 text or the URL of the only audio part. Raises InvalidRequest."""
    audio_parts = [part for part in parts if part.get("type") in ("input_audio", "audio_url")]
    if len(audio_parts) != 1:
        raise InvalidRequest(f"send one input_audio or audio_url part, not {len(audio_parts)}", "messages")
    kind = audio_parts[0]["type"]
    inner, key = audio_parts[0].get(kind), "data" if kind == "input_audio" else "url"
    value = inner.get(key) if isinstance(inner, Mapping) else None
    if not isinstance(value, str):
        raise InvalidRequest(f"{kind}.{key} is missing", "messages")
    if key == "url" and not value.startswith(("data:", "http:", "https:")):
        raise InvalidRequest("audio_url must be a data: or http(s) URL", "messages")
    return value
