"""The server as a whole: health, API keys, errors, log and metrics."""

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
    """Send a recording, as curl -F file=@… does."""
    file = SHORT.read_bytes() if data is None else data
    return httpx.post(url + path, files={"file": ("a.wav", file)}, timeout=60, **options)


def metrics(server: Running) -> dict[str, float]:
    lines = httpx.get(f"{server.url}/metrics").text.splitlines()
    return {name: float(value) for name, value in (line.rsplit(" ", 1) for line in lines if not line.startswith("#"))}


class TestHealth:
    """The status while the models load, work, fail or are missing."""

    def test_is_ok_when_the_models_are_loaded(self, server: Running) -> None:
        for path in ("/health", "/ready", "/"):
            answer = httpx.get(server.url + path)
            assert (answer.status_code, answer.json()) == (200, {"status": "ok"})
        assert httpx.get(f"{server.url}/ping").status_code == 200

    def test_returns_503_while_the_models_load(self, transcriber: Transcriber) -> None:
        loaded = threading.Event()

        def load() -> Transcriber:
            loaded.wait(60)
            return transcriber

        running = Running(create_app(ServerSettings(), load))
        with running.running(wait=False):
            until(lambda: running.server.started)
            answers = [httpx.get(running.url + path) for path in ("/health", "/ready", "/ping", "/v1/models")]
            refused = post(running.url)
            loaded.set()
            until(lambda: bool(running.service.ready))
            assert httpx.get(f"{running.url}/health").status_code == 200
        assert [answer.status_code for answer in answers] == [503, 503, 204, 503]
        assert answers[0].json() == {"status": "loading"}
        assert (refused.status_code, refused.headers["retry-after"]) == (503, "5")
        assert refused.json()["error"]["code"] == "loading"

    def test_is_failing_after_five_failures_until_a_success(
        self, server: Running, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        def fail(*_: object) -> None:
            raise RuntimeError("CUDA error: device-side assert triggered")

        with monkeypatch.context() as patch:
            patch.setattr(server.service.transcriber.engine, "transcribe", fail)
            answers = [post(server.url) for _ in range(5)]
        assert {(answer.status_code, answer.json()["error"]["code"]) for answer in answers} == {(500, "engine_failure")}
        statuses = [httpx.get(server.url + path) for path in ("/health", "/ready")]
        assert [(answer.status_code, answer.json()["status"]) for answer in statuses] == [(503, "failing")] * 2
        assert post(server.url).status_code == 200
        assert httpx.get(f"{server.url}/health").status_code == 200

    def test_stops_if_the_models_cannot_be_loaded(self, caplog: pytest.LogCaptureFixture) -> None:
        def load() -> Transcriber:
            raise InvalidSettings("ASR_MODEL nothing is not there")

        running = Running(create_app(ServerSettings(), load))
        with caplog.at_level(logging.ERROR), running.running(wait=False):
            until(lambda: not running.is_alive)
        assert caplog.messages == ["ASR_MODEL nothing is not there"]


@pytest.fixture(scope="module")
def locked(transcriber: Transcriber) -> Iterator[Running]:
    """Yield a server with API keys and one allowed CORS origin."""
    with serving(transcriber, api_keys="first, second", cors_origins="https://page.example") as server:
        yield server


class TestKeys:
    """API keys and CORS."""

    def test_only_probes_and_metrics_need_no_key(self, locked: Running) -> None:
        document = httpx.get(f"{locked.url}/openapi.json").json()
        routes = [(path, method) for path, methods in document["paths"].items() for method in methods]
        answers = {path: httpx.request(method, locked.url + path).status_code for path, method in routes}
        assert {path for path, status in answers.items() if status != 401} == {"/health", "/ready", "/metrics"}

    @pytest.mark.parametrize("path", [AUDIO, "/v1/audio/translations", "/v1/chat/completions", "/", "/predict"])
    @pytest.mark.parametrize("headers", [{}, {"Authorization": "Bearer third"}, {"Authorization": "Basic first"}])
    def test_requests_without_a_valid_key_are_refused(
        self, locked: Running, path: str, headers: dict[str, str]
    ) -> None:
        answer = post(locked.url, path, headers=headers)
        message = "send one of the service's API keys as Authorization: Bearer"
        assert answer.status_code == 401
        error = answer.json()["error"]
        assert (error if isinstance(error, str) else error["message"]) == message

    def test_each_key_is_accepted(self, locked: Running) -> None:
        answers = [post(locked.url, headers={"Authorization": f"Bearer {key}"}) for key in ("first", "second")]
        assert [answer.status_code for answer in answers] == [200, 200]

    def test_health_metrics_and_docs_need_no_key(self, locked: Running) -> None:
        paths = ("/health", "/ready", "/metrics", "/docs", "/openapi.json")
        assert {httpx.get(locked.url + path).status_code for path in paths} == {200}

    def test_only_allowed_origins_get_cors_headers(self, locked: Running, server: Running) -> None:
        headers = {"Origin": "https://page.example", "Access-Control-Request-Method": "POST"}
        assert (
            httpx.options(locked.url + AUDIO, headers=headers).headers["access-control-allow-origin"]
            == headers["Origin"]
        )
        other = httpx.options(locked.url + AUDIO, headers=headers | {"Origin": "https://other.example"})
        assert "access-control-allow-origin" not in other.headers
        assert "access-control-allow-origin" not in httpx.get(server.url + "/health", headers=headers).headers


class TestErrors:
    """Errors have the shape of OpenAI's."""

    @pytest.mark.parametrize(
        ("method_and_path", "status", "code"),
        [
            (("GET", "/nothing"), 404, "not_found"),
            (("GET", AUDIO), 405, "method_not_allowed"),
            (("GET", "/v1/models/none"), 404, "model_not_found"),
            (("POST", AUDIO), 415, "unsupported_media_type"),
        ],
    )
    def test_unknown_path_method_or_media_type_has_a_code(
        self, server: Running, method_and_path: tuple[str, str], status: int, code: str
    ) -> None:
        method, path = method_and_path
        answer = httpx.request(method, server.url + path)
        assert (answer.status_code, answer.json()["error"]["code"]) == (status, code)
        assert set(answer.json()["error"]) == {"message", "type", "param", "code"}

    def test_form_without_a_file_is_refused(self, server: Running) -> None:
        answer = httpx.post(server.url + AUDIO, files={"model": (None, "whisper-1")})
        assert answer.json()["error"]["message"] == "file is missing: send an audio file"
        wrong = httpx.post(server.url + AUDIO, files={"audio": ("a.wav", b"1")})
        assert wrong.json()["error"]["message"] == "send the audio as file, not as 'audio'"

    @pytest.mark.parametrize(
        "body", [b"", b"nonsense", b"--x\r\n\r\n", b"--x\r\nContent-Disposition: form-data\r\n\r\n1"]
    )
    def test_malformed_multipart_body_is_refused(self, server: Running, body: bytes) -> None:
        headers = {"content-type": "multipart/form-data; boundary=x"}
        answer = httpx.post(server.url + AUDIO, content=body, headers=headers)
        assert answer.status_code == 400

    def test_body_above_the_limit_is_refused(self, transcriber: Transcriber) -> None:
        with serving(Transcriber(ModelSettings.from_environment(asr_model=str(DEMO), max_audio_bytes=1000))) as server:
            with_length = post(server.url, data=bytes(4_000_000))
            chunked = httpx.post(f"{server.url}/predict", content=iter([bytes(900)] * 5))
            file_above_limit = post(server.url, data=bytes(2000))
        assert (with_length.status_code, with_length.json()["error"]["code"]) == (413, "body_too_large")
        assert (chunked.status_code, chunked.json()) == (
            413, {"error": "the body is larger than the 1000 bytes allowed here"},
        )  # fmt: skip
        assert (file_above_limit.status_code, file_above_limit.json()["error"]["code"]) == (413, "audio_too_long")

    def test_unexpected_exception_is_a_500_without_its_message(
        self, server: Running, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        def fail(*_: object) -> None:
            raise RuntimeError("/secret/path")

        monkeypatch.setattr(server.service, "begin", fail)
        answer = post(server.url, headers={"x-request-id": "mine"})
        assert (answer.status_code, answer.headers["x-request-id"]) == (500, "mine")
        assert answer.json()["error"]["message"] == "the service failed: see its log"


class TestRequestLog:
    """The log and the metrics of a request."""

    def test_valid_request_id_is_kept(self, server: Running) -> None:
        assert httpx.get(f"{server.url}/health", headers={"x-request-id": "abc-1"}).headers["x-request-id"] == "abc-1"
        for sent in ("", "a b", "x" * 200):
            request_id = httpx.get(f"{server.url}/health", headers={"x-request-id": sent}).headers["x-request-id"]
            assert request_id.startswith("req_")

    def test_request_has_one_log_line_without_text_or_key(
        self, server: Running, caplog: pytest.LogCaptureFixture
    ) -> None:
        def logged(request_id: str) -> list[logging.LogRecord]:
            return [record for record in caplog.records if getattr(record, "request_id", "") == request_id]

        with caplog.at_level(logging.INFO):
            text = post(server.url, headers={"x-request-id": "abc-2", "Authorization": "Bearer secret"}).json()["text"]
            until(lambda: len(logged("abc-2")) == 1)
        [record] = logged("abc-2")
        line = json.loads(JsonFormatter().format(record))
        assert (line["level"], line["message"], line["route"], line["status"]) == ("info", "request", AUDIO, 200)
        assert line["audio_seconds"] == pytest.approx(6.771)
        assert set(line["stages"]) == {"upload", "queue", "decode", "transcribe"}
        assert not any(secret in json.dumps(line) for secret in (text, text.split()[0], "secret"))

    def test_metrics_count_requests_refusals_and_audio(self, server: Running) -> None:
        before = metrics(server)
        post(server.url)
        post(server.url, data=b"no audio")
        after = metrics(server)
        increase = {name: value - before.get(name, 0.0) for name, value in after.items()}
        assert increase[f'transcription_requests_total{{route="{AUDIO}",status="200"}}'] == 1
        assert increase['transcription_refusals_total{reason="invalid_audio"}'] == 1
        assert increase["transcription_audio_seconds_total"] == pytest.approx(6.771, abs=0.001)
        assert increase['transcription_stage_seconds_count{stage="transcribe"}'] == 1
        assert increase["transcription_real_time_factor_count"] == 1
        assert 0 < increase["transcription_real_time_factor_sum"] < 5
        names = ("vllm:num_requests_running", "vllm:num_requests_waiting", "transcription_out_of_memory_total")
        assert [after[name] for name in names] == [0.0, 0.0, 0.0]
