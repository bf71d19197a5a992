"""The events of a live session in the words of OpenAI's realtime protocol."""

import uuid
from collections.abc import Iterator, Sequence
from typing import Any

from transcription.live.events import (
    LiveEvent,
    SpeechStarted,
    SpeechStopped,
    TurnCommitted,
    TurnCompleted,
    TurnFailed,
    WordsAdded,
)
from transcription.server.api_errors import ApiError, to_api_error
from transcription.transcript import Word

_TRANSCRIPTION = "conversation.item.input_audio_transcription"


def server_event(kind: str, **fields: Any) -> dict[str, Any]:
    """Return an event of the server."""
    return {"type": kind, "event_id": f"event_{uuid.uuid4().hex[:24]}", **fields}


def error_event(error: ApiError, client_event: str | None = None) -> dict[str, Any]:
    """Return an error. client_event: the id of the event that caused it."""
    return server_event("error", error={**error.body["error"], "event_id": client_event})


def encode(event: LiveEvent, with_logprobs: bool = False) -> Iterator[dict[str, Any]]:
    """Yield the events of the protocol. Fields named words, seconds and speaker of a word are our own."""
    match event:
        case SpeechStarted():
            start = round(event.start * 1000)
            yield server_event("input_audio_buffer.speech_started", item_id=event.item, audio_start_ms=start)
        case SpeechStopped():
            end = round(event.end * 1000)
            yield server_event("input_audio_buffer.speech_stopped", item_id=event.item, audio_end_ms=end)
        case TurnCommitted():
            yield server_event("input_audio_buffer.committed", item_id=event.item, previous_item_id=event.previous)
        case WordsAdded():
            yield server_event(
                f"{_TRANSCRIPTION}.delta", item_id=event.item, content_index=0, delta=event.text,
                words=_words(event.words),
            )  # fmt: skip
        case TurnCompleted():
            yield from _completed(event, with_logprobs)
        case TurnFailed():
            error = to_api_error(event.error).body["error"]
            yield server_event(f"{_TRANSCRIPTION}.failed", item_id=event.item, content_index=0, error=error)


def _completed(event: TurnCompleted, with_logprobs: bool) -> Iterator[dict[str, Any]]:
    transcript = event.transcript
    if transcript.turns is not None:
        for number, segment in enumerate(transcript.segments):
            yield server_event(
                f"{_TRANSCRIPTION}.segment", item_id=event.item, content_index=0, id=f"seg_{number}",
                text=segment.text, speaker=segment.speaker or "unknown", start=segment.start, end=segment.end,
            )  # fmt: skip
    fields: dict[str, Any] = {
        "transcript": transcript.text,
        "usage": {"type": "duration", "seconds": round(event.seconds, 3)},
        "languages": [{"code": code} for code in transcript.languages],
        "words": _words(transcript.words),
    }
    if with_logprobs:
        fields["logprobs"] = [
            {"token": one.token, "bytes": list(one.data), "logprob": one.logprob}
            for segment in transcript.segments
            for one in segment.logprobs
        ]
    if transcript.warnings:
        fields["warnings"] = list(transcript.warnings)
    yield server_event(f"{_TRANSCRIPTION}.completed", item_id=event.item, content_index=0, **fields)


def _words(words: Sequence[Word]) -> list[dict[str, Any]]:
    return [
        {"word": word.word.strip(), "start": round(word.start, 3), "end": round(word.end, 3)}
        | ({"speaker": word.speaker} if word.speaker else {})
        for word in words
    ]
