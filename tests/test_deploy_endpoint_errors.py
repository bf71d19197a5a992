"""The error messages and exit codes of deploy/endpoint.py."""

from typing import Any

import pytest
from huggingface_hub import constants

from tests import fake_hub
from tests.fake_hub import CREATE, FakeHub, Run

hub, run = fake_hub.hub, fake_hub.run  # fixtures


@pytest.mark.parametrize(
    "pair",
    [
        "HF_TOKEN=abc", "Hf_Token=abc", "API_KEYS=abc", "OPENAI_API_KEY=abc", "CLIENT_SECRET=abc", "SECRETS=abc",
        "DB_PASSWORD=abc", "TOKEN=abc", "HF_TOKEN=", "ANYTHING=hf_abc", "ANYTHING= hf_abc",
    ],
)  # fmt: skip
def test_env_rejects_secrets_without_printing_them(hub: FakeHub, run: Run, pair: str) -> None:
    name = pair.partition("=")[0]
    message = f"error: {name} looks like a secret, and --env does not hide values: use --secret {name}\n"
    assert run(*CREATE, "--env", pair) == (2, "", message)
    assert hub.requests == []


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ((), "the following arguments are required: ACTION"),
        (("start", "it"), "argument ACTION: invalid choice: 'start'"),
        (("create", "it"), "the following arguments are required: --repository"),
        (("update", "it"), "nothing to update: give at least one option"),
        (("delete", "it"), "a deleted endpoint cannot be restored: confirm with --yes"),
        ((*CREATE, "--env", "ASR_MODEL"), "--env must be NAME=VALUE"),
        ((*CREATE, "--env", "=x"), "--env must be NAME=VALUE"),
        ((*CREATE, "--env", "A B=x"), "--env must be NAME=VALUE"),
        ((*CREATE, "--env", "A=1", "--env", "A=2"), "A is given twice"),
        ((*CREATE, "--env", "A=1", "--secret", "A"), "A is given both as --env and as --secret"),
        ((*CREATE, "--secret", "HF_TOKEN=hf_abc"), "--secret must be a name without a value"),
        ((*CREATE, "--secret", "hf_abc"), "--secret must be a name without a value"),
        ((*CREATE, "--secret", "HF_TOKEN", "hf_abc"), "unrecognized arguments: hf_***"),
        ((*CREATE, "--secret", "UNSET"), "UNSET is not set in your environment, and --secret reads its value there"),
        ((*CREATE, "--secret", "EMPTY"), "EMPTY is not set in your environment, and --secret reads its value there"),
        ((*CREATE, "--token-variable", "UNSET"), "UNSET is not set"),
        ((*CREATE, "--min-replica", "many"), "argument --min-replica: invalid int value: 'many'"),
        ((*CREATE, "--min-replica", "-1"), "--min-replica must be at least 0"),
        ((*CREATE, "--max-replica", "0"), "--min-replica must be at least 0, and --max-replica at least 1"),
        ((*CREATE, "--min-replica", "2"), "--min-replica must not exceed --max-replica"),
        (("update", "it", "--min-replica", "3", "--max-replica", "2"), "--min-replica must not exceed --max-replica"),
        ((*CREATE, "--scale-to-zero", "15"), "--scale-to-zero requires --min-replica 0"),
        (("update", "it", "--scale-to-zero", "0"), "--scale-to-zero must be at least 1 minute"),
    ],
)  # fmt: skip
def test_wrong_usage_exits_with_2_and_one_line(
    hub: FakeHub, run: Run, monkeypatch: pytest.MonkeyPatch, arguments: tuple[str, ...], message: str
) -> None:
    monkeypatch.setenv("A", "1")
    monkeypatch.setenv("EMPTY", "")
    code, out, err = run(*arguments)
    assert (code, out) == (2, "")
    assert err.startswith(f"error: {message}")
    assert err.count("\n") == 1
    assert "abc" not in err
    assert hub.requests == []


@pytest.mark.parametrize(
    ("status", "body", "message"),
    [
        (401, {"error": "no"}, "401: the token is not valid: set HF_TOKEN, or run `hf auth login`; no"),
        (403, {}, "403: the token has no permission to manage Inference Endpoints"),
        (404, {}, "404: this namespace has no endpoint of this name"),
        (409, {}, "409: an endpoint of this name already exists: use update"),
        (400, {"error": "hf_manages\nand s3cret are wrong"}, "400: Bad Request; *** and *** are wrong"),
        (500, {}, "500: Internal Server Error"),
    ],
)
def test_refusal_by_the_service_exits_with_1_and_one_line(
    hub: FakeHub, run: Run, monkeypatch: pytest.MonkeyPatch, status: int, body: dict[str, Any], message: str
) -> None:
    monkeypatch.setenv("API_KEYS", "s3cret")
    hub.responses = [(status, body)]
    code, out, err = run(*CREATE, "--secret", "API_KEYS")
    assert (code, out) == (1, "")
    assert err == f"error: {message}\n"


def test_unreachable_service_exits_with_1_and_one_line(hub: FakeHub, run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(constants, "INFERENCE_ENDPOINTS_ENDPOINT", "http://127.0.0.1:1/v2")
    code, out, err = run("status", "it", "--namespace", "you")
    assert (code, out, err.count("\n")) == (1, "", 1)
    assert err.startswith("error: ")
