"""The API of Inference Endpoints: POST / and /predict, with JSON or the bytes of an audio file."""

from typing import IO, Any

from fastapi import APIRouter, Request, Response
from fastapi.responses import JSONResponse

from transcription.context import RequestContext
from transcription.formats.answers import ChunksDocument
from transcription.server.api_errors import EndpointErrorBody
from transcription.server.bodies import is_json_object, max_json_bytes, read_audio_or_json, read_body, read_json
from transcription.server.jobs import Job, run
from transcription.server.request_log import record_of
from transcription.server.schemas import ERRORS, Responses, endpoint_body
from transcription.server.service import service_of

router = APIRouter(tags=["Inference Endpoints"])

_RESPONSES: Responses = {
    200: {"model": ChunksDocument, "description": "another response_format adds a key of its own name"},
    **{status: {**error, "model": EndpointErrorBody} for status, error in ERRORS.items() if status != 415},
}


@router.post("/", responses=_RESPONSES, openapi_extra=endpoint_body())
@router.post("/predict", responses=_RESPONSES, openapi_extra=endpoint_body())
async def predict(request: Request) -> Response:
    """Return text, chunks and speakers. A body that begins with a brace is JSON, whatever its content type says."""
    service, record = service_of(request), record_of(request)
    says_json = _content_type(request) == "application/json"
    query = dict(request.query_params)

    async def prepare(file: IO[bytes]) -> Job[dict[str, Any]]:
        def work(context: RequestContext) -> dict[str, Any]:
            is_json = says_json or is_json_object(file)  # huggingface_hub 0.30 sends JSON without a content type
            data = _with_query(read_json(file), query) if is_json else {"inputs": file, "parameters": query}
            with record.stage("transcribe"):
                answer = service.endpoint(data, context)
            record.add_audio(answer["duration"])
            return answer

        return Job(work, JSONResponse)

    if says_json:
        return await run(request, read_body, max_json_bytes(service.max_audio_bytes), prepare)
    return await run(request, read_audio_or_json, service.max_audio_bytes, prepare)


def _with_query(data: dict[str, Any], query: dict[str, str]) -> dict[str, Any]:
    """Return a JSON body with the parameters of the query string; those in the body come first."""
    parameters = data.get("parameters") or {}
    return data | {"parameters": query | parameters} if query and isinstance(parameters, dict) else data


def _content_type(request: Request) -> str:
    return request.headers.get("content-type", "").partition(";")[0].strip().lower()
