"""The service and archives on a local Ray: replicas that crash, updates, and runs that are killed.

One Ray serves all tests of this file, because each of its processes takes seconds to start.
"""

import base64
import logging
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import httpx
import pyarrow.parquet as pq
import pytest
import ray
from ray import serve

from tests.archives import NAMES, lines, make_recordings
from tests.clients import SLOWLY, TRANSCRIPTIONS, events, http, post, sample
from tests.comparing import differences
from tests.conftest import DEMO, ROOT, SAMPLES
from tests.ray_service import ENVIRONMENT, RayService, assert_same, content, eventually, long_file, post_alone
from tests.serving import Running, until
from transcription.cli.archive import main
from transcription.cluster import deployments, replica_client
from transcription.cluster.replica_client import ReplicaClient
from transcription.config import InferenceConfig
from transcription.errors import EngineFailure
from transcription.formats import FORMATS
from transcription.transcriber import Transcriber


@pytest.fixture(scope="module")
def ray_address() -> Iterator[str]:
    """Yield the address of a local Ray."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("RAY_worker_niceness", "0")  # by default the other test process slows down all of Ray's
        patch.setenv("RAY_SERVE_MAX_PER_REPLICA_RETRY_COUNT", "1")  # a replica that cannot start fails at once
        ray.init(num_cpus=6, include_dashboard=False, log_to_driver=False, logging_level=logging.ERROR)
    yield ray.get_runtime_context().gcs_address
    ray.shutdown()


def test_a_killed_run_is_continued(
    ray_address: str, tmp_path: Path, transcriber: Transcriber, capfd: pytest.CaptureFixture[str]
) -> None:
    recordings, output = make_recordings(tmp_path / "recordings"), tmp_path / "transcripts"
    (recordings / "broken.wav").write_text("no audio")
    transcripts = output / "transcripts.jsonl"
    call = [str(recordings), "--output", str(output), "--model", str(DEMO), "--format", "srt"]
    call += ["--address", ray_address, "--together", "1"]
    module = [sys.executable, "-m", "transcription.cli.archive"]
    process = subprocess.Popen([*module, *call], cwd=ROOT, stderr=subprocess.DEVNULL)
    try:
        until(lambda: transcripts.is_file() and transcripts.read_bytes().count(b"\n") >= 2, 120)
    finally:
        process.send_signal(signal.SIGKILL)
        process.wait()
    before = transcripts.read_bytes()
    before = before[: before.rindex(b"\n") + 1]
    assert main(call) == 1
    assert transcripts.read_bytes().startswith(before)
    entries = lines(transcripts)
    assert sorted(entry["source"] for entry in entries) == [f"{recordings}/below/{name}.wav" for name in NAMES.values()]
    transcript = transcriber.transcribe(SAMPLES["short"].audio, InferenceConfig(timestamps="word"))
    assert [entry["text"] for entry in entries] == [transcript.text] * 10
    srt = FORMATS["srt"].render(transcript)
    assert [(output / f"below/{name}.srt").read_text() for name in NAMES.values()] == [srt] * 10
    assert pq.read_table(output / "transcripts.parquet")["text"].to_pylist() == [transcript.text] * 10
    (error,) = lines(output / "errors.jsonl")
    assert error["source"] == f"{recordings}/broken.wav"
    progress = capfd.readouterr().err
    assert f"error: {recordings}/broken.wav: " in progress
    assert f"{len(before.splitlines())} of them before" in progress


def test_an_archive_run_exits_with_2_when_the_models_cannot_be_loaded(
    ray_address: str, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "empty").mkdir()
    recordings, output = make_recordings(tmp_path / "recordings"), tmp_path / "transcripts"
    call = [str(recordings), "--output", str(output), "--model", str(tmp_path / "empty")]
    before = set(threading.enumerate())
    assert main([*call, "--address", ray_address, "--quiet"]) == 2
    assert capfd.readouterr().err.startswith("error: ASR_MODEL empty cannot be loaded: is it a Whisper")
    assert set(threading.enumerate()) - before == set()  # a thread that calls Ray after its end would end the process


@pytest.fixture(scope="module")
def service(ray_address: str) -> Iterator[RayService]:
    """Yield the service with an HTTP server, two engines and a diarizer."""
    service = RayService.start()
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(deployments, "HEALTH_CHECK_SECONDS", 0.5)
        service.deploy()
        yield service
    # Else its handles go on to call Ray, which starts another Ray in this process.
    serve.shutdown()  # type: ignore[no-untyped-call]


@pytest.fixture
def client(service: RayService) -> Iterator[httpx.Client]:
    with http(service.url) as client:
        yield client


REQUESTS: dict[str, tuple[str, dict[str, str]]] = {
    "json": ("short", {}),
    "words": ("meeting", {"response_format": "verbose_json", "timestamp_granularities[]": "word", "diarize": "true"}),
    "speakers": ("short", {"response_format": "diarized_json", "num_speakers": "1"}),
    "subtitles": ("meeting", {"response_format": "srt", "chunk_length_s": "10"}),
    "sequential": ("long", {"sequential": "true", "response_format": "verbose_json"}),
    "vad filter": ("silence", {"vad_filter": "true"}),
    "channels": ("call", {"multichannel": "true", "response_format": "diarized_json"}),
    "German": ("german", {"response_format": "vtt"}),
    "assisted": ("noisy", {"assisted": "true", "include[]": "logprobs"}),
    "unknown language": ("short", {"language": "xx"}),
    "unknown parameter": ("short", {"loudness": "3"}),
    "wrong value": ("short", {"batch_size": "0"}),
}


@pytest.mark.parametrize(("name", "fields"), REQUESTS.values(), ids=REQUESTS)
def test_the_cluster_answers_as_one_server_does(
    client: httpx.Client, server: Running, name: str, fields: dict[str, str]
) -> None:
    with http(server.url) as expected:
        assert_same(post(client, sample(name), **fields), post(expected, sample(name), **fields))


def test_the_other_routes_answer_as_one_server_does(client: httpx.Client, server: Running) -> None:
    inputs = base64.b64encode(sample("short")).decode()
    audio = [{"type": "input_audio", "input_audio": {"data": inputs, "format": "wav"}}]
    bodies = {
        "/": {"inputs": inputs, "parameters": {"timestamps": "word"}},
        "/predict": {"inputs": "no audio"},
        "/v1/chat/completions": {"model": "whisper", "messages": [{"role": "user", "content": audio}]},
    }
    with http(server.url) as expected:
        for route, body in bodies.items():
            responses = [content(each.post(route, json=body)) for each in (client, expected)]
            for unique in ("id", "created"):
                for _, _, answer in responses:
                    answer.pop(unique, None)
            assert list(differences(responses[0], responses[1])) == []
        files = {"file": sample("german")}
        assert_same(*(each.post("/v1/audio/translations", files=files) for each in (client, expected)))
        assert content(client.post(TRANSCRIPTIONS, content=b"?"))[:2] == (415, "application/json")
        assert (client.get("/nowhere").status_code, client.get("/ready").json()) == (404, {"status": "ok"})


def test_a_long_file_is_spread_over_engines_and_joined_word_for_word(client: httpx.Client, server: Running) -> None:
    fields = {"response_format": "verbose_json", "timestamp_granularities[]": "word", "assisted": "false"}
    with http(server.url) as expected:
        assert_same(post(client, sample("long"), **fields), post(expected, sample("long"), **fields))


TWO_AT_A_TIME = {"response_format": "verbose_json", "batch_size": "2", "diarize": "false"}


@pytest.fixture(scope="module")
def long_answer(service: RayService) -> httpx.Response:
    """Return the cluster's answer to the long file."""
    return post_alone(service, long_file(), **TWO_AT_A_TIME)


def test_a_stream_begins_before_the_file_is_finished(
    client: httpx.Client, service: RayService, long_answer: httpx.Response
) -> None:
    request: dict[str, Any] = {"files": {"file": long_file()}, "data": {"stream": "true"}}
    with client.stream("POST", TRANSCRIPTIONS, **request) as response:
        stream = events(response)
        first = next(stream)
        assert service.running() == 1
        others = list(stream)
    deltas = [event["delta"] for event in (first, *others) if event["type"] == "transcript.text.delta"]
    assert "".join(deltas) == others[-1]["text"] == long_answer.json()["text"]


def test_a_short_request_overtakes_a_long_one(client: httpx.Client, service: RayService) -> None:
    with service.occupied(**SLOWLY | {"batch_size": "64"}):  # more windows than slots
        eventually(lambda: all(service.pending_audio()))
        assert post(client, sample("short")).status_code == 200
        assert service.running() == 1
    eventually(service.is_idle)


def test_a_client_that_disconnects_frees_the_replicas(client: httpx.Client, service: RayService) -> None:
    with service.occupied(**SLOWLY, stream="true") as leaver:
        leaver.read_until(b"delta")
    eventually(service.is_idle, 10)  # the work itself takes twice as long
    assert post(client, sample("short")).status_code == 200


def test_returns_429_with_retry_after_when_queue_is_full(client: httpx.Client, service: RayService) -> None:
    with ExitStack() as requests:
        for _ in range(8):
            requests.enter_context(service.occupied(**SLOWLY))
        eventually(lambda: (service.running(), service.waiting()) == (6, 2))
        response = post(client, sample("short"))
        assert (response.status_code, response.json()["error"]["code"]) == (429, "queue_full")
        assert int(response.headers["retry-after"]) >= 1
    eventually(service.is_idle)


def test_no_request_is_lost_when_an_engine_crashes(service: RayService, long_answer: httpx.Response) -> None:
    with ThreadPoolExecutor(2) as pool:
        responses = [pool.submit(post_alone, service, long_file(), **TWO_AT_A_TIME) for _ in range(2)]
        eventually(lambda: all(service.pending_audio()))
        killed = service.kill("EngineReplica")
        assert not any(response.done() for response in responses)
        for response in responses:
            assert_same(response.result(), long_answer)
    eventually(lambda: len(service.replicas("EngineReplica") - {killed}) == 2)


def test_no_request_is_lost_when_the_diarizer_crashes(client: httpx.Client, service: RayService) -> None:
    fields = {"response_format": "diarized_json"}
    expected = post(client, sample("meeting"), **fields)
    with ThreadPoolExecutor(1) as pool:
        response = pool.submit(post_alone, service, sample("meeting"), **fields)
        eventually(lambda: any(service.pending_audio()))
        service.kill("DiarizerReplica")
        assert not response.done()
        assert_same(response.result(), expected)


@pytest.mark.parametrize(
    ("method", "message"),
    [
        ("fail", "transcription failed in a replica; see its log"),
        ("crash", "every replica that worked on this request crashed; send shorter audio"),
    ],
)
def test_a_call_that_no_replica_survives_is_an_engine_failure(
    broken: ReplicaClient, method: str, message: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(replica_client, "MAX_ATTEMPTS", 2)
    with pytest.raises(EngineFailure) as failure:
        broken.begin(broken.call(method)).result(60)
    assert str(failure.value) == message


@pytest.fixture(scope="module")
def broken(service: RayService) -> ReplicaClient:
    """Return a client of two replicas. One of their methods fails, the other one ends the process."""

    class Broken:  # within a function, so that Ray copies it: a replica that imports this module starts slowly
        async def fail(self) -> None:
            raise ValueError("/secret/path")

        async def crash(self) -> None:
            os._exit(1)

    deployment = serve.deployment(num_replicas=2, ray_actor_options={"num_cpus": 0})(Broken)
    return ReplicaClient(serve.run(deployment.bind(), name="broken", route_prefix=None))


def test_an_update_drops_no_request(service: RayService) -> None:
    files = [sample("short"), sample("meeting")]
    texts = [post_alone(service, file, diarize="false").json()["text"] for file in files]
    updated = threading.Event()

    def post_until_updated(file: bytes) -> list[tuple[int, str]]:
        answers = []
        while not updated.is_set():
            response = post_alone(service, file, diarize="false")
            answers.append((response.status_code, response.json().get("text")))
            time.sleep(2)  # leaves the new replicas processor time to start
        return answers

    with ThreadPoolExecutor(2) as pool:
        clients = [pool.submit(post_until_updated, file) for file in files]
        before = service.replicas("EngineReplica")
        service.deploy(engines=1)
        eventually(lambda: not before & service.replicas("EngineReplica"))
        updated.set()
        answers = [client.result() for client in clients]
    assert answers == [[(200, text)] * len(each) for text, each in zip(texts, answers, strict=True)]
    assert all(len(each) > 1 for each in answers)


def test_an_update_that_cannot_start_keeps_the_old_replicas(
    service: RayService, client: httpx.Client, tmp_path: Path
) -> None:
    environment = {**ENVIRONMENT, "ASR_MODEL": tmp_path}
    del environment["DIARIZATION_MODEL"]  # a pipeline takes long to start, and is not needed here
    with pytest.raises(RuntimeError, match="EngineReplica"):
        service.deploy(environment, engines=1)
    assert post(client, sample("short"), diarize="false").status_code == 200
