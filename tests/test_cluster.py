"""The service on a real local Ray: what server.py says, whoever dies, leaves or is updated meanwhile."""

import base64
import logging
import os
import socket
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import httpx
import numpy as np
import pytest
import ray
from ray import serve
from ray.serve.handle import DeploymentHandle
from ray.util import list_named_actors

from tests.clients import SLOWLY, TRANSCRIPTIONS, DisconnectingClient, events, http, post, sample
from tests.comparing import differences
from tests.conftest import ASSISTANT, DEMO, DIARIZATION, SAMPLES
from tests.serving import Running, until
from tools.encoding import encoded
from transcription.cluster import replica_client as calls
from transcription.cluster.app import Cluster, app
from transcription.errors import EngineFailure

NAME = "transcription"
SIZE = {"min_recognisers": 2, "max_recognisers": 2, "recogniser_cpus": 0.5, "diarizer_cpus": 0.5}
ENVIRONMENT = {
    "ASR_MODEL": DEMO, "ASSISTANT_MODEL": ASSISTANT, "DIARIZATION_MODEL": DIARIZATION,
    "MAX_RUNNING": "6", "MAX_WAITING": "2",
}  # fmt: skip


@dataclass(frozen=True)
class Deployed:
    """The application on Ray. url: of Ray's HTTP proxy."""

    url: str

    def deploy(self, **changes: Any) -> None:
        """Returns when all of its replicas run."""
        with pytest.MonkeyPatch.context() as patch:
            for name, value in ENVIRONMENT.items():
                patch.setenv(name, str(value))
            serve.run(app(Cluster(**SIZE | changes)), name=NAME, route_prefix="/")
        until(lambda: httpx.get(f"{self.url}/health", timeout=60).is_success)

    def replicas(self, deployment: str) -> list[str]:
        """The names of Ray's actors."""
        names = [found["name"] for found in list_named_actors(all_namespaces=True)]
        return [name for name in names if f"#{deployment}#" in name]

    def kill(self, name: str) -> None:
        """As a machine that fails does."""
        ray.kill(ray.get_actor(name, namespace="serve"), no_restart=True)

    @cached_property
    def _recognisers(self) -> DeploymentHandle[Any]:
        return serve.get_deployment_handle("EngineReplica", NAME)

    def owed(self) -> list[float]:
        """Seconds of audio that recognisers still have, by several looks at any of them."""
        return [self._recognisers.record_autoscaling_stats.remote().result()["audio_seconds"] for _ in range(8)]

    def running(self) -> float:
        """Requests that the door lets be worked on."""
        return self._metric("vllm:num_requests_running")

    def waiting(self) -> float:
        """Requests that wait at the door."""
        return self._metric("vllm:num_requests_waiting")

    def _metric(self, name: str) -> float:
        lines = httpx.get(f"{self.url}/metrics", timeout=60).text.splitlines()
        return float(next(line.split()[-1] for line in lines if line.startswith(name)))

    def is_idle(self) -> bool:
        """Whether nothing is left of any request."""
        return self.running() == 0 and not any(self.owed())


@pytest.fixture(scope="module")
def cluster() -> Iterator[Deployed]:
    """Two recognisers, a diarizer and a door."""
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    ray.init(num_cpus=6, include_dashboard=False, log_to_driver=False, logging_level=logging.ERROR)
    serve.start(http_options={"host": "127.0.0.1", "port": port})
    deployed = Deployed(f"http://127.0.0.1:{port}")
    deployed.deploy()
    yield deployed
    serve.shutdown()  # type: ignore[no-untyped-call]
    ray.shutdown()


@pytest.fixture
def client(cluster: Deployed) -> Iterator[httpx.Client]:
    with http(cluster.url) as client:
        yield client


def long_file() -> bytes:
    """Two and a half minutes."""
    return encoded(np.tile(SAMPLES["long"].audio.samples, 2), "flac")


def same(one: httpx.Response, other: httpx.Response) -> bool:
    """Whether two clients were told the same."""
    found = list(differences(told(one), told(other)))
    assert found == []
    return not found


def told(answer: httpx.Response) -> tuple[int, str, Any]:
    """What a client sees: status, media type and body."""
    kind = answer.headers["content-type"]
    return answer.status_code, kind, answer.json() if kind == "application/json" else answer.text


REQUESTS: dict[str, tuple[str, dict[str, str]]] = {
    "json": ("short", {}),
    "words": ("meeting", {"response_format": "verbose_json", "timestamp_granularities[]": "word", "diarize": "true"}),
    "speakers": ("conversation", {"response_format": "diarized_json", "num_speakers": "2"}),
    "subtitles": ("long", {"response_format": "srt", "chunk_length_s": "10"}),
    "one after the other": ("long", {"sequential": "true", "response_format": "verbose_json"}),
    "without pauses": ("silence", {"vad_filter": "true"}),
    "channels": ("call", {"multichannel": "true", "response_format": "diarized_json"}),
    "German": ("german", {"response_format": "vtt"}),
    "assisted": ("noisy", {"assisted": "true", "include[]": "logprobs"}),
    "unknown language": ("short", {"language": "xx"}),
    "unknown parameter": ("short", {"loudness": "3"}),
    "wrong value": ("short", {"batch_size": "0"}),
}


@pytest.mark.parametrize(("name", "fields"), REQUESTS.values(), ids=REQUESTS)
def test_the_cluster_says_what_one_server_says(
    client: httpx.Client, server: Running, name: str, fields: dict[str, str]
) -> None:
    with http(server.url) as one:
        assert same(post(client, sample(name), **fields), post(one, sample(name), **fields))


def test_the_other_routes_say_the_same(client: httpx.Client, server: Running) -> None:
    inputs = base64.b64encode(sample("short")).decode()
    content = [{"type": "input_audio", "input_audio": {"data": inputs, "format": "wav"}}]
    bodies = {
        "/": {"inputs": inputs, "parameters": {"timestamps": "word"}},
        "/predict": {"inputs": "no audio"},
        "/v1/chat/completions": {"model": "whisper", "messages": [{"role": "user", "content": content}]},
    }
    with http(server.url) as one:
        for route, body in bodies.items():
            mine, other = (told(each.post(route, json=body)) for each in (client, one))
            for made_up in ("id", "created"):
                mine[2].pop(made_up, None), other[2].pop(made_up, None)
            assert list(differences(mine, other)) == []
        answers = [each.post("/v1/audio/translations", files={"file": sample("german")}) for each in (client, one)]
        assert same(*answers)
        assert told(client.post(TRANSCRIPTIONS, content=b"?"))[:2] == (415, "application/json")
        assert (client.get("/nowhere").status_code, client.get("/ready").json()) == (404, {"status": "ok"})


def test_a_long_file_is_spread_and_joined_word_for_word(client: httpx.Client, server: Running) -> None:
    asked = {"response_format": "verbose_json", "timestamp_granularities[]": "word", "assisted": "false"}
    file = long_file()
    with http(server.url) as one:
        assert same(post(client, file, **asked), post(one, file, **asked))


def test_a_stream_begins_before_the_file_is_finished(client: httpx.Client, cluster: Deployed) -> None:
    file = long_file()
    request = {"files": {"file": file}, "data": {"stream": "true"}}
    with client.stream("POST", TRANSCRIPTIONS, **request) as answer:  # type: ignore[arg-type]
        stream = events(answer)
        first = next(stream)
        assert cluster.running() == 1
        rest = list(stream)
    deltas = [event["delta"] for event in (first, *rest) if event["type"] == "transcript.text.delta"]
    assert "".join(deltas) == rest[-1]["text"] == post(client, file).json()["text"]


def test_a_short_request_overtakes_a_long_one(client: httpx.Client, cluster: Deployed) -> None:
    with _asked(cluster, **SLOWLY | {"batch_size": "64"}):  # more than there are slots
        until(lambda: all(cluster.owed()))
        assert post(client, sample("short")).status_code == 200
        assert cluster.running() == 1
    until(cluster.is_idle)


def test_who_leaves_frees_the_replicas(client: httpx.Client, cluster: Deployed) -> None:
    with _asked(cluster, **SLOWLY, stream="true") as leaver:
        leaver.read_until(b"delta")
    until(cluster.is_idle, 10)  # the work itself takes twice as long
    assert post(client, sample("short")).status_code == 200


def _asked(cluster: Deployed, **fields: str) -> DisconnectingClient:
    """A request that is given up at the end of the block."""
    return DisconnectingClient(cluster.url, sample("long"), fields)


def test_who_is_too_many_is_told_when_to_come_again(client: httpx.Client, cluster: Deployed) -> None:
    with ExitStack() as held:
        for _ in range(8):
            held.enter_context(_asked(cluster, **SLOWLY))
        until(lambda: (cluster.running(), cluster.waiting()) == (6, 2))
        answer = post(client, sample("short"))
        assert (answer.status_code, answer.json()["error"]["code"]) == (429, "queue_full")
        assert int(answer.headers["retry-after"]) >= 1
    until(cluster.is_idle)


def test_nothing_is_lost_when_a_recogniser_dies(client: httpx.Client, cluster: Deployed) -> None:
    file, asked = long_file(), {"response_format": "verbose_json", "batch_size": "2", "diarize": "false"}
    whole = post(client, file, **asked)
    before = cluster.replicas("EngineReplica")
    with ThreadPoolExecutor(3) as pool:
        answers = [pool.submit(lambda: _posted(cluster, file, **asked)) for _ in range(3)]
        until(lambda: all(cluster.owed()))
        cluster.kill(before[0])
        assert not any(answer.done() for answer in answers)
        assert all(same(answer.result(), whole) for answer in answers)
    until(lambda: len(set(cluster.replicas("EngineReplica")) - {before[0]}) == 2)


def test_nothing_is_lost_when_the_diarizer_dies(client: httpx.Client, cluster: Deployed) -> None:
    asked = {"response_format": "diarized_json"}
    whole = post(client, sample("conversation"), **asked)
    with ThreadPoolExecutor(1) as pool:
        answer = pool.submit(lambda: _posted(cluster, sample("conversation"), **asked))
        until(lambda: any(cluster.owed()))
        cluster.kill(cluster.replicas("Diarizer")[0])
        assert not answer.done()
        assert same(answer.result(), whole)


def _posted(cluster: Deployed, file: bytes, **fields: str) -> httpx.Response:
    with http(cluster.url) as client:
        return post(client, file, **fields)


class Broken:
    """A replica on which calls fail, and one that does not survive them."""

    async def fail(self) -> None:
        raise ValueError("/secret/path")

    async def die(self) -> None:
        os._exit(1)


def test_what_no_replica_can_do_is_said(cluster: Deployed, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(calls, "_TRIES", 2)
    broken = serve.deployment(num_replicas=2, ray_actor_options={"num_cpus": 0})(Broken)
    called = calls.ReplicaClient(serve.run(broken.bind(), name="broken", route_prefix=None))
    for method, message in (
        ("fail", "transcription failed inside a replica: its log says why"),
        ("die", "the replicas that worked on it died, one after the other: send shorter audio"),
    ):
        with pytest.raises(EngineFailure) as failure:
            called.begin(called.call(method)).result(60)
        assert str(failure.value) == message
    serve.delete("broken")


def test_an_update_drops_nothing(cluster: Deployed) -> None:
    files = [sample("meeting"), long_file()]
    texts = [_posted(cluster, file, diarize="false").json()["text"] for file in files]
    ended = False

    def ask(file: bytes) -> list[tuple[int, str]]:
        found = []
        while not ended:
            answer = _posted(cluster, file, diarize="false")
            found.append((answer.status_code, answer.json().get("text")))
        return found

    with ThreadPoolExecutor(2) as pool:
        asking = [pool.submit(ask, file) for file in files]
        before = set(cluster.replicas("EngineReplica"))
        cluster.deploy(min_recognisers=1)
        until(lambda: not before & set(cluster.replicas("EngineReplica")))
        ended = True
        found = [each.result() for each in asking]
    assert found == [[(200, text)] * len(told) for text, told in zip(texts, found, strict=True)]
    assert all(len(told) > 1 for told in found)


def test_an_update_that_cannot_start_leaves_what_runs(
    cluster: Deployed, client: httpx.Client, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setitem(ENVIRONMENT, "ASR_MODEL", tmp_path)
    with pytest.raises(RuntimeError, match="EngineReplica"):
        cluster.deploy(min_recognisers=1, max_recognisers=1)
    assert post(client, sample("short")).status_code == 200
