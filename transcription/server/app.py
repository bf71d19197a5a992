"""The HTTP application: routes, middleware and error handling around a Service."""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Callable, Sequence
from http import HTTPStatus

from fastapi import Depends, FastAPI, Request
from fastapi.exceptions import RequestValidationError
from fastapi.middleware.cors import CORSMiddleware
from starlette.exceptions import HTTPException
from starlette.responses import Response

from transcription import __version__
from transcription.errors import InvalidSettings, TranscriptionError
from transcription.server.api_errors import ApiError, to_api_error
from transcription.server.authentication import authorised
from transcription.server.bodies import drain
from transcription.server.request_log import RequestLogMiddleware, record_of
from transcription.server.routes import audio as audio_routes
from transcription.server.routes import chat as chat_routes
from transcription.server.routes import endpoint as endpoint_routes
from transcription.server.routes import realtime as realtime_routes
from transcription.server.routes import status as status_routes
from transcription.server.service import Service
from transcription.server.settings import ServerSettings
from transcription.transcriber import Transcriber

Mount = Callable[[FastAPI], None]
_DESCRIPTION = "Speech to text with speakers: OpenAI's audio routes and the API of Hugging Face Inference Endpoints."


def create_app(
    settings: ServerSettings, load: Callable[[], Transcriber], wait: bool = False, mounts: Sequence[Mount] = ()
) -> FastAPI:
    """Return the application. `load` makes the Transcriber while /health already answers.

    wait: start only when the models are loaded. mounts: functions that add more routes, e.g. the page.
    """
    service = Service(settings, load)

    @contextlib.asynccontextmanager
    async def lifespan(_: FastAPI) -> AsyncIterator[None]:
        loading = asyncio.create_task(service.load())
        if wait:
            await loading
            if service.failed:
                raise InvalidSettings("the models cannot be loaded: see the log")
        yield
        loading.cancel()
        await service.sessions.close()
        await service.admission.close()

    app = FastAPI(title="Transcription", version=__version__, description=_DESCRIPTION, lifespan=lifespan)
    app.state.service = service
    app.include_router(status_routes.open_router)
    for routes in (audio_routes, chat_routes, endpoint_routes, status_routes):
        app.include_router(routes.router, dependencies=[Depends(authorised)])
    app.include_router(realtime_routes.router)
    app.add_middleware(RequestLogMiddleware, metrics=service.metrics)
    if settings.cors_origins:
        app.add_middleware(
            CORSMiddleware, allow_origins=list(settings.cors_origins), allow_methods=["GET", "POST"],
            allow_headers=["*"], expose_headers=["x-request-id", "retry-after", "x-should-retry"],
        )  # fmt: skip
    for mount in mounts:
        mount(app)
    for kind in (ApiError, TranscriptionError, HTTPException, RequestValidationError):
        app.add_exception_handler(kind, error_response)
    return app


async def error_response(request: Request, error: Exception) -> Response:
    """Return the response of any error, in the words of the route's protocol."""
    api_error = _api_error(error)
    record_of(request).refuse(api_error.reason)
    await drain(request)
    response = api_error.response(request.url.path)
    response.headers.update(getattr(error, "headers", None) or {})
    return response


def _api_error(error: Exception) -> ApiError:
    match error:
        case ApiError() | TranscriptionError():
            return to_api_error(error)
        case HTTPException():
            reason = HTTPStatus(error.status_code).phrase.lower().replace(" ", "_")
            return ApiError(error.status_code, reason, error.detail)
        case _:
            return ApiError(400, "invalid_value", "the request cannot be read: see /docs")
