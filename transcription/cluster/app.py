"""The service on many machines, with Ray Serve: `serve run transcription.cluster.app:app`."""

import os

os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")  # Ray would report usage to its makers

from ray.serve import Application

from transcription.cluster.arguments import ClusterArguments
from transcription.cluster.deployments import diarizer_replicas, engine_replicas, http_servers
from transcription.config import ModelSettings, with_absolute_paths
from transcription.errors import InvalidSettings
from transcription.server.settings import ServerSettings, mounted


def app(arguments: ClusterArguments) -> Application:
    """Return the application for Ray Serve, with models and limits from the environment. Raises InvalidSettings."""
    models = with_absolute_paths(ModelSettings.from_environment(mounted()))
    if models.engine != "batching":
        raise InvalidSettings("a cluster requires ENGINE=batching, the default: remove ENGINE")
    replicas = [engine_replicas(models, arguments)]
    if models.diarization_model is not None:
        replicas.append(diarizer_replicas(models, arguments))
    return http_servers(ServerSettings.from_environment(), models, arguments, replicas)
