"""The repository as the default container of Inference Endpoints loads and calls it.

The loader and the server below do what huggingface-inference-toolkit 0.5.6 does: they import the handler by its path,
read a request by its content type, and answer every exception with status 400.
"""

import importlib.util
import json
import os
import subprocess
import sys
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qsl, urlsplit

import httpx
import pytest
from huggingface_hub import AsyncInferenceClient, InferenceClient

from tests.clients import answer_in_json
from tests.conftest import DEMO, ROOT, SAMPLES
from transcription.endpoint import EndpointHandler

AUDIO_TYPES = {
    f"audio/{kind}"
    for kind in (
        "wav", "wave", "x-wav", "flac", "x-flac", "mpeg", "x-mpeg-3", "ogg", "x-audio", "webm", "AMR", "m4a", "x-m4a",
    )
}  # fmt: skip
SHORT = SAMPLES["short"].path


def cast(value: str) -> Any:
    """Return a value of a query as the toolkit reads it: whole numbers and booleans only."""
    if value.lower() in ("true", "false"):
        return value.lower() == "true"
    return int(value) if value.isdigit() else value


@pytest.fixture(scope="module")
def endpoint(handler: EndpointHandler) -> Iterator[str]:
    """Run a server with the protocol of the toolkit and our handler, and yield its URL."""

    class ToolkitHandler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["Content-Length"]))
            kind = self.headers.get("Content-Type", "").split(";")[0]
            try:
                answer, status = handler(self.received(kind, body)), 200
            except Exception as error:
                answer, status = {"error": str(error)}, 400
            answer_in_json(self, status, answer)

        def received(self, kind: str, body: bytes) -> dict[str, Any]:
            if kind == "application/json":
                data: dict[str, Any] = json.loads(body)
                return data
            if kind not in AUDIO_TYPES:
                raise ValueError(f'Content type "{kind}" not supported.')
            query = dict(parse_qsl(urlsplit(self.path).query))
            parameters = {"parameters": {name: cast(value) for name, value in query.items()}} if query else {}
            return {"inputs": body, **parameters}

        def log_message(self, *_: object) -> None: ...

    server = ThreadingHTTPServer(("127.0.0.1", 0), ToolkitHandler)
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    yield f"http://127.0.0.1:{server.server_address[1]}"
    server.shutdown()
    server.server_close()
    thread.join()


@pytest.fixture(scope="module")
def loaded() -> list[str]:
    """Return the text from a handler in another process and folder, and whether pyannote was imported there.

    The process imports by path after sys.path.insert(0, folder).
    """
    code = f"""
import importlib.util, sys
sys.path.insert(0, {str(ROOT)!r})
spec = importlib.util.spec_from_file_location("handler", {str(ROOT / "handler.py")!r})
module = importlib.util.module_from_spec(spec)
sys.modules["handler"] = module
spec.loader.exec_module(module)
print(module.EndpointHandler({str(DEMO)!r})({{"inputs": open({str(SHORT)!r}, "rb").read()}})["text"])
print(any(name.startswith("pyannote") for name in sys.modules))
"""
    environment = {**os.environ, "PYTHONWARNINGS": "default"}
    done = subprocess.run(
        [sys.executable, "-c", code], cwd="/", env=environment, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    return done.stdout.splitlines()


def test_the_toolkits_loader_gets_a_working_handler(loaded: list[str]) -> None:
    assert loaded[0].strip()


def test_pyannote_is_imported_only_for_diarization(loaded: list[str]) -> None:
    assert loaded[-1] == "False"


def test_inference_client_sends_a_file(endpoint: str, handler: EndpointHandler) -> None:
    answer = InferenceClient().automatic_speech_recognition(SHORT, model=endpoint)
    expected = handler({"inputs": SHORT.read_bytes()})
    assert answer.text == expected["text"]
    assert answer.chunks is not None
    assert [(chunk.text, list(chunk.timestamp)) for chunk in answer.chunks] == [
        (chunk["text"], chunk["timestamp"]) for chunk in expected["chunks"]
    ]


def test_inference_client_sends_parameters(endpoint: str) -> None:
    answer = InferenceClient().automatic_speech_recognition(
        SHORT, model=endpoint, extra_body={"timestamps": "word", "language": "en", "assisted": True}
    )
    assert answer.chunks is not None
    assert len(answer.chunks) == len(answer.text.split())
    assert answer["speakers"] == []


async def ask(endpoint: str) -> str:
    async with AsyncInferenceClient() as client:
        answer = await client.automatic_speech_recognition(SHORT, model=endpoint, extra_body={"language": "en"})
    return str(answer.text)


@pytest.mark.filterwarnings("ignore:Use 'content:DeprecationWarning")  # of the client
def test_async_inference_client_sends_a_file(endpoint: str, handler: EndpointHandler) -> None:
    import asyncio

    assert asyncio.run(ask(endpoint)) == handler({"inputs": SHORT.read_bytes()})["text"]


def test_query_string_has_parameters(endpoint: str) -> None:
    answer = httpx.post(
        f"{endpoint}/?timestamps=word&chunk_length_s=12.5&assisted=true", content=SHORT.read_bytes(),
        headers={"Content-Type": "audio/wav"}, timeout=60,
    ).json()  # fmt: skip
    assert len(answer["chunks"]) == len(answer["text"].split())


def test_errors_are_messages_for_the_caller(endpoint: str) -> None:
    answer = httpx.post(endpoint, json={"inputs": "?", "parameters": {}}, timeout=60)
    assert (answer.status_code, answer.json()) == (
        400, {"error": "inputs is neither an audio file nor base64 text"},
    )  # fmt: skip


def test_importlib_finds_the_handler_without_its_folder_on_the_path() -> None:
    assert importlib.util.spec_from_file_location("handler", ROOT / "handler.py") is not None
