"""POST / and /predict: what huggingface_hub's clients and curl send."""

import asyncio
import base64
from typing import Any

import httpx
import pytest
from huggingface_hub import AsyncInferenceClient, InferenceClient

from tests.conftest import SAMPLES
from tests.serving import Running

SHORT = SAMPLES["short"].path


def told(server: Running, **parameters: Any) -> dict[str, Any]:
    """What the handler says to the same file."""
    inputs = base64.b64encode(SHORT.read_bytes()).decode()
    answer: dict[str, Any] = server.service.endpoint({"inputs": inputs, "parameters": parameters})
    return answer


@pytest.mark.parametrize("path", ["/", "/predict"])
@pytest.mark.parametrize("parameters", [{}, {"timestamps": "word"}, {"response_format": "srt", "language": "en"}])
def test_json_gets_the_handlers_answer(server: Running, path: str, parameters: dict[str, Any]) -> None:
    inputs = base64.b64encode(SHORT.read_bytes()).decode()
    answer = httpx.post(server.url + path, json={"inputs": inputs, "parameters": parameters}, timeout=60)
    assert (answer.status_code, answer.json()) == (200, told(server, **parameters))


@pytest.mark.parametrize("kind", ["audio/wav", "audio/anything", "application/octet-stream", "text/plain", None])
def test_bytes_of_any_content_type_or_none_are_audio(server: Running, kind: str | None) -> None:
    headers = {"content-type": kind} if kind else {}
    answer = httpx.post(server.url, content=SHORT.read_bytes(), headers=headers, timeout=60)
    assert (answer.status_code, answer.json()) == (200, told(server))


def test_a_query_brings_parameters(server: Running) -> None:
    answer = httpx.post(
        f"{server.url}/predict?timestamps=word&chunk_length_s=12.5&assisted=false",
        content=SHORT.read_bytes(),
        timeout=60,
    )
    assert answer.json() == told(server, timestamps="word", chunk_length_s=12.5, assisted=False)


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
def test_what_cannot_be_read_is_refused_as_the_container_does(server: Running, body: bytes, message: str) -> None:
    answer = httpx.post(server.url, content=body, headers={"content-type": "application/json"})
    assert (answer.status_code, answer.json()) == (400, {"error": message})


# The clients give their httpx bytes as data=, which it calls deprecated.
@pytest.mark.filterwarnings("ignore:Use 'content=:DeprecationWarning")
class TestClients:
    """huggingface_hub's own."""

    def test_a_file(self, server: Running) -> None:
        answer = InferenceClient().automatic_speech_recognition(str(SHORT), model=server.url)
        assert answer.text == told(server)["text"]

    def test_bytes_which_come_without_a_content_type(self, server: Running) -> None:
        answer = InferenceClient().automatic_speech_recognition(SHORT.read_bytes(), model=server.url)
        assert (answer.text, len(answer.chunks or ())) == (told(server)["text"], 2)

    def test_parameters(self, server: Running) -> None:
        answer = InferenceClient().automatic_speech_recognition(
            str(SHORT), model=server.url, extra_body={"timestamps": "word"}
        )
        assert [chunk.text for chunk in answer.chunks or ()] == [
            chunk["text"] for chunk in told(server, timestamps="word")["chunks"]
        ]

    def test_several_at_once(self, server: Running) -> None:
        async def ask() -> list[str]:
            async with AsyncInferenceClient() as client:
                asked = [client.automatic_speech_recognition(SHORT.read_bytes(), model=server.url) for _ in range(4)]
                return [answer.text for answer in await asyncio.gather(*asked)]

        assert asyncio.run(ask()) == [told(server)["text"]] * 4
