"""The server process: its shutdown, its exit codes and its log."""

import json
import os
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import Any

import httpx
import pytest

from tests.clients import SLOWLY, TRANSCRIPTIONS, events, http, occupied, post, sample
from tests.conftest import DEMO, ROOT
from tests.serving import until
from transcription.cli import serve
from transcription.server.settings import ServerSettings

KEY = "the-key-of-a-client"


class Process:
    """A process of transcribe-server."""

    def __init__(self, **environment: str) -> None:
        with socket.create_server(("127.0.0.1", 0)) as listener:
            port = str(listener.getsockname()[1])
        self.url = f"http://127.0.0.1:{port}"
        self._process = subprocess.Popen(
            [sys.executable, "-m", "transcription.cli.serve"], cwd=ROOT, text=True, stderr=subprocess.PIPE,
            env=os.environ | {"ASR_MODEL": str(DEMO), "HOST": "127.0.0.1", "PORT": port, **environment},
        )  # fmt: skip

    def terminate(self) -> None:
        self._process.send_signal(signal.SIGTERM)

    def wait(self) -> tuple[int, list[dict[str, Any]]]:
        """Return the exit code and the log when the process has ended."""
        _, log = self._process.communicate(timeout=120)
        return self._process.returncode, [json.loads(line) for line in log.splitlines()]

    def kill(self) -> None:
        """End the process if a test has failed."""
        self._process.kill()
        self._process.communicate()


@contextmanager
def process(**environment: str) -> Iterator[Process]:
    server = Process(**environment)
    try:
        yield server
    finally:
        server.kill()


@contextmanager
def ready(**environment: str) -> Iterator[tuple[Process, httpx.Client]]:
    """Run a process until its models are loaded, with a client."""
    with process(**environment) as server, http(server.url) as client:
        until(lambda: status(client, "/ready") == 200)
        yield server, client


def status(client: httpx.Client, path: str) -> int:
    """Return the status of a response, 0 if nothing listens."""
    try:
        return client.get(path).status_code
    except httpx.ConnectError:
        return 0


def running(client: httpx.Client) -> int:
    """Return the number of running requests."""
    lines = client.get("/metrics").text.splitlines()
    return int(float(next(line for line in lines if line.startswith("transcription_requests_running ")).split()[1]))


@dataclass(frozen=True)
class Drained:
    """The responses before and after SIGTERM, and exit code and log of the process."""

    whole: httpx.Response
    streamed: httpx.Response
    meanwhile: dict[str, int]
    refused: httpx.Response
    exit_code: int
    log: list[dict[str, Any]]


@pytest.fixture(scope="module")
def drained() -> Drained:
    """Yield a process that got SIGTERM during two requests."""
    with ready(API_KEYS=KEY) as (server, client), ThreadPoolExecutor(2) as clients:
        client.headers["Authorization"] = f"Bearer {KEY}"
        whole, streamed = (clients.submit(post, client, sample("noisy"), **SLOWLY, **fields)
                      for fields in ({}, {"stream": "true"}))  # fmt: skip
        until(lambda: running(client) == 2)
        server.terminate()
        until(lambda: status(client, "/ready") == 503)
        meanwhile = {path: status(client, path) for path in ("/health", "/ready", "/v1/models")}
        refused = post(client, sample("short"))
        return Drained(whole.result(), streamed.result(), meanwhile, refused, *server.wait())


def test_requests_that_run_at_sigterm_are_finished(drained: Drained) -> None:
    *_, last = events(drained.streamed)
    assert (drained.whole.status_code, drained.streamed.status_code) == (200, 200)
    assert last["type"] == "transcript.text.done"
    assert last["text"] == drained.whole.json()["text"] != ""


def test_requests_after_sigterm_get_503_with_retry_after(drained: Drained) -> None:
    assert drained.meanwhile == {"/health": 200, "/ready": 503, "/v1/models": 200}
    assert (drained.refused.status_code, drained.refused.json()["error"]["code"]) == (503, "shutting_down")
    assert int(drained.refused.headers["retry-after"]) > 0
    assert "x-should-retry" not in drained.refused.headers


def test_exit_code_after_sigterm_is_0(drained: Drained) -> None:
    assert drained.exit_code == 0


def test_log_has_requests_but_no_text_and_no_key(drained: Drained) -> None:
    requests = [line for line in drained.log if line["message"] == "request"]
    routes = [(line["route"], line["status"]) for line in requests if line["route"] == TRANSCRIPTIONS]
    assert sorted(routes) == [(TRANSCRIPTIONS, 200), (TRANSCRIPTIONS, 200), (TRANSCRIPTIONS, 503)]
    others = [line["message"] for line in drained.log if line["message"] != "request"]
    assert others[:3] == ["listening", "demo-whisper computes on cpu in float32", "ready"]
    assert {line["level"] for line in drained.log} == {"info"}
    log, words = json.dumps(drained.log), drained.whole.json()["text"].split()
    assert [pair for pair in pairwise(words) if " ".join(pair) in log] == []
    assert KEY not in log


def test_sigterm_ends_a_process_that_is_loading() -> None:
    with process() as server, http(server.url) as client:
        until(lambda: status(client, "/health") == 503)
        server.terminate()
        code, log = server.wait()
    assert code == 0
    assert [line["message"] for line in log] == ["listening"]


def test_a_second_sigterm_ends_at_once() -> None:
    with ready() as (server, client), occupied(server.url):
        until(lambda: running(client) == 1)
        server.terminate()
        until(lambda: status(client, "/ready") == 503)
        server.terminate()
        assert server.wait()[0] == 0  # long before the request would end


def test_exits_with_1_if_the_model_cannot_be_loaded(tmp_path: Path) -> None:
    with process(ASR_MODEL=str(tmp_path / "absent"), HF_TOKEN="hf_a_token_of_somebody") as server:
        code, log = server.wait()
    message = (
        "ASR_MODEL absent cannot be loaded: is it a Whisper checkpoint's name or directory, and does HF_TOKEN allow it?"
    )
    assert code == 1
    assert [(line["level"], line["message"]) for line in log] == [("info", "listening"), ("error", message)]
    assert set(log[1]) == {"time", "level", "message"}  # no traceback


@pytest.mark.parametrize(
    ("environment", "message"),
    [
        ({"PORT": "abc"}, "PORT: Input should be a valid integer, unable to parse string as an integer"),
        ({"SLOTS": "many"}, "SLOTS: Input should be a valid integer, unable to parse string as an integer"),
    ],
)
def test_exits_with_2_if_the_settings_are_invalid(environment: dict[str, str], message: str) -> None:
    with process(**environment) as server:
        code, log = server.wait()
    assert code == 2
    assert [(line["level"], line["message"]) for line in log] == [("error", message)]


def test_help_lists_the_variables_and_starts_nothing(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as exit_code:
        serve.main(["--help"])
    text = capsys.readouterr().out
    assert exit_code.value.code == 0
    assert [name for name in ServerSettings.model_fields if name.upper() not in text] == []


def test_an_unknown_option_is_an_error(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as exit_code:
        serve.main(["--prot", "80"])
    assert (exit_code.value.code, capsys.readouterr().err.splitlines()[-1]) == (
        2, "transcribe-server: error: unrecognized arguments: --prot 80",
    )  # fmt: skip
