"""RequestRecord: id, timings and outcome of one request, for the log and the metrics."""

import json
import logging
import re
import time
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from importlib.util import find_spec
from typing import Any

from starlette.datastructures import Headers, MutableHeaders
from starlette.requests import Request
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from transcription.server.api_errors import ApiError
from transcription.server.metrics import Metrics

logger = logging.getLogger("transcription")

_ID = re.compile(r"[\w.:-]{1,128}", re.ASCII)
_PROBES = frozenset({"/health", "/ready", "/ping", "/metrics"})


@dataclass
class RequestRecord:
    """What is logged of one request. It never holds text of a transcript."""

    id: str
    metrics: Metrics
    started: float = field(default_factory=time.perf_counter)
    stages: dict[str, float] = field(default_factory=dict)  # name: seconds
    audio_seconds: float | None = None
    refusal: str | None = None
    received: bool = False  # the whole body
    status: int = 0

    @contextmanager
    def stage(self, name: str) -> Iterator[None]:
        """Measure the duration of a stage of the work."""
        started = time.perf_counter()
        try:
            yield
        finally:
            self.add_stage(name, time.perf_counter() - started)

    def add_stage(self, name: str, seconds: float) -> None:
        """Record the duration of a stage of the work."""
        self.stages[name] = round(seconds, 4)
        self.metrics.stages.labels(name).observe(seconds)

    def add_audio(self, seconds: float) -> None:
        """Record the duration of the transcribed audio."""
        self.audio_seconds = round(seconds, 3)
        self.metrics.audio.inc(seconds)
        if seconds and self.stages.get("transcribe"):
            self.metrics.real_time_factor.observe(self.stages["transcribe"] / seconds)

    def add_first_text(self) -> None:
        """Record that a stream has its first text now."""
        self.metrics.first_delta.observe(time.perf_counter() - self.started)

    def refuse(self, reason: str) -> None:
        """Record why the request is refused."""
        self.refusal = reason
        self.metrics.refusals.labels(reason).inc()


def record_of(request: Request) -> RequestRecord:
    """Return the record that RequestLogMiddleware made for a request."""
    record: RequestRecord = request.state.record
    return record


class RequestLogMiddleware:
    """ASGI middleware that gives each request an id, a log line and its metrics."""

    def __init__(self, app: ASGIApp, metrics: Metrics) -> None:
        self.app, self.metrics = app, metrics

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] not in ("http", "websocket"):
            await self.app(scope, receive, send)
            return
        sent_id = Headers(scope=scope).get("x-request-id", "")
        record = RequestRecord(sent_id if _ID.fullmatch(sent_id) else f"req_{uuid.uuid4().hex}", self.metrics)
        scope.setdefault("state", {})["record"] = record

        async def receive_and_record() -> Message:
            message = await receive()
            if message["type"] == "http.disconnect" or not message.get("more_body", False):
                record.received = True
            return message

        async def send_with_id(message: Message) -> None:
            if message["type"] == "websocket.accept":
                record.status = 101
                MutableHeaders(scope=message)["x-request-id"] = record.id
            if message["type"] in ("http.response.start", "websocket.http.response.start"):
                record.status = message["status"]
                MutableHeaders(scope=message)["x-request-id"] = record.id
            await send(message)

        try:
            await self.app(scope, receive_and_record, send_with_id)
        except Exception as error:
            logger.error("a request failed", exc_info=error, extra={"request_id": record.id})
            if not record.status and scope["type"] == "http":
                failure = ApiError(500, "internal_error", "the service failed: see its log")
                record.refuse(failure.reason)
                await failure.response(scope["path"])(scope, receive_and_record, send_with_id)
        finally:
            self._finish(record, scope)

    def _finish(self, record: RequestRecord, scope: Scope) -> None:
        """Count the request, and log it unless it is a probe."""
        seconds = time.perf_counter() - record.started
        route = getattr(scope.get("route"), "path", "none")  # unknown paths share one label, or anyone could add many
        self.metrics.requests.labels(route, str(record.status)).inc()
        self.metrics.seconds.labels(route).observe(seconds)
        if route not in _PROBES:
            fields: dict[str, Any] = {"route": route, "status": record.status, "seconds": round(seconds, 4)}
            fields |= {"audio_seconds": record.audio_seconds, "stages": record.stages, "refusal": record.refusal}
            logger.info("request", extra={"request_id": record.id, "fields": fields})


class JsonFormatter(logging.Formatter):
    """Formats a log record as a line of JSON: time, level, message, request_id and its `fields`."""

    def format(self, record: logging.LogRecord) -> str:
        line: dict[str, Any] = {
            "time": self.formatTime(record, "%Y-%m-%dT%H:%M:%S%z"),
            "level": record.levelname.lower(),
            "message": record.getMessage(),
        }
        if hasattr(record, "request_id"):
            line["request_id"] = record.request_id
        line |= {name: value for name, value in getattr(record, "fields", {}).items() if value not in (None, {})}
        if record.exc_info:
            line["exception"] = self.formatException(record.exc_info)
        return json.dumps(line, ensure_ascii=False, default=str)


def propagate_transformers_logs() -> None:
    """Send the logs of transformers to our handler: it adds a handler of its own when it is imported."""
    if find_spec("transformers") is None:  # ENGINE=onnx needs none
        return
    from transformers.utils import logging as transformers_logging

    transformers_logging.disable_default_handler()
    transformers_logging.enable_propagation()


def configure_logging() -> None:
    """Send every log of the process to standard error, as lines of JSON."""
    handler = logging.StreamHandler()
    handler.setFormatter(JsonFormatter())
    logging.basicConfig(level=logging.INFO, handlers=[handler], force=True)
    logging.captureWarnings(True)
    for name in ("uvicorn", "uvicorn.error", "uvicorn.access", "httpx", "httpcore"):
        logging.getLogger(name).handlers.clear()
        logging.getLogger(name).setLevel(logging.WARNING)
        logging.getLogger(name).propagate = True
