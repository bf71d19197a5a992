"""One RequestRecord a request: its id, its stages and what became of it, for the log and the metrics."""

import json
import logging
import re
import time
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

from starlette.datastructures import Headers, MutableHeaders
from starlette.requests import Request
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from transcription.server.api_errors import PLAIN, ApiError
from transcription.server.metrics import Metrics

logger = logging.getLogger("transcription")

_ID = re.compile(r"[\w.:-]{1,128}", re.ASCII)
_PROBES = frozenset({"/health", "/ready", "/ping", "/metrics"})


@dataclass
class RequestRecord:
    """What is known of one request; no word of what was said in it."""

    id: str
    metrics: Metrics
    began: float = field(default_factory=time.perf_counter)
    stages: dict[str, float] = field(default_factory=dict)
    audio_seconds: float | None = None
    refusal: str | None = None
    received: bool = False  # all of its body
    status: int = 0

    @contextmanager
    def stage(self, name: str) -> Iterator[None]:
        """Times a part of the work."""
        began = time.perf_counter()
        try:
            yield
        finally:
            self.took(name, time.perf_counter() - began)

    def took(self, name: str, seconds: float) -> None:
        """A part of the work took so long."""
        self.stages[name] = round(seconds, 4)
        self.metrics.stages.labels(name).observe(seconds)

    def heard(self, seconds: float) -> None:
        """So much audio was transcribed."""
        self.audio_seconds = round(seconds, 3)
        self.metrics.audio.inc(seconds)
        if seconds and self.stages.get("transcribe"):
            self.metrics.real_time_factor.observe(self.stages["transcribe"] / seconds)

    def refused(self, reason: str) -> None:
        """No answer, and why."""
        self.refusal = reason
        self.metrics.refusals.labels(reason).inc()


def record_of(request: Request) -> RequestRecord:
    """The record of a request that came through RequestLogMiddleware."""
    record: RequestRecord = request.state.record
    return record


class RequestLogMiddleware:
    """ASGI middleware: an id in and out, a log line and the metrics of every request."""

    def __init__(self, app: ASGIApp, metrics: Metrics) -> None:
        self.app, self.metrics = app, metrics

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        sent = Headers(scope=scope).get("x-request-id", "")
        record = RequestRecord(sent if _ID.fullmatch(sent) else f"req_{uuid.uuid4().hex}", self.metrics)
        scope.setdefault("state", {})["record"] = record

        async def received() -> Message:
            message = await receive()
            if message["type"] == "http.disconnect" or not message.get("more_body", False):
                record.received = True
            return message

        async def answered(message: Message) -> None:
            if message["type"] == "http.response.start":
                record.status = message["status"]
                MutableHeaders(scope=message)["x-request-id"] = record.id
            await send(message)

        try:
            await self.app(scope, received, answered)
        except Exception as error:
            logger.error("a request failed", exc_info=error, extra={"request_id": record.id})
            if not record.status:
                failure = ApiError(500, "internal_error", "the service failed: see its log")
                record.refused(failure.reason)
                await failure.response(scope["path"] in PLAIN)(scope, received, answered)
        finally:
            self._close(record, scope)

    def _close(self, record: RequestRecord, scope: Scope) -> None:
        """Probes are counted, and not logged."""
        seconds = time.perf_counter() - record.began
        route = getattr(scope.get("route"), "path", "none")  # of an unknown path anyone could make a new label
        self.metrics.requests.labels(route, str(record.status)).inc()
        self.metrics.seconds.labels(route).observe(seconds)
        if route not in _PROBES:
            told: dict[str, Any] = {"route": route, "status": record.status, "seconds": round(seconds, 4)}
            told |= {"audio_seconds": record.audio_seconds, "stages": record.stages, "refusal": record.refusal}
            logger.info("request", extra={"request_id": record.id, "told": told})


class JsonFormatter(logging.Formatter):
    """One JSON object a line: time, level, message, request_id and what else a record tells."""

    def format(self, record: logging.LogRecord) -> str:
        line: dict[str, Any] = {
            "time": self.formatTime(record, "%Y-%m-%dT%H:%M:%S%z"),
            "level": record.levelname.lower(),
            "message": record.getMessage(),
        }
        if hasattr(record, "request_id"):
            line["request_id"] = record.request_id
        line |= {name: value for name, value in getattr(record, "told", {}).items() if value not in (None, {})}
        if record.exc_info:
            line["exception"] = self.formatException(record.exc_info)
        return json.dumps(line, ensure_ascii=False, default=str)


def propagate_transformers_logs() -> None:
    """transformers, once it is loaded, writes lines of its own unless it is told not to."""
    from transformers.utils import logging as own

    own.disable_default_handler()
    own.enable_propagation()


def configure_logging() -> None:
    """Sends every log of the process to standard error as JSON lines."""
    handler = logging.StreamHandler()
    handler.setFormatter(JsonFormatter())
    logging.basicConfig(level=logging.INFO, handlers=[handler], force=True)
    logging.captureWarnings(True)
    for name in ("uvicorn", "uvicorn.error", "uvicorn.access", "httpx", "httpcore"):
        logging.getLogger(name).handlers.clear()
        logging.getLogger(name).setLevel(logging.WARNING)
        logging.getLogger(name).propagate = True
