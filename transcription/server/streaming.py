"""EventStream: sends the events of a request to its client while worker threads make them."""

import asyncio
from collections.abc import AsyncGenerator, Sequence
from contextlib import aclosing
from typing import Any, Protocol

from starlette.requests import Request
from starlette.responses import StreamingResponse
from starlette.types import Receive, Scope, Send

from transcription.audio import Audio
from transcription.context import RequestContext
from transcription.errors import Cancelled, TranscriptionError
from transcription.server.api_errors import ApiError, to_api_error
from transcription.server.bodies import disconnected
from transcription.server.request_log import record_of
from transcription.server.service import service_of
from transcription.transcript import Segment, Transcript

KEEP_ALIVE_SECONDS = 15.0  # without an event; proxies close silent connections
_HEADERS = {"Cache-Control": "no-cache", "X-Accel-Buffering": "no"}


class Encoder(Protocol):
    """Writes events in a protocol. Each method returns bytes to send, empty if the protocol has no such event.

    Threads call `segments` in order, one at a time.
    """

    media_type: str
    keep_alive: bytes

    def audio(self, audio: Audio) -> bytes:
        """Encode that the audio is decoded."""
        ...

    def progress(self, stage: str, seconds: float, total: float) -> bytes:
        """Encode the progress of "transcribe" or "diarize", in seconds of audio."""
        ...

    def segments(self, segments: Sequence[Segment]) -> bytes:
        """Encode the segments of one more window."""
        ...

    def transcript(self, transcript: Transcript) -> bytes:
        """Encode the last events, made of the whole transcript."""
        ...

    def error(self, error: ApiError) -> bytes:
        """Encode an error, which ends the stream."""
        ...


class EventStream:
    """The events of one request. Its `context` receives them from worker threads."""

    def __init__(self, request: Request, encoder: Encoder) -> None:
        self._request, self._encoder = request, encoder
        self._loop = asyncio.get_running_loop()
        self._queue = asyncio.Queue[bytes | None]()  # None: the task has ended, or the client has disconnected
        self._has_text = False
        self.context = RequestContext(self._report_progress, self._report_segments)

    def report_audio(self, audio: Audio) -> None:
        """Send that the audio is decoded. For any thread."""
        self._put(self._encoder.audio(audio))

    def _report_progress(self, stage: str, seconds: float, total: float) -> None:
        self._put(self._encoder.progress(stage, seconds, total))

    def _report_segments(self, segments: Sequence[Segment]) -> None:
        if event := self._encoder.segments(segments):
            self._record_first_text()
            self._put(event)

    def _put(self, event: bytes) -> None:
        if event:
            self._loop.call_soon_threadsafe(self._queue.put_nowait, event)

    def _record_first_text(self) -> None:
        if not self._has_text:
            self._has_text = True
            record_of(self._request).add_first_text()

    async def response(self, task: asyncio.Task[Any]) -> StreamingResponse:
        """Return the response of a task that makes a Transcript, when it has its first event.

        Raises ApiError or TranscriptionError if the task fails before, so that the error has a status of its own.
        """
        events = self._events(task)
        first = await anext(events)
        return _EventResponse(self._with_error(first, events), events, self._encoder.media_type)

    async def _events(self, task: asyncio.Task[Transcript]) -> AsyncGenerator[bytes]:
        """Yield events until the task has ended. Closing the generator cancels the task.

        Raises ApiError after the deadline, Cancelled when the client has disconnected, and the errors of the task.
        """
        disconnect = asyncio.create_task(disconnected(self._request))
        for end in (task, disconnect):
            end.add_done_callback(lambda _: self._queue.put_nowait(None))
        try:
            while not (task.done() and self._queue.empty()):
                event = await self._next_event()
                if event is not None:
                    yield event
                elif not task.done():
                    raise Cancelled
            transcript = task.result()
            if transcript.text:
                self._record_first_text()
            yield await asyncio.to_thread(self._encoder.transcript, transcript)  # megabytes for long audio
        finally:
            disconnect.cancel()
            task.cancel()

    async def _next_event(self) -> bytes | None:
        service = service_of(self._request)
        remaining = service.remaining_seconds(record_of(self._request))
        try:
            return await asyncio.wait_for(self._queue.get(), min(remaining, KEEP_ALIVE_SECONDS))
        except TimeoutError:
            if remaining <= KEEP_ALIVE_SECONDS:
                raise service.deadline_error() from None
            return self._encoder.keep_alive

    async def _with_error(self, first: bytes, events: AsyncGenerator[bytes]) -> AsyncGenerator[bytes]:
        """Yield all events. An error becomes the last one, because the status is already sent."""
        try:
            yield first
            async for event in events:
                yield event
        except (ApiError, TranscriptionError) as error:
            api_error = to_api_error(error)
            record_of(self._request).refuse(api_error.reason)
            yield self._encoder.error(api_error)


class _EventResponse(StreamingResponse):
    """Closes the events when it ends, for whatever reason, which cancels the task."""

    def __init__(self, content: AsyncGenerator[bytes], events: AsyncGenerator[bytes], media_type: str) -> None:
        super().__init__(content, media_type=media_type, headers=_HEADERS)
        self._content, self._events = content, events

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        async with aclosing(self._events), aclosing(self._content):
            await super().__call__(scope, receive, send)
