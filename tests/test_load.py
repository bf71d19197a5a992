"""Many clients at once, some with errors: each gets its own answer, and no files or memory are left behind."""

import gc
import os
import random
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from dataclasses import dataclass
from itertools import chain, repeat
from pathlib import Path
from typing import Any

import httpx
import pytest

from tests.clients import SLOWLY, TRANSCRIPTIONS, DisconnectingClient, events, http, occupied, post, sample, streamed
from tests.conftest import DEMO, SAMPLES
from tests.serving import Running, serving, until
from tests.test_audio import wav
from transcription.config import ModelSettings
from transcription.server import streaming
from transcription.transcriber import Transcriber

CLIENTS = 32
LARGEST = 600_000  # bytes of a file
TOO_LARGE = bytes(3 * LARGEST + 4 * 1024 * 1024)
GOOD = {
    "short": sample("short"),
    "german": sample("german"),
    "silence": sample("silence"),
    "meeting, its first 3 s": wav(SAMPLES["meeting"].audio.samples[: 3 * 16_000]),
    "meeting, 5 s of it": wav(SAMPLES["meeting"].audio.samples[6 * 16_000 : 11 * 16_000]),
    "long": sample("long"),
}

Result = tuple[int, str] | None
"""Status, and the text or the code of the error; None if the client disconnected."""


@pytest.fixture(scope="module")
def model() -> Transcriber:
    """Return the demo model alone."""
    return Transcriber(ModelSettings.from_environment(asr_model=str(DEMO), max_audio_bytes=LARGEST))


@pytest.fixture(scope="module")
def server(model: Transcriber) -> Iterator[Running]:
    """Yield a server that runs fewer requests at once than there are clients."""
    with serving(model, max_running=8, max_waiting=400) as running:
        yield running


@dataclass(frozen=True)
class Case:
    """One request, and its expected result."""

    call: Callable[[httpx.Client], Result]
    expected: Result


def result_of(answer: httpx.Response) -> Result:
    content = answer.json()
    return answer.status_code, content["text"] if answer.is_success else content["error"]["code"]


def transcribed(name: str) -> Callable[[httpx.Client], Result]:
    return lambda client: result_of(post(client, GOOD[name]))


def transcribed_as_stream(name: str) -> Callable[[httpx.Client], Result]:
    return lambda client: (200, streamed(client, GOOD[name]))


def disconnected(
    name: str, share: float = 1.0, after: bytes = b"", fields: Mapping[str, str] = {}
) -> Callable[[httpx.Client], Result]:
    """Disconnect when this share of the request is sent and the response contains `after`."""

    def call(client: httpx.Client) -> Result:
        with DisconnectingClient(str(client.base_url).rstrip("/"), GOOD[name], fields, share) as leaving:
            leaving.read_until(after)
        return None

    return call


def refused(**sent: Any) -> Callable[[httpx.Client], Result]:
    return lambda client: result_of(client.post(TRANSCRIPTIONS, **sent))


def in_chunks(data: bytes) -> Callable[[httpx.Client], Result]:
    """Send the body in chunks, without its length."""
    request = httpx.Request("POST", "http://any", files={"file": ("audio", data)})
    body, kind = request.read(), request.headers["content-type"]
    chunks = [body[at : at + 65_536] for at in range(0, len(body), 65_536)]
    return lambda client: result_of(client.post(TRANSCRIPTIONS, content=iter(chunks), headers={"content-type": kind}))


REFUSALS: list[tuple[Result, Callable[[httpx.Client], Result]]] = [
    ((413, "body_too_large"), refused(files={"file": ("audio", TOO_LARGE)})),
    ((413, "body_too_large"), in_chunks(TOO_LARGE)),
    ((413, "audio_too_long"), refused(files={"file": ("audio", bytes(LARGEST + 1))})),
    ((415, "unsupported_media_type"), refused(json={"file": "audio"})),
    ((400, "invalid_value"), refused(content=b"--x", headers={"content-type": "multipart/form-data"})),
    ((400, "invalid_value"), refused(content=b"no form", headers={"content-type": "multipart/form-data; boundary=x"})),
    ((400, "invalid_value"), refused(files={"audio": ("audio", GOOD["short"])})),
    ((400, "invalid_value"), refused(files={"file": ("audio", GOOD["short"])}, data={"temperature": "hot"})),
    ((400, "unknown_parameter"), refused(files={"file": ("audio", GOOD["short"])}, data={"model_size": "9"})),
    ((400, "invalid_audio"), refused(files={"file": ("audio", b"")})),
    ((400, "invalid_audio"), refused(files={"file": ("audio", b"no audio" * 1000)})),
    ((400, "invalid_audio"), refused(files={"file": ("audio", b"no audio" * 1000)}, data={"stream": "true"})),
]


def a_hundred(alone: dict[str, str]) -> list[Case]:
    """Return requests of every kind, shuffled."""
    short = ("short", "german", "meeting, its first 3 s", "meeting, 5 s of it", "silence")
    plain = [Case(transcribed(name), (200, alone[name])) for name in chain(*repeat(short, 5))]
    streams = [Case(transcribed_as_stream(name), (200, alone[name])) for name in chain(*repeat(short, 2), ("long",))]
    refusals = [Case(call, expected) for expected, call in chain(*repeat(REFUSALS, 2))]
    leaving = [
        *repeat(disconnected("long", share=0.5), 16),
        *repeat(disconnected("short", share=0.001), 7),
        *repeat(disconnected("short"), 9),
        *repeat(disconnected("long", fields=SLOWLY), 4),
        *repeat(disconnected("long", after=b"transcript.text.delta", fields={"stream": "true", **SLOWLY}), 4),
    ]
    cases = [*plain, *streams, *refusals, *(Case(call, None) for call in leaving)]
    random.Random(0).shuffle(cases)
    return cases


def is_idle(server: Running) -> bool:
    """Return whether no request is left, in the server or in the engine."""
    admission, state = server.service.admission, server.server.server_state
    is_admitting = admission.running or admission.waiting or admission.uploading
    return not (is_admitting or state.tasks or state.connections or is_decoding(server))


def is_decoding(server: Running) -> bool:
    """Return whether the engine has windows to decode."""
    engine: Any = server.service.transcriber.engine
    return not engine.loop.is_idle


def memory() -> float:
    """Return the resident memory of the process in MB."""
    gc.collect()
    return int(Path("/proc/self/status").read_text().split("VmRSS:")[1].split()[0]) / 1024


def open_files() -> int:
    gc.collect()
    return len(os.listdir("/proc/self/fd"))


@dataclass(frozen=True)
class Measured:
    """The results of two batches of requests, and the open files and MB before, between and after them."""

    cases: list[Case]
    results: list[list[Result]]
    files: list[int]
    megabytes: list[float]


@pytest.fixture(scope="module")
def measured(server: Running) -> Measured:
    """Send a hundred requests with 32 clients, twice."""
    with (
        pytest.MonkeyPatch.context() as patch,
        http(server.url) as client,
        ThreadPoolExecutor(CLIENTS) as clients,
    ):
        # On a slow machine a keep-alive would come before an error, which then has no status of its own.
        patch.setattr(streaming, "KEEP_ALIVE_SECONDS", 120.0)
        cases = a_hundred({name: post(client, audio).json()["text"] for name, audio in GOOD.items()})
        results, files, megabytes = [], [open_files()], [memory()]
        for _ in range(2):
            results.append(list(clients.map(lambda case: case.call(client), cases)))
            client.get("/health")  # after the last request
            until(lambda: is_idle(server))
            files.append(open_files())
            megabytes.append(memory())
    return Measured(cases, results, files, megabytes)


def test_each_of_many_requests_gets_its_own_answer(measured: Measured) -> None:
    assert len(measured.cases) == 100
    assert measured.results == [[case.expected for case in measured.cases]] * 2


def test_all_files_are_closed(measured: Measured) -> None:
    _, first, second = measured.files
    assert second <= first


def test_memory_does_not_grow(measured: Measured) -> None:
    _, first, second = measured.megabytes
    assert second - first < 100


def test_returns_429_with_retry_after_when_queue_is_full(model: Transcriber) -> None:
    with serving(model, max_running=1, max_waiting=1) as server, http(server.url) as client:
        admission = server.service.admission
        with occupied(server.url):
            until(lambda: admission.running == 1)
            with occupied(server.url):
                until(lambda: admission.waiting == 1)
                answer = post(client, GOOD["short"])
                assert answer.status_code == 429
                assert answer.json() == {
                    "error": {
                        "message": "too many requests are waiting: try again later",
                        "type": "rate_limit_error",
                        "param": None,
                        "code": "queue_full",
                    }
                }
                assert 1 <= int(answer.headers["retry-after"]) <= 60
                assert "x-should-retry" not in answer.headers
        until(lambda: is_idle(server))
        assert post(client, GOOD["short"]).status_code == 200


def test_client_that_leaves_the_queue_frees_its_place(model: Transcriber) -> None:
    with (
        serving(model, max_running=1, max_waiting=1) as server,
        http(server.url) as client,
        ThreadPoolExecutor(1) as pool,
    ):
        admission = server.service.admission
        with occupied(server.url):
            until(lambda: admission.running == 1)
            with occupied(server.url):
                until(lambda: admission.waiting == 1)
            until(lambda: admission.waiting == 0)
            next_request = pool.submit(post, client, GOOD["short"])
            until(lambda: admission.waiting == 1)
            assert (admission.running, next_request.done()) == (1, False)
        assert next_request.result().status_code == 200


@pytest.mark.parametrize("fields", [{}, {"stream": "true"}], ids=["whole", "streamed"])
def test_client_that_leaves_during_decoding_frees_the_slots(server: Running, fields: dict[str, str]) -> None:
    with occupied(server.url, **fields):
        until(lambda: is_decoding(server))
    until(lambda: is_idle(server))


def test_returns_429_above_max_uploads(model: Transcriber) -> None:
    with serving(model, max_uploads=1) as server, http(server.url) as client:
        admission = server.service.admission
        with DisconnectingClient(server.url, GOOD["long"], {}, share=0.5):
            until(lambda: admission.uploading == 1)
            answer = post(client, GOOD["short"])
            assert (answer.status_code, answer.json()["error"]["code"]) == (429, "too_many_uploads")
            assert 1 <= int(answer.headers["retry-after"]) <= 60
        until(lambda: admission.uploading == 0)
        assert post(client, GOOD["short"]).status_code == 200


@pytest.mark.parametrize("fields", [{}, {"response_format": "text"}], ids=["json", "text"])
def test_returns_504_after_the_deadline(model: Transcriber, fields: dict[str, str]) -> None:
    with serving(model, request_seconds=2, max_running=1) as server, http(server.url) as client:
        answer = post(client, GOOD["long"], **SLOWLY, **fields)
        assert (answer.status_code, answer.json()["error"]["code"]) == (504, "deadline")
        assert answer.headers["x-should-retry"] == "false"
        assert "retry-after" not in answer.headers
        until(lambda: is_idle(server))
        assert post(client, GOOD["short"]).status_code == 200


def test_stream_ends_with_an_error_after_the_deadline(model: Transcriber) -> None:
    with serving(model, request_seconds=6) as server, http(server.url) as client:
        *deltas, last = events(post(client, GOOD["long"], stream="true", **SLOWLY))
        assert {event["type"] for event in deltas} == {"transcript.text.delta"}  # none would mean status 504
        assert last["error"]["code"] == "deadline"
        until(lambda: is_idle(server))


def test_returns_408_if_an_upload_stalls(model: Transcriber) -> None:
    with (
        serving(model, request_seconds=1) as server,
        DisconnectingClient(server.url, GOOD["long"], {}, share=0.5) as stalled,
    ):
        stalled.read_until(b"upload_too_slow")
        until(lambda: server.service.admission.uploading == 0)


def test_probes_return_200_under_load(model: Transcriber) -> None:
    with serving(model, max_running=16) as server, http(server.url) as client, ExitStack() as sixteen:
        for _ in range(16):
            sixteen.enter_context(occupied(server.url))
        until(lambda: server.service.admission.running == 16 and is_decoding(server))
        statuses = {client.get(path).status_code for path in ("/health", "/ready", "/metrics") for _ in range(20)}
        assert (statuses, server.service.admission.running) == ({200}, 16)
