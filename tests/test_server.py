"""The server as a whole: who gets in, what is said to those who don't, and what is told of it."""

import json
import logging
import threading
from collections.abc import Iterator
from typing import Any

import httpx
import pytest

from tests.conftest import DEMO, SAMPLES
from tests.serving import Running, serving, until
from transcription.config import ModelSettings
from transcription.errors import InvalidSettings
from transcription.server.app import create_app
from transcription.server.request_log import JsonFormatter
from transcription.server.settings import ServerSettings
from transcription.transcriber import Transcriber

SHORT = SAMPLES["short"].path
AUDIO = "/v1/audio/transcriptions"


def post(url: str, path: str = AUDIO, data: bytes | None = None, **options: Any) -> httpx.Response:
    """A recording, as curl -F file=@… sends it."""
    file = SHORT.read_bytes() if data is None else data
    return httpx.post(url + path, files={"file": ("a.wav", file)}, timeout=60, **options)


def metrics(server: Running) -> dict[str, float]:
    lines = httpx.get(f"{server.url}/metrics").text.splitlines()
    return {name: float(value) for name, value in (line.rsplit(" ", 1) for line in lines if not line.startswith("#"))}


class TestHealth:
    """Loading, working, ending: each is told apart."""

    def test_a_server_that_works_is_well(self, server: Running) -> None:
        for path in ("/health", "/ready", "/"):
            answer = httpx.get(server.url + path)
            assert (answer.status_code, answer.json()) == (200, {"status": "ok"})
        assert httpx.get(f"{server.url}/ping").status_code == 200

    def test_while_it_loads_it_answers_and_says_so(self, transcriber: Transcriber) -> None:
        go_on = threading.Event()

        def load() -> Transcriber:
            go_on.wait(60)
            return transcriber

        running = Running(create_app(ServerSettings(), load))
        with running.running(wait=False):
            until(lambda: running.server.started)
            answers = [httpx.get(running.url + path) for path in ("/health", "/ready", "/ping", "/v1/models")]
            asked = post(running.url)
            go_on.set()
            until(lambda: bool(running.service.ready))
            assert httpx.get(f"{running.url}/health").status_code == 200
        assert [answer.status_code for answer in answers] == [503, 503, 204, 503]
        assert answers[0].json() == {"status": "loading"}
        assert (asked.status_code, asked.headers["retry-after"]) == (503, "5")
        assert asked.json()["error"]["code"] == "loading"

    def test_models_that_fail_on_all_are_not_well(self, server: Running, monkeypatch: pytest.MonkeyPatch) -> None:
        def fail(*_: object) -> None:
            raise RuntimeError("CUDA error: device-side assert triggered")

        with monkeypatch.context() as patch:
            patch.setattr(server.service.transcriber.engine, "transcribe", fail)
            answers = [post(server.url) for _ in range(5)]
        assert {(answer.status_code, answer.json()["error"]["code"]) for answer in answers} == {(500, "engine_failure")}
        found = [httpx.get(server.url + path) for path in ("/health", "/ready")]
        assert [(one.status_code, one.json()["status"]) for one in found] == [(503, "failing")] * 2
        assert post(server.url).status_code == 200
        assert httpx.get(f"{server.url}/health").status_code == 200

    def test_models_that_cannot_be_loaded_end_it(self, caplog: pytest.LogCaptureFixture) -> None:
        def load() -> Transcriber:
            raise InvalidSettings("ASR_MODEL nothing is not there")

        running = Running(create_app(ServerSettings(), load))
        with caplog.at_level(logging.ERROR), running.running(wait=False):
            until(lambda: not running.answers)
        assert caplog.messages == ["ASR_MODEL nothing is not there"]


@pytest.fixture(scope="module")
def locked(transcriber: Transcriber) -> Iterator[Running]:
    """A server with keys, and one page that may call it."""
    with serving(transcriber, api_keys="first, second", cors_origins="https://page.example") as server:
        yield server


class TestKeys:
    """Who may call."""

    def test_every_route_but_the_open_ones_asks_for_one(self, locked: Running) -> None:
        document = httpx.get(f"{locked.url}/openapi.json").json()
        asked = [(path, method) for path, found in document["paths"].items() for method in found]
        answers = {path: httpx.request(method, locked.url + path).status_code for path, method in asked}
        assert {path for path, status in answers.items() if status != 401} == {"/health", "/ready", "/metrics"}

    @pytest.mark.parametrize("path", [AUDIO, "/v1/audio/translations", "/v1/chat/completions", "/", "/predict"])
    @pytest.mark.parametrize("headers", [{}, {"Authorization": "Bearer third"}, {"Authorization": "Basic first"}])
    def test_without_one_nothing_is_heard(self, locked: Running, path: str, headers: dict[str, str]) -> None:
        answer = post(locked.url, path, headers=headers)
        message = "send one of the service's API keys as Authorization: Bearer"
        assert answer.status_code == 401
        error = answer.json()["error"]
        assert (error if isinstance(error, str) else error["message"]) == message

    def test_each_of_them_opens(self, locked: Running) -> None:
        answers = [post(locked.url, headers={"Authorization": f"Bearer {key}"}) for key in ("first", "second")]
        assert [answer.status_code for answer in answers] == [200, 200]

    def test_health_and_metrics_are_open(self, locked: Running) -> None:
        paths = ("/health", "/ready", "/metrics", "/docs", "/openapi.json")
        assert {httpx.get(locked.url + path).status_code for path in paths} == {200}

    def test_pages_that_were_named_may_call(self, locked: Running, server: Running) -> None:
        asked = {"Origin": "https://page.example", "Access-Control-Request-Method": "POST"}
        assert (
            httpx.options(locked.url + AUDIO, headers=asked).headers["access-control-allow-origin"] == asked["Origin"]
        )
        other = httpx.options(locked.url + AUDIO, headers=asked | {"Origin": "https://other.example"})
        assert "access-control-allow-origin" not in other.headers
        assert "access-control-allow-origin" not in httpx.get(server.url + "/health", headers=asked).headers


class TestRefusals:
    """Everything that goes wrong is said in OpenAI's shape."""

    @pytest.mark.parametrize(
        ("request_", "status", "code"),
        [
            (("GET", "/nothing"), 404, "not_found"),
            (("GET", AUDIO), 405, "method_not_allowed"),
            (("GET", "/v1/models/none"), 404, "model_not_found"),
            (("POST", AUDIO), 415, "unsupported_media_type"),
        ],
    )
    def test_a_path_or_a_body_that_is_none(
        self, server: Running, request_: tuple[str, str], status: int, code: str
    ) -> None:
        answer = httpx.request(request_[0], server.url + request_[1])
        assert (answer.status_code, answer.json()["error"]["code"]) == (status, code)
        assert set(answer.json()["error"]) == {"message", "type", "param", "code"}

    def test_a_form_without_a_file(self, server: Running) -> None:
        answer = httpx.post(server.url + AUDIO, files={"model": (None, "whisper-1")})
        assert answer.json()["error"]["message"] == "file is missing: send an audio file"
        wrong = httpx.post(server.url + AUDIO, files={"audio": ("a.wav", b"1")})
        assert wrong.json()["error"]["message"] == "send the audio as file, not as 'audio'"

    @pytest.mark.parametrize(
        "body", [b"", b"nonsense", b"--x\r\n\r\n", b"--x\r\nContent-Disposition: form-data\r\n\r\n1"]
    )
    def test_a_multipart_body_that_is_none(self, server: Running, body: bytes) -> None:
        headers = {"content-type": "multipart/form-data; boundary=x"}
        answer = httpx.post(server.url + AUDIO, content=body, headers=headers)
        assert answer.status_code == 400

    def test_too_large_a_body(self, transcriber: Transcriber) -> None:
        with serving(Transcriber(ModelSettings.from_environment(asr_model=str(DEMO), max_audio_bytes=1000))) as server:
            claimed = post(server.url, data=bytes(2_000_000))
            chunked = httpx.post(f"{server.url}/predict", content=iter([bytes(900)] * 5))
            inside = post(server.url, data=bytes(2000))
        assert (claimed.status_code, claimed.json()["error"]["code"]) == (413, "body_too_large")
        assert (chunked.status_code, chunked.json()) == (
            413, {"error": "the body is larger than the 1000 bytes allowed here"},
        )  # fmt: skip
        assert (inside.status_code, inside.json()["error"]["code"]) == (413, "audio_too_long")

    def test_a_fault_of_ours_is_no_page_of_its_own(self, server: Running, monkeypatch: pytest.MonkeyPatch) -> None:
        def fail(*_: object) -> None:
            raise RuntimeError("/secret/path")

        monkeypatch.setattr(server.service, "begin", fail)
        answer = post(server.url, headers={"x-request-id": "mine"})
        assert (answer.status_code, answer.headers["x-request-id"]) == (500, "mine")
        assert answer.json()["error"]["message"] == "the service failed: see its log"


class TestRecords:
    """What is told of a request, and what is not."""

    def test_a_request_keeps_its_id(self, server: Running) -> None:
        assert httpx.get(f"{server.url}/health", headers={"x-request-id": "abc-1"}).headers["x-request-id"] == "abc-1"
        for sent in ("", "a b", "x" * 200):
            found = httpx.get(f"{server.url}/health", headers={"x-request-id": sent}).headers["x-request-id"]
            assert found.startswith("req_")

    def test_one_line_tells_of_a_request_and_nothing_of_what_was_said(
        self, server: Running, caplog: pytest.LogCaptureFixture
    ) -> None:
        with caplog.at_level(logging.INFO):
            text = post(server.url, headers={"x-request-id": "abc-2", "Authorization": "Bearer secret"}).json()["text"]
            until(lambda: any(getattr(one, "request_id", "") == "abc-2" for one in caplog.records))
        [record] = [one for one in caplog.records if getattr(one, "request_id", "") == "abc-2"]
        line = json.loads(JsonFormatter().format(record))
        assert (line["level"], line["message"], line["route"], line["status"]) == ("info", "request", AUDIO, 200)
        assert line["audio_seconds"] == pytest.approx(6.771)
        assert set(line["stages"]) == {"upload", "queue", "decode", "transcribe"}
        assert not any(secret in json.dumps(line) for secret in (text, text.split()[0], "secret"))

    def test_the_metrics_count(self, server: Running) -> None:
        before = metrics(server)
        post(server.url)
        post(server.url, data=b"no audio")
        after = metrics(server)
        gained = {name: value - before.get(name, 0.0) for name, value in after.items()}
        assert gained[f'transcription_requests_total{{route="{AUDIO}",status="200"}}'] == 1
        assert gained['transcription_refusals_total{reason="invalid_audio"}'] == 1
        assert gained["transcription_audio_seconds_total"] == pytest.approx(6.771, abs=0.001)
        assert gained['transcription_stage_seconds_count{stage="transcribe"}'] == 1
        assert gained["transcription_real_time_factor_count"] == 1
        assert 0 < gained["transcription_real_time_factor_sum"] < 5
        names = ("vllm:num_requests_running", "vllm:num_requests_waiting", "transcription_out_of_memory_total")
        assert [after[name] for name in names] == [0.0, 0.0, 0.0]
