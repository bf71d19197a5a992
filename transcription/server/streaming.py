"""Server-sent events: a transcript while it is made."""

import asyncio
import json
import time
from collections.abc import AsyncGenerator, Callable, Iterable, Sequence
from contextlib import aclosing
from dataclasses import dataclass
from typing import Any, Generic, TypeVar, cast

from starlette.requests import Request
from starlette.responses import StreamingResponse
from starlette.types import Receive, Scope, Send

from transcription.context import RequestContext
from transcription.errors import Cancelled, TranscriptionError
from transcription.formats import to_diarized_json, to_logprob
from transcription.server.api_errors import ApiError, to_api_error
from transcription.server.bodies import disconnected
from transcription.server.parameters import AudioRequest
from transcription.server.request_log import RequestRecord, record_of
from transcription.server.responses import languages, notes, token_usage
from transcription.server.service import service_of
from transcription.transcript import Segment, TokenLogprob, Transcript

T = TypeVar("T")
KEEP_ALIVE = 15.0  # seconds without an event after which a comment is sent: proxies hang up on silence
HEADERS = {"Cache-Control": "no-cache", "X-Accel-Buffering": "no"}


@dataclass(frozen=True)
class Delta:
    """More of the text."""

    text: str
    logprobs: tuple[TokenLogprob, ...] = ()


Part = Delta | Transcript | None
"""Deltas, None while nothing happens, the transcript at the end."""
Events = Callable[[Delta | Transcript], Iterable[dict[str, Any] | str]]
"""A part as the protocol's events."""


class Text:
    """Joins what windows say as Transcript.text does: without white space at either end."""

    def __init__(self) -> None:
        self._sent, self._heard = "", ""
        self._logprobs: tuple[TokenLogprob, ...] = ()

    def more(self, segments: Sequence[Segment]) -> Delta | None:
        """What can be sent after one more window, None where it is nothing yet."""
        self._heard += "".join(segment.text for segment in segments)
        self._logprobs += tuple(token for segment in segments for token in segment.logprobs)
        return self.upto(self._heard.strip())

    def upto(self, known: str) -> Delta | None:
        """What is not yet sent of the text, as far as it is known."""
        new = known.removeprefix(self._sent) if known.startswith(self._sent) else ""
        if not new:
            return None
        self._sent, logprobs, self._logprobs = known, self._logprobs, ()
        return Delta(new, logprobs)


class Feed(Generic[T]):
    """What one request's threads tell, on its way to the client."""

    def __init__(self) -> None:
        self._queue = asyncio.Queue[T | None]()
        self._loop = asyncio.get_running_loop()

    def tell(self, item: T) -> None:
        """From any thread."""
        self._loop.call_soon_threadsafe(self._queue.put_nowait, item)

    async def told(self, request: Request, task: asyncio.Task[Transcript]) -> AsyncGenerator[T | None]:
        """Until the task has ended, None where nothing is told for a while; closed early, it ends the task.

        Raises ApiError after the deadline, Cancelled when the client has gone.
        """
        service, record = service_of(request), record_of(request)
        gone = asyncio.create_task(disconnected(request))
        for end in (task, gone):
            end.add_done_callback(lambda _: self._queue.put_nowait(None))
        try:
            while not (task.done() and self._queue.empty()):
                left = service.remaining(record)
                try:
                    item = await asyncio.wait_for(self._queue.get(), min(left, KEEP_ALIVE))
                except TimeoutError:
                    if left <= KEEP_ALIVE:
                        raise service.late() from None
                    yield None
                    continue
                if item is not None:
                    yield item
                elif not task.done():
                    raise Cancelled
        finally:
            gone.cancel()
            task.cancel()


class Stream:
    """One request's words on their way from its thread to the client."""

    def __init__(self) -> None:
        self._feed = Feed[Sequence[Segment]]()
        self.context = RequestContext(segments=self._feed.tell)

    async def response(self, request: Request, task: asyncio.Task[Transcript], events: Events) -> StreamingResponse:
        """The answer, begun when there is something to say: until then, what fails has a status of its own.

        Raises TranscriptionError, ApiError.
        """
        parts, record = self._parts(request, task), record_of(request)
        first = await anext(parts)
        lines = _lines(first, parts, events, record)
        return Closed(lines, media_type="text/event-stream", headers=HEADERS)

    async def _parts(self, request: Request, task: asyncio.Task[Transcript]) -> AsyncGenerator[Part]:
        text = Text()
        async with aclosing(self._feed.told(request, task)) as told:
            async for found in told:
                delta = None if found is None else text.more(found)
                if delta or found is None:
                    yield delta
        transcript = task.result()
        if delta := text.upto(transcript.text):
            yield delta
        yield transcript


class Closed(StreamingResponse):
    """Whose lines are closed when it ends, however that is, and with them the work."""

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        lines = cast("AsyncGenerator[str]", self.body_iterator)
        async with aclosing(lines):
            await super().__call__(scope, receive, send)


async def _lines(
    first: Part, parts: AsyncGenerator[Part], events: Events, record: RequestRecord
) -> AsyncGenerator[str]:
    """Parts as lines of the event stream; a failure is an event too, as the status is long sent."""
    part, waiting = first, True
    try:
        while True:
            if waiting and isinstance(part, Delta):
                waiting = False
                record.metrics.first_delta.observe(time.perf_counter() - record.began)
            if part is None:
                yield ": still at work\n\n"
            else:
                for event in events(part):
                    yield f"data: {event if isinstance(event, str) else json.dumps(event, ensure_ascii=False)}\n\n"
            if isinstance(part, Transcript):
                return
            part = await anext(parts)
    except (ApiError, TranscriptionError) as error:
        refusal = error if isinstance(error, ApiError) else to_api_error(error)
        record.refused(refusal.reason)
        yield f"data: {json.dumps(refusal.body)}\n\n"
    finally:
        await parts.aclose()


def audio_events(asked: AudioRequest) -> Events:
    """OpenAI's transcript.text.delta, .segment (diarized_json) and .done."""

    def logprobs(tokens: Iterable[TokenLogprob]) -> dict[str, Any]:
        return {"logprobs": [to_logprob(token) for token in tokens]} if asked.logprobs else {}

    def events(part: Delta | Transcript) -> Iterable[dict[str, Any]]:
        if isinstance(part, Delta):
            yield {"type": "transcript.text.delta", "delta": part.text, **logprobs(part.logprobs)}
            return
        if asked.response_format == "diarized_json":
            yield from to_diarized_json(part)["segments"]
        yield {
            "type": "transcript.text.done",
            "text": part.text,
            **languages(part),
            **logprobs(token for segment in part.segments for token in segment.logprobs),
            "usage": token_usage(part),
            **notes(part),
        }

    return events
