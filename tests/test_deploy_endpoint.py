"""The requests of deploy/endpoint.py, sent to a fake hub."""

import json
import os
import subprocess
import sys
import time
from pathlib import Path

import pytest
from huggingface_hub import constants

from tests import fake_hub
from tests.conftest import ROOT
from tests.fake_hub import CREATE, TOKEN, FakeHub, Run, endpoint_in_state

hub, run = fake_hub.hub, fake_hub.run  # fixtures

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


def test_create_sends_only_the_defaults_for_the_default_container(hub: FakeHub, run: Run) -> None:
    code, out, err = run(*CREATE, "--env", "ASR_MODEL=openai/whisper-large-v3-turbo", "--env", "LANGUAGE_FORCE=")
    assert (code, out, err) == (0, "transcribe: pending\n", "")
    assert hub.request_lines == [("POST", "/v2/endpoint/you")]
    model = {**BODY["model"], "env": {"ASR_MODEL": "openai/whisper-large-v3-turbo", "LANGUAGE_FORCE": ""}}  # type: ignore[dict-item]
    assert json.loads(hub.requests[0].body) == {**BODY, "model": model}


def test_create_sends_every_option(hub: FakeHub, run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
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
    assert hub.request_lines == [("POST", "/v2/endpoint/us")]
    assert hub.requests[0].headers["authorization"] == f"Bearer {TOKEN}"
    assert json.loads(hub.requests[0].body) == {
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


def test_update_sends_only_the_given_options(hub: FakeHub, run: Run) -> None:
    assert run("update", "transcribe", "--namespace", "you", "--min-replica", "2")[0] == 0
    more = ("--env", "A=1", "--image", "i", "--instance-size", "x4")
    assert run("update", "transcribe", "--namespace", "you", *more)[0] == 0
    assert hub.request_lines == [("PUT", "/v2/endpoint/you/transcribe")] * 2
    assert [json.loads(request.body) for request in hub.requests] == [
        {"compute": {"scaling": {"minReplica": 2}}},
        {
            "compute": {"instanceSize": "x4"},
            "model": {"image": {"custom": {"url": "i", "port": 8000, "healthRoute": "/health"}}, "env": {"A": "1"}},
        },
    ]


@pytest.mark.parametrize(
    ("arguments", "request_line", "state"),
    [
        (("pause", "transcribe"), ("POST", "/v2/endpoint/you/transcribe/pause"), "pending"),
        (("resume", "transcribe"), ("POST", "/v2/endpoint/you/transcribe/resume"), "pending"),
        (("status", "transcribe"), ("GET", "/v2/endpoint/you/transcribe"), "pending"),
        (("delete", "transcribe", "--yes"), ("DELETE", "/v2/endpoint/you/transcribe"), "deleted"),
    ],
)
def test_action_without_a_body_sends_one_request(
    hub: FakeHub, run: Run, arguments: tuple[str, ...], request_line: tuple[str, str], state: str
) -> None:
    assert run(*arguments, "--namespace", "you") == (0, f"transcribe: {state}\n", "")
    assert hub.request_lines == [request_line]
    assert hub.requests[0].body == b""


def test_namespace_defaults_to_the_owner_of_the_token(hub: FakeHub, run: Run) -> None:
    assert run("status", "transcribe")[0] == 0
    assert hub.request_lines == [("GET", "/api/whoami-v2"), ("GET", "/v2/endpoint/token-owner/transcribe")]


def test_token_is_sent_only_in_the_authorization_header(hub: FakeHub, run: Run) -> None:
    for arguments in (
        ("create", "transcribe", "--repository", "you/this", "--env", "A=1"), ("update", "transcribe", "--env", "A=1"),
        ("pause", "transcribe"), ("resume", "transcribe"), ("status", "transcribe"), ("delete", "transcribe", "--yes"),
    ):  # fmt: skip
        code, out, err = run(*arguments)
        assert (code, TOKEN in out + err) == (0, False)
    for request in hub.requests:
        assert request.headers.pop("authorization") == f"Bearer {TOKEN}"
        assert TOKEN not in repr(request)


def test_resume_of_a_running_endpoint_succeeds(hub: FakeHub, run: Run) -> None:
    hub.responses = [(400, {"error": "it is already running"}), (200, endpoint_in_state("running", "https://it.is"))]
    assert run("resume", "transcribe", "--namespace", "you") == (0, "transcribe: running https://it.is\n", "")


def test_wait_returns_when_the_endpoint_is_healthy(hub: FakeHub, run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    slept: list[float] = []
    monkeypatch.setattr(time, "sleep", slept.append)
    hub.responses = [
        (200, endpoint_in_state("pending")),
        (200, endpoint_in_state("initializing")),
        (200, endpoint_in_state("running", hub.url)),
    ]
    code, out, err = run(*CREATE, "--wait")
    assert (code, out) == (0, f"transcribe: running {hub.url}\n")
    assert err == "transcribe: pending, waiting until it is ready\n"
    assert hub.request_lines == [
        ("POST", "/v2/endpoint/you"), *[("GET", "/v2/endpoint/you/transcribe")] * 2, ("GET", "/health"),
    ]  # fmt: skip
    assert len(slept) == 2


@pytest.mark.parametrize(
    ("last", "seconds", "reason"),
    [("failed", "60", "failed to deploy"), ("updateFailed", "60", "failed to update"), ("pending", "0", "Timeout")],
)
def test_wait_fails_when_the_endpoint_fails_or_time_is_up(
    hub: FakeHub, run: Run, monkeypatch: pytest.MonkeyPatch, last: str, seconds: str, reason: str
) -> None:
    monkeypatch.setattr(time, "sleep", lambda _: None)
    hub.responses = [(200, endpoint_in_state("pending")), *[(200, endpoint_in_state(last))] * 100]
    code, out, err = run(*CREATE, "--wait", "--timeout", seconds)
    assert (code, out) == (1, "")
    assert reason in err.splitlines()[-1]


def test_dry_run_prints_the_request_with_masked_secrets_and_sends_nothing(
    hub: FakeHub, run: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("API_KEYS", "open-sesame")
    code, out, err = run(*CREATE, "--secret", "HF_TOKEN", "--secret", "API_KEYS", "--dry-run")
    assert code == 0
    model = {**BODY["model"], "secrets": {"HF_TOKEN": "***", "API_KEYS": "***"}}  # type: ignore[dict-item]
    assert json.loads(out) == {**BODY, "model": model}
    assert err == f"POST {hub.url}/v2/endpoint/you\n"
    assert TOKEN not in out + err
    assert "open-sesame" not in out + err
    assert hub.requests == []


def test_dry_run_needs_neither_token_nor_namespace(hub: FakeHub, run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("HF_TOKEN")
    monkeypatch.setattr(constants, "HF_TOKEN_PATH", "/nowhere")
    assert run("pause", "it", "--dry-run") == (0, "", f"POST {hub.url}/v2/endpoint/your-name/it/pause\n")
    assert run("delete", "it", "--dry-run") == (0, "", f"DELETE {hub.url}/v2/endpoint/your-name/it\n")
    code, out, _ = run("update", "it", "--revision", "abc", "--dry-run")
    assert (code, json.loads(out)) == (0, {"model": {"revision": "abc"}})
    assert hub.requests == []
    assert run("status", "it") == (2, "", "error: no token: set HF_TOKEN, or run `hf auth login`\n")


def test_requests_are_sent_again_after_a_dry_run(hub: FakeHub, run: Run) -> None:
    assert run("pause", "it", "--namespace", "you", "--dry-run")[0] == 0
    assert run("pause", "it", "--namespace", "you")[0] == 0
    assert hub.request_lines == [("POST", "/v2/endpoint/you/it/pause")]


@pytest.mark.parametrize("how", [(str(ROOT / "deploy" / "endpoint.py"),), ("-m", "deploy.endpoint")])
def test_command_runs_as_a_script_and_as_a_module(hub: FakeHub, tmp_path: Path, how: tuple[str, ...]) -> None:
    # With an empty HF_HOME the library would send a request of its own first; it must not be sent either.
    environment = {**os.environ, "HF_ENDPOINT": hub.url, "HF_HOME": str(tmp_path)}

    def run_command(*arguments: str) -> subprocess.CompletedProcess[str]:
        command = [sys.executable, *how, *arguments]
        return subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, check=False)

    dry_run = run_command(*CREATE, "--secret", "HF_TOKEN", "--dry-run")
    assert dry_run.returncode == 0
    assert json.loads(dry_run.stdout)["model"]["secrets"] == {"HF_TOKEN": "***"}
    assert dry_run.stderr == "POST https://api.endpoints.huggingface.cloud/v2/endpoint/you\n"
    wrong = run_command("create", "it", "--repository", "you/this", "--env", "HF_TOKEN=hf_abc")
    assert (wrong.returncode, wrong.stdout, wrong.stderr.count("\n")) == (2, "", 1)
    assert "hf_abc" not in wrong.stderr
    assert "examples:" in run_command("--help").stdout
    assert hub.requests == []
