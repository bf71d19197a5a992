"""The Inference Endpoints contract: POST / and /predict, JSON or the bytes of a recording."""

from typing import IO, Any

from fastapi import APIRouter, Request
from fastapi.responses import JSONResponse

from transcription.context import RequestContext
from transcription.server.bodies import json_limit, read_body, read_json
from transcription.server.request_log import RequestRecord, record_of
from transcription.server.schemas import ERRORS, EndpointAnswer, PlainError, endpoint_body
from transcription.server.service import Service, service_of

router = APIRouter(tags=["Inference Endpoints"])

_RESPONSES: dict[int | str, dict[str, Any]] = {
    200: {"model": EndpointAnswer},
    **{status: {**known, "model": PlainError} for status, known in ERRORS.items() if status != 415},
}


@router.post("/", responses=_RESPONSES, openapi_extra=endpoint_body())
@router.post("/predict", responses=_RESPONSES, openapi_extra=endpoint_body())
async def predict(request: Request) -> JSONResponse:
    """The handler's answer: text, chunks and speakers. The bytes of a recording may be of any content type or none."""
    service, record, context = service_of(request), record_of(request), RequestContext()
    most = service.transcriber.settings.max_audio_bytes
    as_json = _is_json(request)
    file = await service.receive(request, read_body, json_limit(most) if as_json else most)
    query = dict(request.query_params)
    work = service.begin(request, lambda: _answer(service, file, as_json, query, context, record), context)
    work.add_done_callback(lambda _: file.close())
    return JSONResponse(await service.finished(request, work))


def _is_json(request: Request) -> bool:
    return request.headers.get("content-type", "").partition(";")[0].strip().lower() == "application/json"


def _answer(
    service: Service,
    file: IO[bytes],
    as_json: bool,
    query: dict[str, str],
    context: RequestContext,
    record: RequestRecord,
) -> dict[str, Any]:
    """The work itself, for a thread. Raises TranscriptionError."""
    data = read_json(file) if as_json else {"inputs": file, "parameters": query}
    with record.stage("transcribe"):
        answer = service.endpoint(data, context)
    record.heard(answer["duration"])
    return answer
