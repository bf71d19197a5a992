"""A stand-in for the Hub and for Inference Endpoints that records its requests, for the tests of deploy/endpoint.py."""

import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import pytest
from huggingface_hub import constants

from deploy.endpoint import main
from tests.clients import answer_in_json

TOKEN = "hf_manages"
ENDPOINT = {
    "name": "transcribe", "type": "authenticated", "healthRoute": "/health",
    "model": {"repository": "you/this", "framework": "custom", "revision": None, "task": "custom"},
    "status": {"state": "pending", "createdAt": "2026-01-01T00:00:00Z", "updatedAt": "2026-01-01T00:00:00Z"},
}  # fmt: skip
CREATE = ("create", "transcribe", "--namespace", "you", "--repository", "you/this")

Run = Callable[..., tuple[int, str, str]]
"""Run the command; return exit code, standard output and standard error."""


@dataclass(frozen=True)
class Request:
    """A request as it arrived."""

    method: str
    path: str
    headers: dict[str, str]
    body: bytes


@dataclass
class FakeHub:
    """Answers with the queued responses, then with ENDPOINT."""

    url: str = ""
    requests: list[Request] = field(default_factory=list)
    responses: list[tuple[int, dict[str, Any]]] = field(default_factory=list)

    @property
    def request_lines(self) -> list[tuple[str, str]]:
        """Method and path of each request."""
        return [(request.method, request.path) for request in self.requests]

    def respond(self, request: Request) -> tuple[int, dict[str, Any]]:
        """Record the request and return status and body of the response."""
        self.requests.append(request)
        if request.path == "/api/whoami-v2":
            return 200, {"type": "user", "name": "token-owner"}
        if request.path == "/health":
            return 200, {}
        return self.responses.pop(0) if self.responses else (200, ENDPOINT)


def endpoint_in_state(state: str, url: str | None = None) -> dict[str, Any]:
    """Return ENDPOINT in another state."""
    status = {**ENDPOINT["status"], "state": state, **({"url": url} if url else {})}  # type: ignore[dict-item]
    return {**ENDPOINT, "status": status}


@pytest.fixture
def hub(monkeypatch: pytest.MonkeyPatch) -> Iterator[FakeHub]:
    """Run a fake hub, and point huggingface_hub and HF_TOKEN at it."""
    fake = FakeHub()

    class Handler(BaseHTTPRequestHandler):
        def handle_one(self) -> None:
            body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
            status, response = fake.respond(Request(self.command, self.path, dict(self.headers), body))
            answer_in_json(self, status, response)

        do_GET = do_POST = do_PUT = do_DELETE = handle_one

        def log_message(self, *_: object) -> None: ...

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True)
    thread.start()
    fake.url = f"http://127.0.0.1:{server.server_address[1]}"
    monkeypatch.setattr(constants, "ENDPOINT", fake.url)
    monkeypatch.setattr(constants, "INFERENCE_ENDPOINTS_ENDPOINT", f"{fake.url}/v2")
    monkeypatch.setattr(constants, "HF_HUB_DISABLE_TELEMETRY", True)  # else the library sends a request of its own
    monkeypatch.setenv("HF_TOKEN", TOKEN)
    yield fake
    server.shutdown()
    server.server_close()
    thread.join()


@pytest.fixture
def run(capsys: pytest.CaptureFixture[str]) -> Run:
    """Return a function that runs the command in this process."""

    def run_command(*arguments: str) -> tuple[int, str, str]:
        code = main(arguments)
        output = capsys.readouterr()
        return code, output.out, output.err

    return run_command
