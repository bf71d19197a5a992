"""RealtimeConnection: one WebSocket, its session, and the two tasks that receive and send."""

import asyncio
import base64
import binascii
import contextlib
import json
import logging
import uuid
from typing import Any

from starlette.websockets import WebSocket, WebSocketDisconnect

from transcription.audio import SAMPLE_RATE, Samples
from transcription.errors import TranscriptionError
from transcription.live.events import LiveEvent, TurnCompleted
from transcription.live.session import LiveSession
from transcription.server.api_errors import ApiError, to_api_error
from transcription.server.realtime.encoding import encode, error_event, server_event
from transcription.server.realtime.settings import RealtimeSettings
from transcription.server.request_log import RequestRecord
from transcription.server.service import Service

logger = logging.getLogger("transcription")
MAX_EVENT_BYTES = 4 * 1024**2
"""Of one event of a client: a minute of audio at 24 kHz, in base64."""
_MAX_PENDING_TURNS = 4  # while so many turns wait, nothing more is read: the client waits too
_MAX_ERRORS = 20  # in a row
_SEND_SECONDS = 30.0  # a client that reads nothing for so long is gone
_MIN_COMMIT_SECONDS = 0.1
_GOING_AWAY, _GONE, _POLICY, _INTERNAL_ERROR = 1001, 1005, 1008, 1011  # close codes of WebSocket


class RealtimeConnection:
    """A connection that is accepted."""

    def __init__(self, socket: WebSocket, service: Service, record: RequestRecord) -> None:
        """Begin a session with the default settings."""
        self._socket, self._record = socket, record
        self._loop = asyncio.get_running_loop()
        self._events = asyncio.Queue[dict[str, Any] | LiveEvent]()
        self._progress = asyncio.Event()
        self._stopped = asyncio.Event()
        self._name = f"sess_{uuid.uuid4().hex[:24]}"
        self._settings = RealtimeSettings()
        self._decoder = self._settings.decoder()
        self._errors = 0
        self._session = LiveSession(
            service.transcriber, self._settings.config(), self._settings.turns(), service.sessions.threads,
            lambda event: self._loop.call_soon_threadsafe(self._report, event),
        )  # fmt: skip

    def stop(self) -> None:
        """Ask the session to complete its turn and to end, because the server shuts down."""
        self._stopped.set()

    async def run(self) -> None:
        """Serve the client until it leaves or the server shuts down."""
        self._put(server_event("session.created", session=self._settings.document(self._name)))
        receiving, sending = asyncio.create_task(self._receive()), asyncio.create_task(self._send())
        stopping = asyncio.create_task(self._stopped.wait())
        try:
            await asyncio.wait({receiving, sending, stopping}, return_when=asyncio.FIRST_COMPLETED)
            if stopping.done() and not sending.done() and not receiving.done():
                receiving.cancel()
                await asyncio.to_thread(self._session.finish, _SEND_SECONDS)
                await asyncio.sleep(0)  # the last events are in the queue now
                self._put(error_event(ApiError(503, "shutting_down", "the service is shutting down: connect again")))
            code = _failure(receiving) or _failure(sending)
            code = code or (_GOING_AWAY if stopping.done() else receiving.result())
            if code != _GONE:
                await self._close(code, sending)
        finally:
            self._session.cancel()
            for task in (receiving, sending, stopping):
                task.cancel()
            await asyncio.gather(receiving, sending, stopping, return_exceptions=True)

    async def _close(self, code: int, sending: asyncio.Task[None]) -> None:
        """Send what is in the queue, and close the connection."""
        sent = asyncio.create_task(self._events.join())
        await asyncio.wait({sent, sending}, timeout=_SEND_SECONDS, return_when=asyncio.FIRST_COMPLETED)
        sent.cancel()
        with contextlib.suppress(RuntimeError, WebSocketDisconnect):  # it has left
            await self._socket.close(code)

    def _put(self, event: dict[str, Any] | LiveEvent) -> None:
        self._events.put_nowait(event)

    def _report(self, event: LiveEvent) -> None:
        if isinstance(event, TurnCompleted):
            self._record.metrics.audio.inc(event.seconds)
        self._put(event)
        self._progress.set()

    async def _send(self) -> None:
        while True:
            event = await self._events.get()
            try:
                encoded = [event] if isinstance(event, dict) else encode(event, bool(self._settings.include))
                for one in encoded:
                    async with asyncio.timeout(_SEND_SECONDS):
                        await self._socket.send_text(json.dumps(one, ensure_ascii=False))
            finally:
                self._events.task_done()

    async def _receive(self) -> int:
        """Handle events until the client leaves, or sends only errors; return the code of the close."""
        while self._errors < _MAX_ERRORS:
            message = await self._socket.receive()
            if message["type"] == "websocket.disconnect":
                return _GONE
            event: dict[str, Any] = {}
            try:
                event = _parse(message)
                await self._handle(event)
                self._errors = 0
            except (ApiError, TranscriptionError) as error:
                self._errors += 1
                name = event.get("event_id")
                self._put(error_event(to_api_error(error), name[:512] if isinstance(name, str) else None))
        return _POLICY

    async def _handle(self, event: dict[str, Any]) -> None:
        match event.get("type"):
            case "input_audio_buffer.append":
                await self._append(event.get("audio"))
            case "input_audio_buffer.commit":
                self._commit()
            case "input_audio_buffer.clear":
                self._session.clear()
                self._put(server_event("input_audio_buffer.cleared"))
            case "session.update":
                self._update(event.get("session"))
            case kind:
                message = f"type {str(kind)[:60]!r} is unknown in a transcription session: send session.update, or"
                message += " input_audio_buffer.append, .commit or .clear"
                raise ApiError(400, "unknown_event", message, "type")

    async def _append(self, audio: object) -> None:
        if not isinstance(audio, str):
            raise ApiError(400, "invalid_value", "audio must be base64 text", "audio")
        try:
            data = base64.b64decode(audio, validate=True)
        except (binascii.Error, ValueError):
            raise ApiError(400, "invalid_audio", "audio must be base64 text", "audio") from None
        samples: Samples = self._decoder.decode(data)
        for start in range(0, len(samples), SAMPLE_RATE):
            await self._has_room()
            self._session.feed(samples[start : start + SAMPLE_RATE])
            await asyncio.sleep(0)

    async def _has_room(self) -> None:
        """Wait until few turns wait for their decoding."""
        while self._session.pending >= _MAX_PENDING_TURNS:
            self._progress.clear()
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(1.0):
                    await self._progress.wait()

    def _commit(self) -> None:
        seconds = self._session.uncommitted_seconds
        if seconds < _MIN_COMMIT_SECONDS:
            message = f"the buffer has {seconds * 1000:.0f} ms of audio: append at least 100 ms before a commit"
            raise ApiError(400, "input_audio_buffer_commit_empty", message)
        self._session.commit()

    def _update(self, changes: object) -> None:
        settings = self._settings.updated(changes)
        self._session.update(settings.config(), settings.turns())
        if settings.audio.input.format != self._settings.audio.input.format:
            self._decoder = settings.decoder()
        self._settings = settings
        self._put(server_event("session.updated", session=settings.document(self._name)))


def _failure(task: asyncio.Task[Any]) -> int | None:
    """Return the code of the close if a task has failed; what is no fault of the client is logged."""
    error = task.exception() if task.done() and not task.cancelled() else None
    if error is None:
        return None
    if isinstance(error, WebSocketDisconnect | TimeoutError | RuntimeError):
        return _GONE
    logger.error("a live session failed", exc_info=error)
    return _INTERNAL_ERROR


def _parse(message: Any) -> dict[str, Any]:
    """Return the event in a message. Raises ApiError."""
    text = message.get("text")
    if text is None:
        raise ApiError(400, "invalid_event", "send events as text, each a JSON object")
    if len(text) > MAX_EVENT_BYTES:
        raise ApiError(413, "event_too_large", f"an event may have {MAX_EVENT_BYTES} bytes: append less at a time")
    try:
        event = json.loads(text)
    except (ValueError, RecursionError):
        raise ApiError(400, "invalid_json", "the event is not JSON") from None
    if not isinstance(event, dict):
        raise ApiError(400, "invalid_event", "the event is not a JSON object")
    return event
