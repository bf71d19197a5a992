"""Two servers behind a router that treats them as vLLM's production-stack router does."""

import asyncio
import contextlib
import re
import socket
import threading
from collections.abc import AsyncIterator, Iterator, Sequence
from dataclasses import dataclass
from itertools import cycle
from typing import Any

import httpx
import numpy as np
import pytest
import uvicorn
from starlette.applications import Starlette
from starlette.background import BackgroundTask
from starlette.datastructures import UploadFile
from starlette.requests import Request
from starlette.responses import StreamingResponse
from starlette.routing import Route

from tests.clients import TRANSCRIPTIONS, events, http, occupied, post, sample, streamed
from tests.comparing import differences
from tests.conftest import SAMPLES
from tests.serving import Running, serving, until
from tests.test_audio import wav
from transcription.formats import formats_of
from transcription.transcriber import Transcriber

FORWARDED = ("model", "language", "prompt", "response_format", "temperature", "stream")
PASSED_BACK = ("content-type", "retry-after", "x-request-id")


def router(backends: Sequence[str]) -> Starlette:
    """Return a router that forwards transcriptions to each backend in turn, with the fields that it knows."""
    turns = cycle(backends)

    @contextlib.asynccontextmanager
    async def lifespan(_: Starlette) -> AsyncIterator[dict[str, Any]]:
        async with httpx.AsyncClient(timeout=120) as client:
            yield {"client": client}

    async def transcriptions(request: Request) -> StreamingResponse:
        client: httpx.AsyncClient = request.state.client
        async with request.form() as form:
            fields = {"language": "en"} | {name: str(form[name]) for name in FORWARDED if name in form}
            file = form["file"]
            assert isinstance(file, UploadFile)
            audio = await file.read()
        forwarded = client.build_request(
            "POST", next(turns) + TRANSCRIPTIONS, files={"file": ("audio", audio)}, data=fields
        )
        answer = await client.send(forwarded, stream=True)
        headers = {name: answer.headers[name] for name in PASSED_BACK if name in answer.headers}
        return StreamingResponse(
            answer.aiter_raw(), answer.status_code, headers, background=BackgroundTask(answer.aclose)
        )

    return Starlette(routes=[Route(TRANSCRIPTIONS, transcriptions, methods=["POST"])], lifespan=lifespan)


@contextlib.contextmanager
def listening(app: Starlette) -> Iterator[str]:
    """Run an application and yield its URL."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        server = uvicorn.Server(uvicorn.Config(app, log_config=None, timeout_graceful_shutdown=30))
        thread = threading.Thread(target=asyncio.run, args=(server.serve([listener]),))
        thread.start()
        try:
            until(lambda: server.started)
            yield f"http://127.0.0.1:{listener.getsockname()[1]}"
        finally:
            server.should_exit = True
            thread.join(60)


@dataclass(frozen=True)
class Routed:
    """Two servers, and a client of the router in front of them."""

    servers: tuple[Running, Running]
    client: httpx.Client

    @property
    def running(self) -> list[int]:
        """The number of running requests of each server."""
        return [server.service.admission.running for server in self.servers]


@pytest.fixture
def routed(transcriber: Transcriber) -> Iterator[Routed]:
    """Servers that run one request each, and let one wait."""
    with contextlib.ExitStack() as stack:
        one, other = (stack.enter_context(serving(transcriber, max_running=1, max_waiting=1)) for _ in range(2))
        address = stack.enter_context(listening(router([one.url, other.url])))
        yield Routed((one, other), stack.enter_context(http(address)))


def load(server: Running) -> dict[str, float]:
    """Return the metrics of a server that the router reads."""
    with http(server.url) as client:
        text = client.get("/metrics").text
    return {name: float(value) for name, value in re.findall(r"^vllm:num_requests_(\w+) (\S+)$", text, re.MULTILINE)}


def audio_seconds(server: Running) -> float:
    """Return the seconds of audio that a server has transcribed."""
    return server.service.metrics.registry.get_sample_value("transcription_audio_seconds_total") or 0.0


def test_health_check_of_the_router_succeeds(routed: Routed) -> None:
    silence = wav(np.zeros(1600, np.float32))
    for server in routed.servers:
        answer = httpx.post(
            server.url + TRANSCRIPTIONS, data={"model": "demo"}, files={"file": ("empty.wav", silence, "audio/wav")}
        )
        assert (answer.status_code, answer.json()["text"]) == (200, "")


def test_servers_take_turns_and_give_the_same_text(routed: Routed) -> None:
    answers = [post(routed.client, sample("short"), model="demo") for _ in range(4)]
    assert len({answer.json()["text"] for answer in answers}) == 1
    assert [answer.status_code for answer in answers] == [200] * 4
    assert [audio_seconds(server) for server in routed.servers] == [
        pytest.approx(2 * SAMPLES["short"].audio.duration)
    ] * 2


def test_default_language_of_the_router_is_used_and_an_empty_one_is_detected(routed: Routed) -> None:
    with http(routed.servers[0].url) as direct:
        fields = {"response_format": "verbose_json"}
        direct_answer = post(direct, sample("german"), **fields).json()
    assert (direct_answer["language"], post(routed.client, sample("german"), **fields).json()["language"]) == (
        "german",
        "english",
    )
    assert list(differences(post(routed.client, sample("german"), language="", **fields).json(), direct_answer)) == []


def test_every_format_passes_the_router(routed: Routed) -> None:
    for name, row in formats_of("openai").items():
        answer = post(routed.client, sample("short"), response_format=name)
        if row.needs_speakers:  # these servers have no diarization model
            assert answer.json()["error"]["param"] == "response_format"
        else:
            assert answer.headers["content-type"] == row.media_type


def test_streams_pass_the_router(routed: Routed) -> None:
    whole = post(routed.client, sample("long")).json()["text"]
    assert streamed(routed.client, sample("long")) == whole
    answer = post(routed.client, sample("short"), stream="true")
    assert (answer.status_code, answer.headers["content-type"]) == (200, "text/event-stream; charset=utf-8")


def test_closing_a_stream_cancels_the_request_behind_the_router(routed: Routed) -> None:
    minutes = wav(np.tile(SAMPLES["long"].audio.samples, 3))
    files, fields = {"file": ("audio", minutes)}, {"stream": "true"}
    with routed.client.stream("POST", TRANSCRIPTIONS, files=files, data=fields) as answer:
        assert next(events(answer))["type"] == "transcript.text.delta"
        assert sum(routed.running) == 1
    until(lambda: sum(routed.running) == 0)
    assert [audio_seconds(server) for server in routed.servers] == [0, 0]  # neither has finished it


def test_429_and_retry_after_pass_the_router(routed: Routed) -> None:
    with contextlib.ExitStack() as stack:
        for server in routed.servers * 2:
            stack.enter_context(occupied(server.url))
        until(lambda: [load(server) for server in routed.servers] == [{"running": 1, "waiting": 1}] * 2)
        for _ in range(2):
            answer = post(routed.client, sample("short"))
            assert (answer.status_code, answer.json()["error"]["code"]) == (429, "queue_full")
            assert int(answer.headers["retry-after"]) > 0
    until(lambda: [load(server) for server in routed.servers] == [{"running": 0, "waiting": 0}] * 2)
    assert post(routed.client, sample("short")).status_code == 200
