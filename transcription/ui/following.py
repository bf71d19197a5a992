"""A request as its page sees it: events while it is worked on, one JSON object a line."""

import asyncio
import json
from collections.abc import AsyncGenerator, Sequence
from contextlib import aclosing
from typing import Any

import numpy as np
from pydantic import TypeAdapter
from starlette.requests import Request
from starlette.responses import StreamingResponse

from transcription.audio import Audio
from transcription.context import RequestContext
from transcription.errors import TranscriptionError
from transcription.server.api_errors import ApiError, to_api_error
from transcription.server.request_log import record_of
from transcription.server.streaming import HEADERS, Closed, Feed
from transcription.transcript import Segment, Transcript

PEAKS = 1600  # of the waveform: as many as a wide screen has points
TRANSCRIPT = TypeAdapter(Transcript)
_SEGMENTS = TypeAdapter(tuple[Segment, ...])
Event = dict[str, Any]


class Following:
    """One request's events on their way from its threads to the page."""

    def __init__(self) -> None:
        self._feed = Feed[Event]()
        self.context = RequestContext(self._progress, self._heard)

    def decoded(self, audio: Audio) -> None:
        """The recording is read: how long it is, and how loud when."""
        self._feed.tell({"audio": {"duration": round(audio.duration, 3), "peaks": peaks(audio)}})

    def _progress(self, stage: str, done: float, total: float) -> None:
        self._feed.tell({"progress": {"stage": stage, "done": round(done, 1), "total": round(total, 1)}})

    def _heard(self, segments: Sequence[Segment]) -> None:
        self._feed.tell({"segments": _SEGMENTS.dump_python(tuple(segments), mode="json")})

    async def response(self, request: Request, task: asyncio.Task[Transcript]) -> StreamingResponse:
        """The answer, begun with the first event: what fails before has a status of its own.

        Raises TranscriptionError, ApiError.
        """
        events = self._events(request, task)
        first = await anext(events)
        return Closed(_lines(request, first, events), media_type="application/x-ndjson", headers=HEADERS)

    async def _events(self, request: Request, task: asyncio.Task[Transcript]) -> AsyncGenerator[bytes]:
        """As lines, empty ones where nothing has happened for a while."""
        async with aclosing(self._feed.told(request, task)) as told:
            async for event in told:
                yield _line(event)
        yield await asyncio.to_thread(_last, task.result())  # of a long recording it is megabytes


async def _lines(request: Request, first: bytes, events: AsyncGenerator[bytes]) -> AsyncGenerator[bytes]:
    """A failure is an event too, as the status is long sent."""
    try:
        yield first
        async for line in events:
            yield line
    except (ApiError, TranscriptionError) as error:
        refusal = error if isinstance(error, ApiError) else to_api_error(error)
        record_of(request).refused(refusal.reason)
        yield _line({"error": refusal.message})
    finally:
        await events.aclose()


def _line(event: Event | None) -> bytes:
    return b"\n" if event is None else json.dumps(event, ensure_ascii=False, separators=(",", ":")).encode() + b"\n"


def _last(transcript: Transcript) -> bytes:
    return b'{"transcript":' + TRANSCRIPT.dump_json(transcript) + b"}\n"


def peaks(audio: Audio) -> list[int]:
    """The loudest moment of each of PEAKS equal parts, in percent of the loudest of all."""
    count = min(PEAKS, len(audio.samples))
    edges = np.linspace(0, len(audio.samples), count, endpoint=False).astype(int)
    loud = np.maximum(np.maximum.reduceat(audio.samples, edges), -np.minimum.reduceat(audio.samples, edges))
    most = float(loud.max())
    return [round(100 * float(one) / most) for one in loud] if most > 0 else [0] * count
