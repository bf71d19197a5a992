"""The OpenAPI document is true: what it allows never breaks the server, and answers are as it says."""

from typing import Any

import httpx
import pytest
import schemathesis
from hypothesis import given, settings
from schemathesis import Case
from schemathesis.checks import not_a_server_error
from schemathesis.specs.openapi.checks import (
    content_type_conformance,
    response_schema_conformance,
    status_code_conformance,
)

from tests.conftest import SAMPLES
from tests.serving import Running
from transcription.server.app import create_app
from transcription.server.parameters import SAID_OTHERWISE, AudioRequest
from transcription.server.settings import ServerSettings
from transcription.transcriber import Transcriber

CHECKS = [not_a_server_error, status_code_conformance, content_type_conformance, response_schema_conformance]


def unused() -> Transcriber:
    raise AssertionError


SCHEMA = schemathesis.openapi.from_dict(create_app(ServerSettings(), unused).openapi())
AUDIO = SCHEMA.include(path_regex="^/v1/audio/")


@given(case=SCHEMA.as_strategy())
@settings(max_examples=100)
def test_whatever_is_sent_the_answer_is_as_documented(server: Running, case: Case[Any]) -> None:
    case.call_and_validate(base_url=server.url, checks=CHECKS)


@given(case=AUDIO.as_strategy())
@settings(max_examples=30)
def test_with_a_recording_whatever_else_is_sent_the_answer_is_as_documented(server: Running, case: Case[Any]) -> None:
    body: Any = case.body
    if isinstance(body, dict):
        body["file"] = SAMPLES["short"].path.read_bytes()
    case.call_and_validate(base_url=server.url, checks=CHECKS)


def test_every_parameter_is_documented(server: Running) -> None:
    document = httpx.get(f"{server.url}/openapi.json").json()
    body = document["paths"]["/v1/audio/transcriptions"]["post"]["requestBody"]
    form = body["content"]["multipart/form-data"]["schema"]
    assert set(form["properties"]) == {"file", *AudioRequest.model_fields} - set(SAID_OTHERWISE)


@pytest.mark.parametrize("path", ["/predict", "/v1/chat/completions"])
def test_the_examples_work(server: Running, path: str) -> None:
    document = httpx.get(f"{server.url}/openapi.json").json()
    example = document["paths"][path]["post"]["requestBody"]["content"]["application/json"]["example"]
    answer = httpx.post(server.url + path, json=example)
    assert answer.status_code == 200
    assert '""' in answer.text  # a tenth of a second of silence


def test_the_page_to_try_it_is_there(server: Running) -> None:
    answer = httpx.get(f"{server.url}/docs")
    assert (answer.status_code, "swagger" in answer.text.lower()) == (200, True)
