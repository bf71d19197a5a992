"""Health, metrics and models: /health, /ready, /ping, /metrics and /v1/models."""

from typing import Literal

from fastapi import APIRouter, Request, Response
from fastapi.responses import JSONResponse, PlainTextResponse
from prometheus_client import CONTENT_TYPE_LATEST
from typing_extensions import TypedDict

from transcription.server.api_errors import ApiError, ErrorBody
from transcription.server.schemas import ERRORS, Responses
from transcription.server.service import Service, service_of


class Health(TypedDict):
    """The status of the service."""

    status: Literal["ok", "loading", "failing", "shutting down"]


class Model(TypedDict):
    """A model of the service."""

    id: str
    object: Literal["model"]
    created: int
    owned_by: str


class Models(TypedDict):
    """All models of the service."""

    object: Literal["list"]
    data: list[Model]


open_router = APIRouter(tags=["status"])
router = APIRouter(tags=["models"])
_UNAVAILABLE: Responses = {503: {"model": Health, "description": "loading, failing or shutting down"}}
_MODEL_ERRORS: Responses = {status: ERRORS[status] for status in (401, 503)}


@open_router.get("/", include_in_schema=False)
@open_router.get("/health", response_model=Health, responses=_UNAVAILABLE)
async def health(request: Request) -> JSONResponse:
    """Return 200 if the models are loaded and work, also during shutdown."""
    status = service_of(request).status
    return JSONResponse({"status": status}, 200 if status == "ok" else 503)


@open_router.get("/ping", include_in_schema=False)
async def ping(request: Request) -> Response:
    """Return 200 if new requests are accepted, else 204: the protocol of Runpod's load balancer."""
    return Response(status_code=200 if service_of(request).ready else 204)


@open_router.get("/ready", response_model=Health, responses=_UNAVAILABLE)
async def ready(request: Request) -> JSONResponse:
    """Return 200 if new requests are accepted."""
    service = service_of(request)
    if service.ready:
        return JSONResponse({"status": "ok"})
    return JSONResponse({"status": "shutting down" if service.admission.draining else service.status}, 503)


@open_router.get("/metrics", response_class=PlainTextResponse)
async def metrics(request: Request) -> PlainTextResponse:
    """Return the metrics for Prometheus and for vLLM's production-stack router."""
    return PlainTextResponse(service_of(request).metrics.text(), media_type=CONTENT_TYPE_LATEST)


@router.get("/v1/models", responses=_MODEL_ERRORS)
async def models(request: Request) -> Models:
    """List the model of the service."""
    return {"object": "list", "data": [_model(service_of(request))]}


@router.get("/v1/models/{name:path}", responses={404: {"model": ErrorBody}, **_MODEL_ERRORS})
async def model(request: Request, name: str) -> Model:
    """Return a model by its name."""
    served = _model(service_of(request))
    if name != served["id"]:
        raise ApiError(404, "model_not_found", f"no such model: this service has {served['id']}", "model")
    return served


def _model(service: Service) -> Model:
    return {"id": service.model, "object": "model", "created": service.started, "owned_by": service.model.split("/")[0]}
