"""The same service over many machines, on Ray: `serve run transcription.cluster.app:app`.

Ray Serve runs three deployments. HttpServer: the HTTP application, which decodes audio, cuts it into windows and
joins their text. EngineReplica: an engine that decodes windows. Diarizer: a pipeline, where DIARIZATION_MODEL is set.
"""

import logging
import os
from typing import Any

os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")  # nothing is reported to anyone

from fastapi import FastAPI
from prometheus_client import disable_created_metrics
from pydantic import BaseModel, ConfigDict, Field
from ray import serve
from ray.serve import Application
from ray.serve.config import AutoscalingConfig, AutoscalingPolicy

from transcription.cluster.diarizer_replica import WAITING, DiarizerReplica
from transcription.cluster.engine_replica import MOST, EngineReplica
from transcription.cluster.remote import RemoteDiarizer, RemoteEngine
from transcription.cluster.replica_client import ReplicaClient
from transcription.cluster.scaling import ByAudio
from transcription.config import ModelSettings, with_absolute_paths
from transcription.errors import InvalidSettings
from transcription.server.admission import AdmissionController
from transcription.server.app import create_app
from transcription.server.request_log import configure_logging
from transcription.server.settings import ServerSettings, mounted
from transcription.transcriber import Transcriber
from transcription.ui.mounting import mount

logger = logging.getLogger("transcription")
_BESIDE = 100  # requests to a door that its own line does not count: probes, metrics, refusals
_LOOK = 2.0  # seconds after which Ray misses a replica that is gone, and starts another


class Cluster(BaseModel):
    """How large the cluster is: arguments of `serve run transcription.cluster.app:app`, or Serve's `args`."""

    model_config = ConfigDict(extra="forbid")

    doors: int = Field(1, ge=1, description="processes that take requests, decode audio and cut it")
    min_recognisers: int = Field(1, ge=1, description="engines, at least")
    max_recognisers: int = Field(1, ge=1, description="engines, at most")
    recogniser_gpus: float = Field(0, ge=0, description="of a GPU for each engine: 1, or a fraction")
    recogniser_cpus: float = Field(1, gt=0, description="CPU cores for each engine")
    audio_seconds: float = Field(600, gt=0, description="of audio that may wait for each engine before there are more")
    min_diarizers: int = Field(1, ge=1, description="diarization pipelines, at least")
    max_diarizers: int = Field(1, ge=1, description="diarization pipelines, at most")
    diarizer_gpus: float = Field(0, ge=0, description="of a GPU for each pipeline")
    diarizer_cpus: float = Field(1, gt=0, description="CPU cores for each pipeline")
    surge: int = Field(
        100, ge=0, le=100, description="percent of engines and pipelines that an update starts before it stops old ones"
    )


def app(cluster: Cluster) -> Application:
    """The application for Ray Serve, with models and limits from the environment. Raises InvalidSettings."""
    models = with_absolute_paths(ModelSettings.from_environment(mounted()))
    settings = ServerSettings.from_environment()
    if models.engine != "slots":
        raise InvalidSettings("a cluster decodes with ENGINE slots: leave ENGINE out")
    behind: list[Any] = [_recognisers(models, cluster)]
    if models.diarization_model is not None:
        behind.append(_diarizers(models, cluster))
    built: Application = _doors(settings, models, cluster).bind(*behind)
    return built


def _doors(settings: ServerSettings, models: ModelSettings, cluster: Cluster) -> Any:
    def application() -> FastAPI:
        """In each replica, when it starts."""
        configure_logging()
        disable_created_metrics()  # type: ignore[no-untyped-call]
        name = serve.get_replica_context().app_name

        def calls(deployment: str) -> ReplicaClient:
            return ReplicaClient(serve.get_deployment_handle(deployment, name))

        def transcriber() -> Transcriber:
            door: AdmissionController = found.state.service.admission
            engine = RemoteEngine(calls("EngineReplica"), _long(cluster), lambda: door.load)
            return Transcriber(models, engine, lambda _: RemoteDiarizer(calls("Diarizer")))

        # In an update the door before it answers until then.
        found = create_app(settings, transcriber, wait=True, mounts=[mount])
        return found

    most = settings.max_running + settings.max_waiting + settings.max_uploads + _BESIDE
    return serve.deployment(
        name="HttpServer", num_replicas=cluster.doors, max_ongoing_requests=most,
        max_surge_percent=100, health_check_period_s=_LOOK, graceful_shutdown_timeout_s=settings.shutdown_seconds,
        ray_actor_options={"num_cpus": 1},
    )(serve.ingress(application)())  # fmt: skip


def _long(cluster: Cluster) -> int:
    """Windows of long requests that a door may have at each recogniser: all doors together fill half of its places."""
    return max(MOST // (2 * cluster.doors), 1)


def _recognisers(models: ModelSettings, cluster: Cluster) -> Any:
    return serve.deployment(
        name="EngineReplica", max_ongoing_requests=MOST, graceful_shutdown_timeout_s=120,
        max_surge_percent=cluster.surge,
        health_check_period_s=_LOOK,
        ray_actor_options={"num_cpus": cluster.recogniser_cpus, "num_gpus": cluster.recogniser_gpus},
        autoscaling_config=AutoscalingConfig(
            min_replicas=cluster.min_recognisers, max_replicas=cluster.max_recognisers,
            policy=AutoscalingPolicy(  # type: ignore[no-untyped-call]
                policy_function=ByAudio, policy_kwargs={"seconds": cluster.audio_seconds}),
        ),
    )(EngineReplica).bind(models)  # fmt: skip


def _diarizers(models: ModelSettings, cluster: Cluster) -> Any:
    return serve.deployment(
        name="Diarizer", max_ongoing_requests=WAITING, graceful_shutdown_timeout_s=900, max_surge_percent=cluster.surge,
        health_check_period_s=_LOOK,
        ray_actor_options={"num_cpus": cluster.diarizer_cpus, "num_gpus": cluster.diarizer_gpus},
        autoscaling_config=AutoscalingConfig(
            min_replicas=cluster.min_diarizers, max_replicas=cluster.max_diarizers, target_ongoing_requests=1,
        ),
    )(DiarizerReplica).bind(models)  # fmt: skip
