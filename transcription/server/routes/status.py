"""How the service is: /health, /ready, /metrics; and what it serves: /v1/models."""

from typing import Any

from fastapi import APIRouter, Request, Response
from fastapi.responses import JSONResponse, PlainTextResponse
from prometheus_client import CONTENT_TYPE_LATEST

from transcription.server.api_errors import ApiError
from transcription.server.schemas import ERRORS, Error, Health, Model, Models
from transcription.server.service import Service, service_of

open_router = APIRouter(tags=["status"])
router = APIRouter(tags=["models"])
_LOADING: dict[int | str, dict[str, Any]] = {503: {"model": Health, "description": "not now"}}
_NAMED: dict[int | str, dict[str, Any]] = {status: ERRORS[status] for status in (401, 503)}


@open_router.get("/", include_in_schema=False)
@open_router.get("/health", response_model=Health, responses=_LOADING)
async def health(request: Request) -> JSONResponse:
    """200 while the models are loaded and do not fail on every request; also while it shuts down."""
    status = service_of(request).status
    return JSONResponse({"status": status}, 200 if status == "ok" else 503)


@open_router.get("/ping", include_in_schema=False)
async def ping(request: Request) -> Response:
    """As Runpod's load balancer asks: 204 while the models are being loaded."""
    return Response(status_code=200 if service_of(request).ready else 204)


@open_router.get("/ready", response_model=Health, responses=_LOADING)
async def ready(request: Request) -> JSONResponse:
    """200 while new requests are welcome."""
    service = service_of(request)
    if service.ready:
        return JSONResponse({"status": "ok"})
    return JSONResponse({"status": "shutting down" if service.admission.draining else service.status}, 503)


@open_router.get("/metrics", response_class=PlainTextResponse)
async def metrics(request: Request) -> PlainTextResponse:
    """For Prometheus, and for vLLM's production-stack router."""
    return PlainTextResponse(service_of(request).metrics.text(), media_type=CONTENT_TYPE_LATEST)


@router.get("/v1/models", response_model=Models, responses=_NAMED)
async def models(request: Request) -> Models:
    """The one model that is served."""
    return Models(data=[_model(service_of(request))])


@router.get("/v1/models/{name:path}", response_model=Model, responses={404: {"model": Error}, **_NAMED})
async def model(request: Request, name: str) -> Model:
    """One model by its name."""
    found = _model(service_of(request))
    if name != found.id:
        raise ApiError(404, "model_not_found", f"no such model: this service has {found.id}", "model")
    return found


def _model(service: Service) -> Model:
    return Model(id=service.model, created=service.started, owned_by=service.model.split("/")[0])
