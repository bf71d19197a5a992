"""Clients for the tests of the service: well-behaved ones, and one that leaves in the middle."""

import contextlib
import json
import socket
from collections.abc import Iterator, Mapping
from http.server import BaseHTTPRequestHandler
from typing import Any, Self

import httpx

from tests.conftest import SAMPLES

TRANSCRIPTIONS = "/v1/audio/transcriptions"
SLOWLY = {"chunk_length_s": "1", "batch_size": "1", "temperature": "0,0,0,0,0", "compression_ratio_threshold": "0.01"}
"""Second after second, each five times over: the first words come soon, the last ones much later."""


def http(url: str) -> httpx.Client:
    """A client of the server at `url`, with a connection for each request, as many clients have them."""
    return httpx.Client(base_url=url, timeout=120, limits=httpx.Limits(max_keepalive_connections=0))


def sample(name: str) -> bytes:
    """A shipped recording's file."""
    return SAMPLES[name].path.read_bytes()


def post(client: httpx.Client, audio: bytes, **fields: str) -> httpx.Response:
    """A transcription."""
    return client.post(TRANSCRIPTIONS, files={"file": ("audio", audio)}, data=fields)


def events(answer: httpx.Response) -> Iterator[dict[str, Any]]:
    """A stream's events."""
    for line in answer.iter_lines():
        if line.startswith("data: "):
            yield json.loads(line.removeprefix("data: "))


def streamed(client: httpx.Client, audio: bytes, **fields: str) -> str:
    """The text of a streamed transcription, which its deltas joined are too."""
    found = list(events(post(client, audio, stream="true", **fields)))
    deltas = [event["delta"] for event in found if event["type"] == "transcript.text.delta"]
    assert "".join(deltas) == found[-1]["text"]
    return "".join(deltas)


def answer_in_json(door: BaseHTTPRequestHandler, status: int, answer: object) -> None:
    """What a stand-in of a service says."""
    data = json.dumps(answer).encode()
    door.send_response(status)
    door.send_header("Content-Type", "application/json")
    door.send_header("Content-Length", str(len(data)))
    door.end_headers()
    door.wfile.write(data)


class Leaver:
    """A request on a connection of its own, which ends whenever the test says so."""

    def __init__(self, url: str, audio: bytes, fields: Mapping[str, str], share: float = 1.0) -> None:
        """Sends this share of the request."""
        request = httpx.Request("POST", url + TRANSCRIPTIONS, files={"file": ("audio", audio)}, data=dict(fields))
        head = [f"POST {TRANSCRIPTIONS} HTTP/1.1", *(f"{name}: {value}" for name, value in request.headers.items())]
        whole = "\r\n".join([*head, "", ""]).encode() + request.read()
        self._socket = socket.create_connection((request.url.host, request.url.port or 80), 120)
        self._socket.sendall(whole[: int(share * len(whole))])

    def hears(self, what: bytes) -> None:
        """Waits until the answer says `what`."""
        heard = b""
        while what not in heard:
            more = self._socket.recv(65_536)
            assert more, heard
            heard += more

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._socket.close()


@contextlib.contextmanager
def occupied(url: str, **fields: str) -> Iterator[Leaver]:
    """Within, a client has sent a long recording and waits for what is said in it; then it leaves."""
    with Leaver(url, sample("long"), SLOWLY | fields) as leaver:
        yield leaver
