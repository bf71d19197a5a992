"""Many clients at once, and faults among them: each gets its own answer, and nothing of them is left."""

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

from tests.clients import SLOWLY, TRANSCRIPTIONS, Leaver, events, http, occupied, post, sample, streamed
from tests.conftest import DEMO, SAMPLES
from tests.serving import Running, serving, until
from tests.test_audio import wav
from transcription.config import ModelSettings
from transcription.transcriber import Transcriber

CLIENTS = 32
LARGEST = 600_000  # bytes of a file
TOO_LARGE = bytes(3 * LARGEST + 2 * 1024 * 1024)
GOOD = {
    "short": sample("short"),
    "german": sample("german"),
    "silence": sample("silence"),
    "meeting, its first 3 s": wav(SAMPLES["meeting"].audio.samples[: 3 * 16_000]),
    "meeting, 5 s of it": wav(SAMPLES["meeting"].audio.samples[6 * 16_000 : 11 * 16_000]),
    "long": sample("long"),
}

WindowResponse = tuple[int, str] | None
"""Status, and the text or the error's code; None of who has left."""


@pytest.fixture(scope="module")
def model() -> Transcriber:
    """The demo model alone."""
    return Transcriber(ModelSettings.from_environment(asr_model=str(DEMO), max_audio_bytes=LARGEST))


@pytest.fixture(scope="module")
def server(model: Transcriber) -> Iterator[Running]:
    """With fewer places than clients."""
    with serving(model, max_running=8, max_waiting=400) as found:
        yield found


@dataclass(frozen=True)
class Asked:
    """One request, and what is to be said to it."""

    call: Callable[[httpx.Client], WindowResponse]
    expected: WindowResponse


def said(answer: httpx.Response) -> WindowResponse:
    found = answer.json()
    return answer.status_code, found["text"] if answer.is_success else found["error"]["code"]


def heard(name: str) -> Callable[[httpx.Client], WindowResponse]:
    return lambda client: said(post(client, GOOD[name]))


def heard_streaming(name: str) -> Callable[[httpx.Client], WindowResponse]:
    return lambda client: (200, streamed(client, GOOD[name]))


def left(
    name: str, share: float = 1.0, after: bytes = b"", fields: Mapping[str, str] = {}
) -> Callable[[httpx.Client], WindowResponse]:
    """Who leaves when this share of the request is sent, and this much of the answer has come."""

    def call(client: httpx.Client) -> WindowResponse:
        with Leaver(str(client.base_url).rstrip("/"), GOOD[name], fields, share) as leaver:
            leaver.hears(after)
        return None

    return call


def refused(**sent: Any) -> Callable[[httpx.Client], WindowResponse]:
    return lambda client: said(client.post(TRANSCRIPTIONS, **sent))


def in_pieces(data: bytes) -> Callable[[httpx.Client], WindowResponse]:
    """Who does not say before how large the body is."""
    request = httpx.Request("POST", "http://any", files={"file": ("audio", data)})
    body, kind = request.read(), request.headers["content-type"]
    pieces = [body[at : at + 65_536] for at in range(0, len(body), 65_536)]
    return lambda client: said(client.post(TRANSCRIPTIONS, content=iter(pieces), headers={"content-type": kind}))


REFUSALS: list[tuple[WindowResponse, Callable[[httpx.Client], WindowResponse]]] = [
    ((413, "body_too_large"), refused(files={"file": ("audio", TOO_LARGE)})),
    ((413, "body_too_large"), in_pieces(TOO_LARGE)),
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


def two_hundred(alone: dict[str, str]) -> list[Asked]:
    """Requests of every kind, well mixed."""
    short = ("short", "german", "meeting, its first 3 s", "meeting, 5 s of it", "silence")
    plain = [Asked(heard(name), (200, alone[name])) for name in chain(*repeat(short, 10), *repeat(("long",), 2))]
    streams = [Asked(heard_streaming(name), (200, alone[name])) for name in chain(*repeat(short, 4), ("long",))]
    refusals = [Asked(call, expected) for expected, call in chain(*repeat(REFUSALS, 5))]
    leaving = [
        *repeat(left("long", share=0.5), 28),
        *repeat(left("short", share=0.001), 12),
        *repeat(left("short"), 15),
        *repeat(left("long", fields=SLOWLY), 6),
        *repeat(left("long", after=b"transcript.text.delta", fields={"stream": "true", **SLOWLY}), 6),
    ]
    found = [*plain, *streams, *refusals, *(Asked(call, None) for call in leaving)]
    random.Random(0).shuffle(found)
    return found


def at_rest(server: Running) -> bool:
    """Whether nothing is left of any request, in the server or in the engine."""
    door, state = server.service.admission, server.server.server_state
    return not (door.running or door.waiting or door.uploading or state.tasks or state.connections or at_work(server))


def at_work(server: Running) -> bool:
    """Whether the engine has anything in hand."""
    engine: Any = server.service.transcriber.engine
    return bool(engine.loop.jobs or engine.loop.rows)


def memory() -> float:
    """MB that the process holds."""
    gc.collect()
    return int(Path("/proc/self/status").read_text().split("VmRSS:")[1].split()[0]) / 1024


def open_files() -> int:
    gc.collect()
    return len(os.listdir("/proc/self/fd"))


@dataclass(frozen=True)
class Aftermath:
    """What the clients of two batches were told, and what was held before, between and after them."""

    asked: list[Asked]
    answers: list[list[WindowResponse]]
    files: list[int]
    megabytes: list[float]


@pytest.fixture(scope="module")
def aftermath(server: Running) -> Aftermath:
    """Two hundred requests of 32 clients, twice."""
    with http(server.url) as client, ThreadPoolExecutor(CLIENTS) as clients:
        asked = two_hundred({name: post(client, audio).json()["text"] for name, audio in GOOD.items()})
        answers, files, megabytes = [], [open_files()], [memory()]
        for _ in range(2):
            answers.append(list(clients.map(lambda one: one.call(client), asked)))
            client.get("/health")  # comes after the last of them
            until(lambda: at_rest(server))
            files.append(open_files())
            megabytes.append(memory())
    return Aftermath(asked, answers, files, megabytes)


def test_each_of_many_gets_its_own_answer(aftermath: Aftermath) -> None:
    assert len(aftermath.asked) == 200
    assert aftermath.answers == [[one.expected for one in aftermath.asked]] * 2


def test_files_are_given_back(aftermath: Aftermath) -> None:
    assert max(aftermath.files) <= aftermath.files[0]


def test_memory_does_not_grow(aftermath: Aftermath) -> None:
    _, first, second = aftermath.megabytes
    assert second - first < 100


def test_when_the_queue_is_full_the_next_is_sent_away(model: Transcriber) -> None:
    with serving(model, max_running=1, max_waiting=1) as server, http(server.url) as client:
        door = server.service.admission
        with occupied(server.url):
            until(lambda: door.running == 1)
            with occupied(server.url):
                until(lambda: door.waiting == 1)
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
        until(lambda: at_rest(server))
        assert post(client, GOOD["short"]).status_code == 200


def test_who_leaves_the_queue_gives_the_place_to_the_next(model: Transcriber) -> None:
    with (
        serving(model, max_running=1, max_waiting=1) as server,
        http(server.url) as client,
        ThreadPoolExecutor(1) as pool,
    ):
        door = server.service.admission
        with occupied(server.url):
            until(lambda: door.running == 1)
            with occupied(server.url):
                until(lambda: door.waiting == 1)
            until(lambda: door.waiting == 0)
            next_one = pool.submit(post, client, GOOD["short"])
            until(lambda: door.waiting == 1)
            assert (door.running, next_one.done()) == (1, False)
        assert next_one.result().status_code == 200


@pytest.mark.parametrize("fields", [{}, {"stream": "true"}], ids=["whole", "streamed"])
def test_who_leaves_while_decoded_frees_the_slots(server: Running, fields: dict[str, str]) -> None:
    with occupied(server.url, **fields):
        until(lambda: at_work(server))
    until(lambda: at_rest(server))


def test_past_the_uploads_allowed_the_next_is_sent_away(model: Transcriber) -> None:
    with serving(model, max_uploads=1) as server, http(server.url) as client:
        door = server.service.admission
        with Leaver(server.url, GOOD["long"], {}, share=0.5):
            until(lambda: door.uploading == 1)
            answer = post(client, GOOD["short"])
            assert (answer.status_code, answer.json()["error"]["code"]) == (429, "too_many_uploads")
            assert 1 <= int(answer.headers["retry-after"]) <= 60
        until(lambda: door.uploading == 0)
        assert post(client, GOOD["short"]).status_code == 200


@pytest.mark.parametrize("fields", [{}, {"response_format": "text"}], ids=["json", "text"])
def test_past_the_deadline_a_request_ends(model: Transcriber, fields: dict[str, str]) -> None:
    with serving(model, request_seconds=2, max_running=1) as server, http(server.url) as client:
        answer = post(client, GOOD["long"], **SLOWLY, **fields)
        assert (answer.status_code, answer.json()["error"]["code"]) == (504, "deadline")
        assert answer.headers["x-should-retry"] == "false"
        assert "retry-after" not in answer.headers
        until(lambda: at_rest(server))
        assert post(client, GOOD["short"]).status_code == 200


def test_past_the_deadline_a_stream_says_so_at_its_end(model: Transcriber) -> None:
    with serving(model, request_seconds=6) as server, http(server.url) as client:
        *deltas, last = events(post(client, GOOD["long"], stream="true", **SLOWLY))
        assert {event["type"] for event in deltas} == {
            "transcript.text.delta"
        }  # and some, as otherwise the status is 504
        assert last["error"]["code"] == "deadline"
        until(lambda: at_rest(server))


def test_an_upload_that_stands_still_ends(model: Transcriber) -> None:
    with serving(model, request_seconds=1) as server, Leaver(server.url, GOOD["long"], {}, share=0.5) as leaver:
        leaver.hears(b"upload_too_slow")
        until(lambda: server.service.admission.uploading == 0)


def test_it_says_that_it_is_well_while_it_works(model: Transcriber) -> None:
    with serving(model, max_running=16) as server, http(server.url) as client, ExitStack() as sixteen:
        for _ in range(16):
            sixteen.enter_context(occupied(server.url))
        until(lambda: server.service.admission.running == 16 and at_work(server))
        found = {client.get(path).status_code for path in ("/health", "/ready", "/metrics") for _ in range(20)}
        assert (found, server.service.admission.running) == ({200}, 16)
