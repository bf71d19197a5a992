"""POST / and /predict, as the clients of huggingface_hub and curl call them."""

import asyncio
import base64
import json
from typing import Any

import httpx
import pytest
from huggingface_hub import AsyncInferenceClient, InferenceClient

from tests.conftest import SAMPLES
from tests.serving import Running

SHORT = SAMPLES["short"].path


ANSWERS: dict[str, dict[str, Any]] = {}


def expected(server: Running, **parameters: Any) -> dict[str, Any]:
    """Return the answer of the handler to the same file. Equal requests are transcribed once."""
    request = json.dumps(parameters)
    if request not in ANSWERS:
        inputs = base64.b64encode(SHORT.read_bytes()).decode()
        ANSWERS[request] = server.service.endpoint({"inputs": inputs, "parameters": parameters})
    return ANSWERS[request]


@pytest.mark.parametrize("path", ["/", "/predict"])
@pytest.mark.parametrize("parameters", [{}, {"timestamps": "word"}, {"response_format": "srt", "language": "en"}])
def test_json_body_gets_the_answer_of_the_handler(server: Running, path: str, parameters: dict[str, Any]) -> None:
    inputs = base64.b64encode(SHORT.read_bytes()).decode()
    answer = httpx.post(server.url + path, json={"inputs": inputs, "parameters": parameters}, timeout=60)
    assert (answer.status_code, answer.json()) == (200, expected(server, **parameters))


@pytest.mark.parametrize("kind", ["audio/wav", "audio/anything", "application/octet-stream", "text/plain", None])
def test_body_of_any_other_content_type_is_audio(server: Running, kind: str | None) -> None:
    headers = {"content-type": kind} if kind else {}
    answer = httpx.post(server.url, content=SHORT.read_bytes(), headers=headers, timeout=60)
    assert (answer.status_code, answer.json()) == (200, expected(server))


@pytest.mark.parametrize("path", ["/", "/predict"])
@pytest.mark.parametrize("kind", ["text/plain", "application/octet-stream", "application/x-www-form-urlencoded", None])
def test_body_that_begins_with_a_brace_is_json(server: Running, path: str, kind: str | None) -> None:
    """huggingface_hub 0.30 sends JSON without a content type."""
    body = json.dumps({"inputs": base64.b64encode(SHORT.read_bytes()).decode(), "parameters": {"timestamps": "word"}})
    headers = {"content-type": kind} if kind else {}
    answer = httpx.post(server.url + path, content=f" {body}".encode(), headers=headers, timeout=60)
    assert answer.json() == expected(server, timestamps="word")


def test_json_body_and_query_string_both_have_parameters(server: Running) -> None:
    body = {"inputs": base64.b64encode(SHORT.read_bytes()).decode(), "parameters": {"language": "en"}}
    answer = httpx.post(f"{server.url}/?timestamps=word&language=de&beams=2", json=body, timeout=60)
    assert answer.json() == expected(server, timestamps="word", language="en", beams=2)


def test_query_string_has_parameters(server: Running) -> None:
    answer = httpx.post(
        f"{server.url}/predict?timestamps=word&chunk_length_s=12.5&assisted=false",
        content=SHORT.read_bytes(),
        timeout=60,
    )
    assert answer.json() == expected(server, timestamps="word", chunk_length_s=12.5, assisted=False)


@pytest.mark.parametrize(
    ("body", "message"),
    [
        (b"", "the body is not JSON"),
        (b"[]", "the body is not a JSON object"),
        (b"[" * 100_000, "the body is not JSON"),
        (b"{}", "inputs is missing: send an audio file or its base64 text"),
        (b'{"inputs": "!"}', "inputs is neither an audio file nor base64 text"),
        (b'{"inputs": "", "parameters": 5}', 'parameters must be an object, e.g. {"language": "en"}'),
    ],
)
def test_unreadable_body_is_refused_in_the_shape_of_the_container(server: Running, body: bytes, message: str) -> None:
    answer = httpx.post(server.url, content=body, headers={"content-type": "application/json"})
    assert (answer.status_code, answer.json()) == (400, {"error": message})


# The clients pass bytes to httpx as data=, which is deprecated.
@pytest.mark.filterwarnings("ignore:Use 'content=:DeprecationWarning")
class TestClients:
    """The clients of huggingface_hub."""

    def test_file(self, server: Running) -> None:
        answer = InferenceClient().automatic_speech_recognition(str(SHORT), model=server.url)
        assert answer.text == expected(server)["text"]

    def test_bytes_without_a_content_type(self, server: Running) -> None:
        answer = InferenceClient().automatic_speech_recognition(SHORT.read_bytes(), model=server.url)
        assert (answer.text, len(answer.chunks or ())) == (expected(server)["text"], 2)

    def test_parameters(self, server: Running) -> None:
        answer = InferenceClient().automatic_speech_recognition(
            str(SHORT), model=server.url, extra_body={"timestamps": "word"}
        )
        assert [chunk.text for chunk in answer.chunks or ()] == [
            chunk["text"] for chunk in expected(server, timestamps="word")["chunks"]
        ]

    def test_concurrent_requests(self, server: Running) -> None:
        async def ask() -> list[str]:
            async with AsyncInferenceClient() as client:
                requests = [client.automatic_speech_recognition(SHORT.read_bytes(), model=server.url) for _ in range(4)]
                return [answer.text for answer in await asyncio.gather(*requests)]

        assert asyncio.run(ask()) == [expected(server)["text"]] * 4
