"""The same service over HTTP: `python server.py`, configured by the environment."""

import asyncio
import contextlib
import hmac
import logging
import os
import sys
import time
from collections.abc import AsyncIterator, Callable
from http import HTTPStatus
from typing import Annotated, Any

import uvicorn
from fastapi import Depends, FastAPI, Request
from fastapi.exceptions import RequestValidationError
from fastapi.middleware.cors import CORSMiddleware
from fastapi.security import HTTPAuthorizationCredentials, HTTPBearer
from prometheus_client import disable_created_metrics
from starlette.exceptions import HTTPException
from starlette.responses import Response

from config import ModelSettings
from errors import InvalidSettings, TranscriptionError
from serving import audio_routes, chat_routes, endpoint_routes, status_routes
from serving.bodies import drain
from serving.problems import PLAIN, Problem, problem
from serving.records import Recorded, log_lines, record_of
from serving.service import Service, service_of
from serving.settings import ServerSettings, mounted
from transcribe import Transcriber

logger = logging.getLogger("transcription")
_KEEP_ALIVE = 75  # seconds: longer than proxies keep idle connections, so that none is closed as it is used
_BEARER = HTTPBearer(auto_error=False, description="one of API_KEYS, where any are set")


def create_app(settings: ServerSettings, load: Callable[[], Transcriber], wait: bool = False) -> FastAPI:
    """The application. load: makes the Transcriber, while /health already answers.

    wait: starts only with the models, and not without; for where another one answers meanwhile.
    """
    service = Service(settings, load)

    @contextlib.asynccontextmanager
    async def lifespan(_: FastAPI) -> AsyncIterator[None]:
        loading = asyncio.create_task(service.load())
        if wait:
            await loading
            if service.failed:
                raise InvalidSettings("the models cannot be loaded: the log says why")
        yield
        loading.cancel()
        await service.door.closed()

    app = FastAPI(title="Transcription", version="1.0", description=__doc__ or "", lifespan=lifespan)
    app.state.service = service
    app.include_router(status_routes.open_router)
    for routes in (audio_routes, chat_routes, endpoint_routes, status_routes):
        app.include_router(routes.router, dependencies=[Depends(authorised)])
    app.add_middleware(Recorded, metrics=service.metrics)
    if settings.cors_origins:
        app.add_middleware(
            CORSMiddleware, allow_origins=list(settings.cors_origins), allow_methods=["GET", "POST"],
            allow_headers=["*"], expose_headers=["x-request-id", "retry-after", "x-should-retry"],
        )  # fmt: skip
    if settings.ui:
        from page.mounting import mount  # here, as most requests never see it

        mount(app, authorised)
    for kind in (Problem, TranscriptionError, HTTPException, RequestValidationError):
        app.add_exception_handler(kind, refused)
    return app


async def authorised(request: Request, sent: Annotated[HTTPAuthorizationCredentials | None, Depends(_BEARER)]) -> None:
    """Lets in who has one of the keys. Raises Problem."""
    keys = [key.get_secret_value().encode() for key in service_of(request).settings.api_keys]
    given = sent.credentials.encode() if sent else b""
    matches = [hmac.compare_digest(given, key) for key in keys]  # all of them: time says nothing of which
    if keys and not any(matches):
        raise Problem(401, "invalid_api_key", "send one of the service's API keys as Authorization: Bearer")


async def refused(request: Request, error: Exception) -> Response:
    """Any failure, in the words of the route's protocol."""
    refusal = _refusal(error)
    record_of(request).refused(refusal.reason)
    await drain(request)
    response = refusal.response(plain=request.url.path in PLAIN)
    response.headers.update(getattr(error, "headers", None) or {})
    return response


def _refusal(error: Exception) -> Problem:
    match error:
        case Problem():
            return error
        case TranscriptionError():
            return problem(error)
        case HTTPException():
            name = HTTPStatus(error.status_code).phrase.lower().replace(" ", "_")
            return Problem(error.status_code, name, error.detail)
        case _:
            return Problem(400, "invalid_value", "the request cannot be read: see /docs")


class Server(uvicorn.Server):
    """uvicorn, which on SIGTERM finishes what is running, is meanwhile not ready, and exits with 0."""

    def __init__(self, config: uvicorn.Config, service: Service) -> None:
        super().__init__(config)
        self.service = service
        self._until = float("inf")

    def handle_exit(self, sig: int, frame: Any) -> None:
        """The first signal drains, the second one ends. Neither is raised again at the end, as uvicorn would."""
        door = self.service.door
        if door.draining:
            self.should_exit = self.force_exit = True
        door.draining = True
        self._until = time.monotonic() + self.service.settings.shutdown_seconds

    async def on_tick(self, counter: int) -> bool:
        drained = self.service.door.draining and (not self.server_state.tasks or time.monotonic() > self._until)
        return drained or self.service.failed or await super().on_tick(counter)


def main() -> int:
    """Serves until it is told to end; the exit code."""
    log_lines()
    disable_created_metrics()  # type: ignore[no-untyped-call]  # a second series for every counter, which nobody reads
    try:
        settings = ServerSettings.from_environment()
        models = ModelSettings.from_environment(mounted())
    except InvalidSettings as error:
        logger.error(error)
        return 2
    return serve(create_app(settings, lambda: Transcriber(models)))


def serve(app: FastAPI) -> int:
    """Serves an application of create_app until it is told to end; the exit code."""
    service: Service = app.state.service
    settings = service.settings
    config = uvicorn.Config(
        app, settings.host, settings.port, log_config=None, access_log=False, server_header=False,
        timeout_graceful_shutdown=5,
        timeout_keep_alive=_KEEP_ALIVE,
    )  # fmt: skip
    logger.info("listening", extra={"told": {"host": settings.host, "port": settings.port}})
    Server(config, service).run()
    code = 1 if service.failed else 0
    if service.status == "loading":
        logging.shutdown()
        os._exit(code)  # the thread that loads may be anywhere, also where it cannot be interrupted
    return code


if __name__ == "__main__":
    sys.exit(main())
