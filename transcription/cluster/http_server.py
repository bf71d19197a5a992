"""The HTTP server of a cluster: decodes audio, cuts it into windows, and joins the text of the windows."""

from collections.abc import Callable

from fastapi import FastAPI
from prometheus_client import disable_created_metrics
from ray import serve

from transcription.cluster.remote import RemoteDiarizer, RemoteEngine
from transcription.cluster.replica_client import ReplicaClient
from transcription.config import ModelSettings
from transcription.server.admission import AdmissionController
from transcription.server.app import create_app
from transcription.server.request_log import configure_logging
from transcription.server.settings import ServerSettings
from transcription.transcriber import Transcriber
from transcription.ui.mounting import mount

HTTP_SERVER, ENGINE_REPLICA, DIARIZER_REPLICA = "HttpServer", "EngineReplica", "DiarizerReplica"
"""Names of the deployments."""


def application_factory(
    settings: ServerSettings, models: ModelSettings, max_long_windows: int
) -> Callable[[], FastAPI]:
    """Return a function that builds the application. Ray calls it in each new replica.

    max_long_windows: windows of long requests that this server may have at each engine at the same time.
    """

    def application() -> FastAPI:
        configure_logging()
        disable_created_metrics()  # type: ignore[no-untyped-call]
        name = serve.get_replica_context().app_name

        def client(deployment: str) -> ReplicaClient:
            return ReplicaClient(serve.get_deployment_handle(deployment, name))

        def transcriber() -> Transcriber:
            admission: AdmissionController = server.state.service.admission
            engine = RemoteEngine(client(ENGINE_REPLICA), max_long_windows, lambda: admission.load)
            return Transcriber(models, engine, lambda _: RemoteDiarizer(client(DIARIZER_REPLICA)))

        server = create_app(settings, transcriber, wait=True, mounts=[mount])  # an update waits until it has its models
        return server

    return application
