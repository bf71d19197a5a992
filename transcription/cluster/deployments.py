"""The deployments of a cluster: HTTP servers, engines and diarization pipelines."""

from collections.abc import Sequence

from ray import serve
from ray.serve import Application
from ray.serve.config import AutoscalingConfig, AutoscalingPolicy

from transcription.cluster.arguments import ClusterArguments
from transcription.cluster.diarizer_replica import MAX_RECORDINGS, DiarizerReplica
from transcription.cluster.engine_replica import MAX_WINDOWS, EngineReplica
from transcription.cluster.http_server import DIARIZER_REPLICA, ENGINE_REPLICA, HTTP_SERVER, application_factory
from transcription.cluster.scaling import AudioSecondsPolicy
from transcription.config import ModelSettings
from transcription.server.settings import ServerSettings

HEALTH_CHECK_SECONDS = 2.0
"""Period of Ray's health checks, which find replicas that are gone."""
_UNCOUNTED_REQUESTS = 100  # to one HTTP server beside its limits: probes, metrics, refusals
_ENGINE_SHUTDOWN_SECONDS = 120.0
_DIARIZER_SHUTDOWN_SECONDS = 900.0


def http_servers(
    settings: ServerSettings, models: ModelSettings, arguments: ClusterArguments, replicas: Sequence[Application]
) -> Application:
    """Return the HTTP servers, which call `replicas`. They are what Ray's proxies call."""
    limit = settings.max_running + settings.max_waiting + settings.max_uploads + _UNCOUNTED_REQUESTS
    # Long requests of all servers together fill half of an engine, so that short ones always find a place.
    max_long_windows = max(MAX_WINDOWS // (2 * arguments.servers), 1)
    deployment = serve.deployment(
        name=HTTP_SERVER, num_replicas=arguments.servers, max_ongoing_requests=limit, max_surge_percent=100,
        health_check_period_s=HEALTH_CHECK_SECONDS, graceful_shutdown_timeout_s=settings.shutdown_seconds,
        ray_actor_options={"num_cpus": 1},
    )  # fmt: skip
    ingress = serve.ingress(application_factory(settings, models, max_long_windows))
    server: Application = deployment(ingress()).bind(*replicas)
    return server


def engine_replicas(models: ModelSettings, arguments: ClusterArguments) -> Application:
    """Return the engines."""
    policy = AutoscalingPolicy(  # type: ignore[no-untyped-call]
        policy_function=AudioSecondsPolicy, policy_kwargs={"seconds_per_engine": arguments.audio_seconds}
    )
    return serve.deployment(
        name=ENGINE_REPLICA, max_ongoing_requests=MAX_WINDOWS, max_surge_percent=arguments.surge,
        health_check_period_s=HEALTH_CHECK_SECONDS, graceful_shutdown_timeout_s=_ENGINE_SHUTDOWN_SECONDS,
        ray_actor_options={"num_cpus": arguments.engine_cpus, "num_gpus": arguments.engine_gpus},
        autoscaling_config=AutoscalingConfig(
            min_replicas=arguments.min_engines, max_replicas=arguments.max_engines, policy=policy
        ),
    )(EngineReplica).bind(models)  # fmt: skip


def diarizer_replicas(models: ModelSettings, arguments: ClusterArguments) -> Application:
    """Return the diarization pipelines."""
    return serve.deployment(
        name=DIARIZER_REPLICA, max_ongoing_requests=MAX_RECORDINGS, max_surge_percent=arguments.surge,
        health_check_period_s=HEALTH_CHECK_SECONDS, graceful_shutdown_timeout_s=_DIARIZER_SHUTDOWN_SECONDS,
        ray_actor_options={"num_cpus": arguments.diarizer_cpus, "num_gpus": arguments.diarizer_gpus},
        autoscaling_config=AutoscalingConfig(
            min_replicas=arguments.min_diarizers, max_replicas=arguments.max_diarizers, target_ongoing_requests=1
        ),
    )(DiarizerReplica).bind(models)  # fmt: skip
