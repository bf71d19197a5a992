"""The OpenAPI document: requests that it allows never break the server, and responses are as it says."""

from typing import Any

import httpx
import pytest
import schemathesis
from hypothesis import given, settings
from pydantic import TypeAdapter
from schemathesis import Case
from schemathesis.checks import not_a_server_error
from schemathesis.specs.openapi.checks import (
    content_type_conformance,
    response_schema_conformance,
    status_code_conformance,
)

from tests.conftest import SAMPLES
from tests.serving import Running
from transcription import __version__
from transcription.config import InferenceConfig
from transcription.formats import FORMATS, formats_of
from transcription.server.app import create_app
from transcription.server.parameters import AlignmentRequest, TranscriptionRequest
from transcription.server.settings import ServerSettings
from transcription.transcriber import Transcriber

CHECKS = [not_a_server_error, status_code_conformance, content_type_conformance, response_schema_conformance]


def unused() -> Transcriber:
    raise AssertionError


SCHEMA = schemathesis.openapi.from_dict(create_app(ServerSettings(), unused).openapi())
AUDIO = SCHEMA.include(path_regex="^/v1/audio/")


@given(case=SCHEMA.as_strategy())
@settings(max_examples=60)
def test_response_to_any_request_is_as_documented(server: Running, case: Case[Any]) -> None:
    case.call_and_validate(base_url=server.url, checks=CHECKS)


@given(case=AUDIO.as_strategy())
@settings(max_examples=15)
def test_response_to_any_request_with_a_recording_is_as_documented(server: Running, case: Case[Any]) -> None:
    body: Any = case.body
    if isinstance(body, dict):
        body["file"] = SAMPLES["short"].path.read_bytes()
    case.call_and_validate(base_url=server.url, checks=CHECKS)


@pytest.mark.parametrize(
    ("route", "kind", "required"),
    [("transcriptions", TranscriptionRequest, ["file"]), ("alignments", AlignmentRequest, ["file", "text"])],
)
def test_every_parameter_is_documented(
    server: Running, route: str, kind: type[TranscriptionRequest], required: list[str]
) -> None:
    document = httpx.get(f"{server.url}/openapi.json").json()
    body = document["paths"][f"/v1/audio/{route}"]["post"]["requestBody"]
    form = body["content"]["multipart/form-data"]["schema"]
    assert set(form["properties"]) == {
        "file", *kind.model_fields, *InferenceConfig.model_fields
    } - set(kind.unsupported)  # fmt: skip
    assert form["required"] == required
    assert form["properties"]["response_format"]["enum"] == list(formats_of("openai"))


@pytest.mark.parametrize("name", formats_of("openai"))
def test_every_format_is_documented_with_its_type(server: Running, name: str) -> None:
    document = httpx.get(f"{server.url}/openapi.json").json()
    content = document["paths"]["/v1/audio/transcriptions"]["post"]["responses"]["200"]["content"]
    row = FORMATS[name]
    if row.document is str:
        assert content[row.media_type] == {"schema": {"type": "string"}}
        return
    kinds = [kind["$ref"].rsplit("/", 1)[1] for kind in content[row.media_type]["schema"]["anyOf"]]
    assert row.document.__name__ in kinds


@pytest.mark.parametrize("name", [name for name, row in formats_of("openai").items() if row.document is not str])
def test_document_of_the_server_has_its_type(server: Running, name: str) -> None:
    granularities = ["word", "segment"] if FORMATS[name].shows_words else []
    answer = httpx.post(
        f"{server.url}/v1/audio/transcriptions", files={"file": SAMPLES["short"].path.read_bytes()},
        data={"response_format": name, "timestamp_granularities[]": granularities}, timeout=60,
    ).json()  # fmt: skip
    assert TypeAdapter(FORMATS[name].document).validate_python(answer, strict=True) == answer


@pytest.mark.parametrize("path", ["/predict", "/v1/chat/completions"])
def test_examples_of_the_document_work(server: Running, path: str) -> None:
    document = httpx.get(f"{server.url}/openapi.json").json()
    example = document["paths"][path]["post"]["requestBody"]["content"]["application/json"]["example"]
    answer = httpx.post(server.url + path, json=example)
    assert answer.status_code == 200
    assert '""' in answer.text  # a tenth of a second of silence


def test_docs_page_is_served(server: Running) -> None:
    answer = httpx.get(f"{server.url}/docs")
    assert (answer.status_code, "swagger" in answer.text.lower()) == (200, True)


def test_the_document_has_the_version_of_the_package() -> None:
    assert create_app(ServerSettings(), unused).openapi()["info"]["version"] == __version__
