"""The openai client against a running server: errors, and which of them it sends again."""

import json
from collections.abc import Iterator
from typing import Any

import openai
import pytest

from tests.openai_clients import SHORT, openai_client
from tests.serving import Running


@pytest.fixture
def client(server: Running) -> Iterator[openai.OpenAI]:
    """Yield OpenAI's client with the base URL of the server."""
    with openai_client(server.url) as client:
        yield client


class TestErrors:
    """Errors have the shape of OpenAI's and name the wrong parameter."""

    @pytest.mark.parametrize(
        ("parameters", "param", "message"),
        [
            ({"language": "xx"}, "language", "the model does not know the language 'xx': choose one of de, en"),
            ({"response_format": "mp3"}, "response_format", "response_format: must be json, text"),
            (
                {"response_format": "json", "timestamp_granularities": ["word"]},
                None,
                "timestamp_granularities word needs response_format",
            ),
            ({"include": ["logprobs"], "response_format": "text"}, None, "include logprobs needs"),
            ({"stream": True, "response_format": "srt"}, None, "stream needs response_format json, text"),
            ({"temperature": 3}, "temperature", "temperature: Input should be less than or equal to 1"),
            ({"chunking_strategy": {"type": "mine"}}, "chunking_strategy", "chunking_strategy.type: Input should be"),
            ({"extra_body": {"known_speakers": "{}"}}, "known_speakers", "known_speakers has no effect here"),
            ({"extra_body": {"voiceprints": True}}, None, "voiceprints need response_format verbose_json or diarized"),
            ({"extra_body": {"vad": True}}, "vad", "unknown parameter 'vad': leave it out"),
            ({"extra_body": {"task": "translate"}}, "task", "task has no effect here"),
            ({"extra_body": {"num_speakers": 2}}, None, "speakers need response_format srt, vtt"),
            ({"extra_body": {"batch_size": 0}}, "batch_size", "batch_size: Input should be greater"),
        ],
    )
    def test_wrong_parameter_is_named(
        self, client: openai.OpenAI, parameters: dict[str, Any], param: str, message: str
    ) -> None:
        with pytest.raises(openai.BadRequestError) as caught:
            client.audio.transcriptions.create(model="whisper-1", file=SHORT, **parameters)
        body = caught.value.body
        assert isinstance(body, dict)
        assert (body["type"], body["param"]) == ("invalid_request_error", param)
        assert body["message"].startswith(message)

    @pytest.mark.parametrize("data", [b"", b"no audio", SHORT.read_bytes()[:44], b"#EXTM3U\n/etc/passwd\n"])
    def test_unreadable_audio_is_refused(self, client: openai.OpenAI, data: bytes) -> None:
        with pytest.raises(openai.BadRequestError) as caught:
            client.audio.transcriptions.create(model="whisper-1", file=("a.wav", data))
        assert (caught.value.param, caught.value.code) == ("file", "invalid_audio")
        assert caught.value.response.headers["x-should-retry"] == "false"

    def test_error_before_the_first_event_of_a_stream_has_a_status(self, client: openai.OpenAI) -> None:
        with pytest.raises(openai.BadRequestError):
            client.audio.transcriptions.create(model="whisper-1", file=("a.wav", b"no audio"), stream=True)


def test_client_retries_only_if_the_server_says_so(server: Running) -> None:
    decisions: list[tuple[int, str]] = []

    class RecordingClient(openai.OpenAI):
        def _should_retry(self, response: Any) -> bool:
            retries = super()._should_retry(response)
            decisions.append((response.status_code, json.dumps(retries)))
            return retries

    with RecordingClient(base_url=f"{server.url}/v1", api_key="none", max_retries=1) as client:
        with pytest.raises(openai.BadRequestError):
            client.audio.transcriptions.create(model="whisper-1", file=("a.wav", b"no audio"))
        admission = server.service.admission
        settings, admission.settings = admission.settings, admission.settings.model_copy(update={"max_uploads": 0})
        try:
            with pytest.raises(openai.RateLimitError) as caught:
                client.audio.transcriptions.create(model="whisper-1", file=SHORT)
        finally:
            admission.settings = settings
    assert int(caught.value.response.headers["retry-after"]) >= 1
    assert decisions == [(400, "false"), (429, "true")]
