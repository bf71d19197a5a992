"""The service on a local Ray, for the tests."""

import socket
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cache, cached_property
from pathlib import Path
from typing import Any, Self

import httpx
import numpy as np
import pytest
import ray
from ray import serve
from ray.serve.handle import DeploymentHandle
from ray.util import list_named_actors

from benchmarks.encoding import encoded
from tests.clients import DisconnectingClient, http, post, sample
from tests.comparing import differences
from tests.conftest import ASSISTANT, DEMO, DIARIZATION, SAMPLES
from transcription.cluster.app import app
from transcription.cluster.arguments import ClusterArguments

NAME = "transcription"
ENVIRONMENT: Mapping[str, str | Path] = {
    "ASR_MODEL": DEMO, "ASSISTANT_MODEL": ASSISTANT, "DIARIZATION_MODEL": DIARIZATION,
    "MAX_RUNNING": "6", "MAX_WAITING": "2",
}  # fmt: skip


@cache
def long_file() -> bytes:
    """Return a recording of two and a half minutes."""
    return encoded(np.tile(SAMPLES["long"].audio.samples, 2), "flac")


@dataclass(frozen=True)
class RayService:
    """The application on Ray Serve. url: of Ray's HTTP proxy."""

    url: str

    @classmethod
    def start(cls) -> Self:
        """Start Ray Serve without an application."""
        with socket.create_server(("127.0.0.1", 0)) as server:
            port = server.getsockname()[1]
        serve.start(http_options={"host": "127.0.0.1", "port": port})
        return cls(f"http://127.0.0.1:{port}")

    def deploy(self, environment: Mapping[str, str | Path] = ENVIRONMENT, engines: int = 2) -> None:
        """Deploy the application, and wait until all of its replicas run."""
        arguments = ClusterArguments(min_engines=engines, max_engines=engines, engine_cpus=0.5, diarizer_cpus=0.5)
        with pytest.MonkeyPatch.context() as patch:
            for name, value in environment.items():
                patch.setenv(name, str(value))
            serve.run(app(arguments), name=NAME, route_prefix="/")
        eventually(lambda: httpx.get(f"{self.url}/health", timeout=60).is_success)

    def replicas(self, deployment: str) -> set[str]:
        """Return the names of a deployment's actors."""
        names = {actor["name"] for actor in list_named_actors(all_namespaces=True)}
        return {name for name in names if f"#{deployment}#" in name}

    def kill(self, deployment: str) -> str:
        """Kill one replica, as the failure of its machine would, and return its name."""
        name = min(self.replicas(deployment))
        ray.kill(ray.get_actor(name, namespace="serve"), no_restart=True)
        return name

    def occupied(self, **fields: str) -> DisconnectingClient:
        """Post a recording of over a minute. The client disconnects at the end of the block."""
        return DisconnectingClient(self.url, sample("long"), fields)

    @cached_property
    def _engines(self) -> DeploymentHandle[Any]:
        return serve.get_deployment_handle("EngineReplica", NAME)

    def pending_audio(self) -> list[float]:
        """Return the seconds of audio that engines have, from eight calls to any of them."""
        responses = [self._engines.record_autoscaling_stats.remote() for _ in range(8)]
        return [response.result()["audio_seconds"] for response in responses]

    def running(self) -> float:
        """Return the number of requests that the HTTP server has admitted."""
        return self._metric("vllm:num_requests_running")

    def waiting(self) -> float:
        """Return the number of requests that wait for admission."""
        return self._metric("vllm:num_requests_waiting")

    def _metric(self, name: str) -> float:
        lines = httpx.get(f"{self.url}/metrics", timeout=60).text.splitlines()
        return float(next(line.split()[-1] for line in lines if line.startswith(name)))

    def is_idle(self) -> bool:
        """Return whether nothing is left of any request."""
        return self.running() == 0 and not any(self.pending_audio())


def eventually(condition: Callable[[], bool], seconds: float = 120.0) -> None:
    """Wait until a condition holds. There is a pause between checks, because they take time from Ray's processes."""
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end, "the condition did not become true"
        time.sleep(0.05)


def assert_same(response: httpx.Response, expected: httpx.Response) -> None:
    """Assert that two clients received the same."""
    assert list(differences(content(response), content(expected))) == []


def content(response: httpx.Response) -> tuple[int, str, Any]:
    """Return the status, the media type and the body."""
    media_type = response.headers["content-type"]
    return response.status_code, media_type, response.json() if media_type == "application/json" else response.text


def post_alone(service: RayService, file: bytes, **fields: str) -> httpx.Response:
    """Post with a client of its own, for use in threads."""
    with http(service.url) as client:
        return post(client, file, **fields)
