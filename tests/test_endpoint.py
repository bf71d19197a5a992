"""deploy/endpoint.py against a server that writes down what it is sent."""

import json
import os
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest
from huggingface_hub import constants

from deploy.endpoint import main
from tests.clients import answer_in_json
from tests.conftest import ROOT

TOKEN = "hf_manages"
ENDPOINT = {
    "name": "transcribe", "type": "authenticated", "healthRoute": "/health",
    "model": {"repository": "you/this", "framework": "custom", "revision": None, "task": "custom"},
    "status": {"state": "pending", "createdAt": "2026-01-01T00:00:00Z", "updatedAt": "2026-01-01T00:00:00Z"},
}  # fmt: skip
CREATE = ("create", "transcribe", "--namespace", "you", "--repository", "you/this")
BODY = {
    "compute": {
        "accelerator": "gpu", "instanceSize": "x1", "instanceType": "nvidia-l4",
        "scaling": {"maxReplica": 1, "minReplica": 1, "scaleToZeroTimeout": None},
    },
    "model": {
        "framework": "custom", "repository": "you/this", "revision": None, "task": "custom",
        "image": {"huggingface": {}},
    },
    "name": "transcribe", "provider": {"region": "us-east-1", "vendor": "aws"}, "type": "authenticated",
}  # fmt: skip


@dataclass(frozen=True)
class Request:
    """What was sent."""

    method: str
    path: str
    headers: dict[str, str]
    body: bytes

    @property
    def line(self) -> tuple[str, str]:
        return self.method, self.path


@dataclass
class Service:
    """The recorder: every answer is the endpoint as it is, unless one was put in `answers` before."""

    url: str = ""
    seen: list[Request] = field(default_factory=list)
    answers: list[tuple[int, dict[str, Any]]] = field(default_factory=list)

    @property
    def lines(self) -> list[tuple[str, str]]:
        return [request.line for request in self.seen]

    def answer(self, request: Request) -> tuple[int, dict[str, Any]]:
        self.seen.append(request)
        if request.path == "/api/whoami-v2":
            return 200, {"type": "user", "name": "who-you-are"}
        if request.path == "/health":
            return 200, {}
        return self.answers.pop(0) if self.answers else (200, ENDPOINT)


def state(state: str, url: str | None = None) -> dict[str, Any]:
    status = {**ENDPOINT["status"], "state": state, **({"url": url} if url else {})}  # type: ignore[dict-item]
    return {**ENDPOINT, "status": status}


@pytest.fixture
def service(monkeypatch: pytest.MonkeyPatch) -> Iterator[Service]:
    """A stand-in for the Hub and for Inference Endpoints, and a token for it."""
    service = Service()

    class AdmissionController(BaseHTTPRequestHandler):
        def handle_one(self) -> None:
            body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
            status, answer = service.answer(Request(self.command, self.path, dict(self.headers), body))
            answer_in_json(self, status, answer)

        do_GET = do_POST = do_PUT = do_DELETE = handle_one

        def log_message(self, *_: object) -> None: ...

    server = ThreadingHTTPServer(("127.0.0.1", 0), AdmissionController)
    thread = threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True)
    thread.start()
    service.url = f"http://127.0.0.1:{server.server_address[1]}"
    monkeypatch.setattr(constants, "ENDPOINT", service.url)
    monkeypatch.setattr(constants, "INFERENCE_ENDPOINTS_ENDPOINT", f"{service.url}/v2")
    monkeypatch.setattr(constants, "HF_HUB_DISABLE_TELEMETRY", True)  # else the library has a question of its own
    monkeypatch.setenv("HF_TOKEN", TOKEN)
    yield service
    server.shutdown()
    server.server_close()
    thread.join()


WindowResponse = Callable[..., tuple[int, str, str]]


@pytest.fixture
def run(capsys: pytest.CaptureFixture[str]) -> WindowResponse:
    """Runs the command: exit code, standard output, standard error."""

    def ran(*arguments: str) -> tuple[int, str, str]:
        code = main(arguments)
        said = capsys.readouterr()
        return code, said.out, said.err

    return ran


def test_create_with_the_default_container(service: Service, run: WindowResponse) -> None:
    code, out, err = run(*CREATE, "--env", "ASR_MODEL=openai/whisper-large-v3-turbo", "--env", "LANGUAGE_FORCE=")
    assert (code, out, err) == (0, "transcribe: pending\n", "")
    assert service.lines == [("POST", "/v2/endpoint/you")]
    model = {**BODY["model"], "env": {"ASR_MODEL": "openai/whisper-large-v3-turbo", "LANGUAGE_FORCE": ""}}  # type: ignore[dict-item]
    assert json.loads(service.seen[0].body) == {**BODY, "model": model}


def test_create_with_everything(service: Service, run: WindowResponse, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HF_TOKEN", "hf_reads")
    monkeypatch.setenv("API_KEYS", "a,b")
    monkeypatch.setenv("MANAGES", TOKEN)
    code, _, err = run(
        "create", "transcribe", "--namespace", "us", "--repository", "openai/whisper-large-v3", "--revision", "abc",
        "--image", "us/whisper:cuda", "--env", "DTYPE=float16", "--env", "PROMPT=a=b", "--secret", "HF_TOKEN",
        "--secret", "API_KEYS", "--type", "public", "--vendor", "azure", "--region", "eastus", "--accelerator", "cpu",
        "--instance-size", "x4", "--instance-type", "intel-xeon", "--min-replica", "0", "--max-replica", "3",
        "--scale-to-zero", "15", "--token-variable", "MANAGES",
    )  # fmt: skip
    assert (code, err) == (0, "")
    assert service.lines == [("POST", "/v2/endpoint/us")]
    assert service.seen[0].headers["authorization"] == f"Bearer {TOKEN}"
    assert json.loads(service.seen[0].body) == {
        "compute": {
            "accelerator": "cpu", "instanceSize": "x4", "instanceType": "intel-xeon",
            "scaling": {"maxReplica": 3, "minReplica": 0, "scaleToZeroTimeout": 15},
        },
        "model": {
            "framework": "custom", "repository": "openai/whisper-large-v3", "revision": "abc", "task": "custom",
            "image": {"custom": {"url": "us/whisper:cuda", "port": 8000, "healthRoute": "/health"}},
            "env": {"DTYPE": "float16", "PROMPT": "a=b"}, "secrets": {"HF_TOKEN": "hf_reads", "API_KEYS": "a,b"},
        },
        "name": "transcribe", "provider": {"region": "eastus", "vendor": "azure"}, "type": "public",
    }  # fmt: skip


def test_update_sends_only_what_is_named(service: Service, run: WindowResponse) -> None:
    assert run("update", "transcribe", "--namespace", "you", "--min-replica", "2")[0] == 0
    more = ("--env", "A=1", "--image", "i", "--instance-size", "x4")
    assert run("update", "transcribe", "--namespace", "you", *more)[0] == 0
    assert service.lines == [("PUT", "/v2/endpoint/you/transcribe")] * 2
    assert [json.loads(request.body) for request in service.seen] == [
        {"compute": {"scaling": {"minReplica": 2}}},
        {
            "compute": {"instanceSize": "x4"},
            "model": {"image": {"custom": {"url": "i", "port": 8000, "healthRoute": "/health"}}, "env": {"A": "1"}},
        },
    ]


@pytest.mark.parametrize(
    ("arguments", "line", "said"),
    [
        (("pause", "transcribe"), ("POST", "/v2/endpoint/you/transcribe/pause"), "pending"),
        (("resume", "transcribe"), ("POST", "/v2/endpoint/you/transcribe/resume"), "pending"),
        (("status", "transcribe"), ("GET", "/v2/endpoint/you/transcribe"), "pending"),
        (("delete", "transcribe", "--yes"), ("DELETE", "/v2/endpoint/you/transcribe"), "deleted"),
    ],
)
def test_what_needs_no_body(
    service: Service, run: WindowResponse, arguments: tuple[str, ...], line: tuple[str, str], said: str
) -> None:
    assert run(*arguments, "--namespace", "you") == (0, f"transcribe: {said}\n", "")
    assert service.lines == [line]
    assert service.seen[0].body == b""


def test_the_namespace_is_the_tokens(service: Service, run: WindowResponse) -> None:
    assert run("status", "transcribe")[0] == 0
    assert service.lines == [("GET", "/api/whoami-v2"), ("GET", "/v2/endpoint/who-you-are/transcribe")]


def test_the_token_stands_in_its_header_alone(service: Service, run: WindowResponse) -> None:
    for arguments in (
        ("create", "transcribe", "--repository", "you/this", "--env", "A=1"), ("update", "transcribe", "--env", "A=1"),
        ("pause", "transcribe"), ("resume", "transcribe"), ("status", "transcribe"), ("delete", "transcribe", "--yes"),
    ):  # fmt: skip
        code, out, err = run(*arguments)
        assert (code, TOKEN in out + err) == (0, False)
    for request in service.seen:
        assert request.headers.pop("authorization") == f"Bearer {TOKEN}"
        assert TOKEN not in repr(request)


def test_an_endpoint_that_runs_already_is_resumed(service: Service, run: WindowResponse) -> None:
    service.answers = [(400, {"error": "it is already running"}), (200, state("running", "https://it.is"))]
    assert run("resume", "transcribe", "--namespace", "you") == (0, "transcribe: running https://it.is\n", "")


def test_waiting_ends_when_it_answers(service: Service, run: WindowResponse, monkeypatch: pytest.MonkeyPatch) -> None:
    slept: list[float] = []
    monkeypatch.setattr(time, "sleep", slept.append)
    service.answers = [(200, state("pending")), (200, state("initializing")), (200, state("running", service.url))]
    code, out, err = run(*CREATE, "--wait")
    assert (code, out) == (0, f"transcribe: running {service.url}\n")
    assert err == "transcribe: pending, waiting until it runs\n"
    assert service.lines == [
        ("POST", "/v2/endpoint/you"), *[("GET", "/v2/endpoint/you/transcribe")] * 2, ("GET", "/health"),
    ]  # fmt: skip
    assert len(slept) == 2


@pytest.mark.parametrize(
    ("last", "seconds", "reason"),
    [("failed", "60", "failed to deploy"), ("updateFailed", "60", "failed to update"), ("pending", "0", "Timeout")],
)
def test_waiting_in_vain(
    service: Service, run: WindowResponse, monkeypatch: pytest.MonkeyPatch, last: str, seconds: str, reason: str
) -> None:
    monkeypatch.setattr(time, "sleep", lambda _: None)
    service.answers = [(200, state("pending")), *[(200, state(last))] * 100]
    code, out, err = run(*CREATE, "--wait", "--timeout", seconds)
    assert (code, out) == (1, "")
    assert reason in err.splitlines()[-1]


def test_a_dry_run_sends_nothing(service: Service, run: WindowResponse, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("API_KEYS", "open-sesame")
    code, out, err = run(*CREATE, "--secret", "HF_TOKEN", "--secret", "API_KEYS", "--dry-run")
    assert code == 0
    model = {**BODY["model"], "secrets": {"HF_TOKEN": "***", "API_KEYS": "***"}}  # type: ignore[dict-item]
    assert json.loads(out) == {**BODY, "model": model}
    assert err == f"POST {service.url}/v2/endpoint/you\n"
    assert TOKEN not in out + err
    assert "open-sesame" not in out + err
    assert service.seen == []


def test_a_dry_run_needs_neither_token_nor_namespace(
    service: Service, run: WindowResponse, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("HF_TOKEN")
    monkeypatch.setattr(constants, "HF_TOKEN_PATH", "/nowhere")
    assert run("pause", "it", "--dry-run") == (0, "", f"POST {service.url}/v2/endpoint/your-name/it/pause\n")
    assert run("delete", "it", "--dry-run") == (0, "", f"DELETE {service.url}/v2/endpoint/your-name/it\n")
    code, out, _ = run("update", "it", "--revision", "abc", "--dry-run")
    assert (code, json.loads(out)) == (0, {"model": {"revision": "abc"}})
    assert service.seen == []
    assert run("status", "it") == (2, "", "error: no token: set HF_TOKEN, or run `hf auth login`\n")


def test_after_a_dry_run_requests_leave_again(service: Service, run: WindowResponse) -> None:
    assert run("pause", "it", "--namespace", "you", "--dry-run")[0] == 0
    assert run("pause", "it", "--namespace", "you")[0] == 0
    assert service.lines == [("POST", "/v2/endpoint/you/it/pause")]


@pytest.mark.parametrize(
    "pair",
    [
        "HF_TOKEN=abc", "Hf_Token=abc", "API_KEYS=abc", "OPENAI_API_KEY=abc", "CLIENT_SECRET=abc", "SECRETS=abc",
        "DB_PASSWORD=abc", "TOKEN=abc", "HF_TOKEN=", "ANYTHING=hf_abc", "ANYTHING= hf_abc",
    ],
)  # fmt: skip
def test_secrets_are_refused_as_variables(service: Service, run: WindowResponse, pair: str) -> None:
    name = pair.partition("=")[0]
    said = f"error: {name} looks like a secret, and --env is for everyone to read: use --secret {name}\n"
    assert run(*CREATE, "--env", pair) == (2, "", said)
    assert service.seen == []


@pytest.mark.parametrize(
    ("arguments", "reason"),
    [
        ((), "the following arguments are required: ACTION"),
        (("start", "it"), "argument ACTION: invalid choice: 'start'"),
        (("create", "it"), "the following arguments are required: --repository"),
        (("update", "it"), "nothing to change: name at least one option"),
        (("delete", "it"), "a deleted endpoint cannot be had back: add --yes"),
        ((*CREATE, "--env", "ASR_MODEL"), "--env takes NAME=VALUE"),
        ((*CREATE, "--env", "=x"), "--env takes NAME=VALUE"),
        ((*CREATE, "--env", "A B=x"), "--env takes NAME=VALUE"),
        ((*CREATE, "--env", "A=1", "--env", "A=2"), "A is given twice"),
        ((*CREATE, "--env", "A=1", "--secret", "A"), "A is given as --env and as --secret"),
        ((*CREATE, "--secret", "HF_TOKEN=hf_abc"), "--secret takes a name alone"),
        ((*CREATE, "--secret", "hf_abc"), "--secret takes a name alone"),
        ((*CREATE, "--secret", "HF_TOKEN", "hf_abc"), "unrecognized arguments: hf_***"),
        ((*CREATE, "--secret", "UNSET"), "UNSET is not set in your environment, where --secret reads it"),
        ((*CREATE, "--secret", "EMPTY"), "EMPTY is not set in your environment, where --secret reads it"),
        ((*CREATE, "--token-variable", "UNSET"), "UNSET is not set"),
        ((*CREATE, "--min-replica", "many"), "argument --min-replica: invalid int value: 'many'"),
        ((*CREATE, "--min-replica", "-1"), "--min-replica is at least 0"),
        ((*CREATE, "--max-replica", "0"), "--min-replica is at least 0, --max-replica at least 1"),
        ((*CREATE, "--min-replica", "2"), "--min-replica is not more than --max-replica"),
        (("update", "it", "--min-replica", "3", "--max-replica", "2"), "--min-replica is not more than --max-replica"),
        ((*CREATE, "--scale-to-zero", "15"), "--scale-to-zero needs --min-replica 0"),
        (("update", "it", "--scale-to-zero", "0"), "--scale-to-zero is at least 1 minute"),
    ],
)  # fmt: skip
def test_mistakes_are_one_line(
    service: Service, run: WindowResponse, monkeypatch: pytest.MonkeyPatch, arguments: tuple[str, ...], reason: str
) -> None:
    monkeypatch.setenv("A", "1")
    monkeypatch.setenv("EMPTY", "")
    code, out, err = run(*arguments)
    assert (code, out) == (2, "")
    assert err.startswith(f"error: {reason}")
    assert err.count("\n") == 1
    assert "abc" not in err
    assert service.seen == []


@pytest.mark.parametrize(
    ("status", "body", "said"),
    [
        (401, {"error": "no"}, "401: the token is not valid: set HF_TOKEN, or run `hf auth login`; no"),
        (403, {}, "403: the token may not do this: it needs the right to manage Inference Endpoints"),
        (404, {}, "404: there is no endpoint of this name in this namespace"),
        (409, {}, "409: an endpoint of this name exists already: update it"),
        (400, {"error": "hf_manages\nand s3cret are wrong"}, "400: Bad Request; *** and *** are wrong"),
        (500, {}, "500: Internal Server Error"),
    ],
)
def test_a_refusal_is_one_line(
    service: Service, run: WindowResponse, monkeypatch: pytest.MonkeyPatch, status: int, body: dict[str, Any], said: str
) -> None:
    monkeypatch.setenv("API_KEYS", "s3cret")
    service.answers = [(status, body)]
    code, out, err = run(*CREATE, "--secret", "API_KEYS")
    assert (code, out) == (1, "")
    assert err == f"error: {said}\n"


def test_nobody_answers(service: Service, run: WindowResponse, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(constants, "INFERENCE_ENDPOINTS_ENDPOINT", "http://127.0.0.1:1/v2")
    code, out, err = run("status", "it", "--namespace", "you")
    assert (code, out, err.count("\n")) == (1, "", 1)
    assert err.startswith("error: ")


@pytest.mark.parametrize("how", [(str(ROOT / "deploy" / "endpoint.py"),), ("-m", "deploy.endpoint")])
def test_it_runs_as_a_script_and_as_a_module(service: Service, tmp_path: Path, how: tuple[str, ...]) -> None:
    # In a home of its own the library would ask the Hub for something first: that must not leave either.
    environment = {**os.environ, "HF_ENDPOINT": service.url, "HF_HOME": str(tmp_path)}

    def ran(*arguments: str) -> subprocess.CompletedProcess[str]:
        command = [sys.executable, *how, *arguments]
        return subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, check=False)

    wished = ran(*CREATE, "--secret", "HF_TOKEN", "--dry-run")
    assert wished.returncode == 0
    assert json.loads(wished.stdout)["model"]["secrets"] == {"HF_TOKEN": "***"}
    assert wished.stderr == "POST https://api.endpoints.huggingface.cloud/v2/endpoint/you\n"
    wrong = ran("create", "it", "--repository", "you/this", "--env", "HF_TOKEN=hf_abc")
    assert (wrong.returncode, wrong.stdout, wrong.stderr.count("\n")) == (2, "", 1)
    assert "hf_abc" not in wrong.stderr
    assert "examples:" in ran("--help").stdout
    assert service.seen == []
