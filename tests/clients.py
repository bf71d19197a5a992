"""Clients for the tests of the server: ordinary ones, and one that disconnects early."""

import contextlib
import json
import socket
from collections.abc import Iterator, Mapping
from http.server import BaseHTTPRequestHandler
from typing import Any, Self

import httpx

from tests.conftest import SAMPLES

TRANSCRIPTIONS = "/v1/audio/transcriptions"
SLOWLY = {"chunk_length_s": "1", "batch_size": "1", "temperature": "0,0,0,0,0", "logprob_threshold": "0"}
"""Parameters of a slow request: windows of one second, decoded five times each. The first text comes early."""


def http(url: str) -> httpx.Client:
    """Return a client that opens a connection for each request."""
    return httpx.Client(base_url=url, timeout=120, limits=httpx.Limits(max_keepalive_connections=0))


def sample(name: str) -> bytes:
    """Return the bytes of a sample recording."""
    return SAMPLES[name].path.read_bytes()


def post(client: httpx.Client, audio: bytes, **fields: str) -> httpx.Response:
    """Request a transcription."""
    return client.post(TRANSCRIPTIONS, files={"file": ("audio", audio)}, data=fields)


def events(answer: httpx.Response) -> Iterator[dict[str, Any]]:
    """Yield the events of a stream."""
    for line in answer.iter_lines():
        if line.startswith("data: "):
            yield json.loads(line.removeprefix("data: "))


def streamed(client: httpx.Client, audio: bytes, **fields: str) -> str:
    """Return the text of a streamed transcription. Checks that its deltas join to it."""
    received = list(events(post(client, audio, stream="true", **fields)))
    deltas = [event["delta"] for event in received if event["type"] == "transcript.text.delta"]
    assert "".join(deltas) == received[-1]["text"]
    return "".join(deltas)


def answer_in_json(handler: BaseHTTPRequestHandler, status: int, answer: object) -> None:
    """Send a JSON response from a fake of a service."""
    data = json.dumps(answer).encode()
    handler.send_response(status)
    handler.send_header("Content-Type", "application/json")
    handler.send_header("Content-Length", str(len(data)))
    handler.end_headers()
    handler.wfile.write(data)


class DisconnectingClient:
    """A request on a connection of its own, which the test closes at any time."""

    def __init__(self, url: str, audio: bytes, fields: Mapping[str, str], share: float = 1.0) -> None:
        """Send this share of the request."""
        request = httpx.Request("POST", url + TRANSCRIPTIONS, files={"file": ("audio", audio)}, data=dict(fields))
        head = [f"POST {TRANSCRIPTIONS} HTTP/1.1", *(f"{name}: {value}" for name, value in request.headers.items())]
        whole = "\r\n".join([*head, "", ""]).encode() + request.read()
        self._socket = socket.create_connection((request.url.host, request.url.port or 80), 120)
        self._socket.sendall(whole[: int(share * len(whole))])

    def read_until(self, expected: bytes) -> None:
        """Read the response until it contains `expected`."""
        received = b""
        while expected not in received:
            data = self._socket.recv(65_536)
            assert data, received
            received += data

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._socket.close()


@contextlib.contextmanager
def occupied(url: str, **fields: str) -> Iterator[DisconnectingClient]:
    """Occupy the server with a slow request of a long recording; its client disconnects at the end."""
    with DisconnectingClient(url, sample("long"), SLOWLY | fields) as client:
        yield client
