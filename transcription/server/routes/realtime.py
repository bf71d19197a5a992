"""OpenAI's realtime transcription: the WebSocket /v1/realtime."""

from urllib.parse import urlsplit

from fastapi import APIRouter, WebSocket

from transcription.errors import TranscriptionError
from transcription.server.api_errors import ApiError, to_api_error
from transcription.server.authentication import check_key
from transcription.server.realtime.connection import RealtimeConnection
from transcription.server.request_log import RequestRecord
from transcription.server.service import Service

router = APIRouter()
_KEY_PROTOCOL = "openai-insecure-api-key."  # browsers cannot send an Authorization header
_PARAMETERS = frozenset({"intent", "model"})


@router.websocket("/v1/realtime")
async def realtime(socket: WebSocket) -> None:
    """Transcribe audio while it is spoken."""
    service: Service = socket.app.state.service
    record: RequestRecord = socket.state.record
    try:
        _check(socket, service)
        connection = RealtimeConnection(socket, service, record)
    except (ApiError, TranscriptionError) as error:
        api_error = to_api_error(error)
        record.refuse(api_error.reason)
        await socket.send_denial_response(api_error.response(socket.url.path))
        return
    with service.sessions.session(connection.stop):
        await socket.accept("realtime" if "realtime" in socket.scope["subprotocols"] else None)
        await connection.run()


def _check(socket: WebSocket, service: Service) -> None:
    """Check that a client may begin a session. Raises ApiError."""
    offered: list[str] = socket.scope["subprotocols"]
    kind, _, key = socket.headers.get("authorization", "").partition(" ")
    sent = key.strip() if kind.lower() == "bearer" else ""
    sent = sent or next((one.removeprefix(_KEY_PROTOCOL) for one in offered if one.startswith(_KEY_PROTOCOL)), "")
    check_key(service.settings, sent)
    origin = socket.headers.get("origin")
    if origin and urlsplit(origin).netloc != socket.headers.get("host") and origin not in service.settings.cors_origins:
        raise ApiError(403, "origin_not_allowed", "this page may not use the service: add it to CORS_ORIGINS")
    if unknown := sorted(socket.query_params.keys() - _PARAMETERS):
        raise ApiError(
            400, "unknown_parameter", f"unknown parameter {unknown[0][:40]!r}: leave it out", unknown[0][:40]
        )
    if socket.query_params.get("intent", "transcription") != "transcription":
        raise ApiError(400, "invalid_value", "intent must be transcription", "intent")
    service.sessions.check()
    if service.admission.draining:
        raise ApiError(503, "shutting_down", "the service is shutting down: connect again", retry_after=5)
