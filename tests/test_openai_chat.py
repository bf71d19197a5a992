"""The openai client against a running server: chat completions with audio as a part of a message."""

import base64
import contextlib
import http.server
import threading
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import Any

import openai
import pytest

from tests.openai_clients import GERMAN, SHORT, openai_client, transcribed
from tests.serving import Running
from transcription.server.fetching import Fetcher


@pytest.fixture
def client(server: Running) -> Iterator[openai.OpenAI]:
    """Yield OpenAI's client with the base URL of the server."""
    with openai_client(server.url) as client:
        yield client


class _QuietHandler(http.server.SimpleHTTPRequestHandler):
    def log_message(self, *_: object) -> None:
        pass


@contextlib.contextmanager
def folder_served(folder: Path) -> Iterator[str]:
    """Serve the files of a folder over HTTP."""
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), partial(_QuietHandler, directory=folder)) as files:
        thread = threading.Thread(target=files.serve_forever)
        thread.start()
        yield f"http://127.0.0.1:{files.server_port}"
        files.shutdown()
        thread.join()


class TestChat:
    """Chat completions with audio as a part of a message."""

    @staticmethod
    def message(**part: Any) -> list[Any]:
        return [{"role": "user", "content": [part]}]

    @staticmethod
    def base64_of_short() -> str:
        return base64.b64encode(SHORT.read_bytes()).decode()

    def test_input_audio_is_transcribed(self, server: Running, client: openai.OpenAI) -> None:
        audio = {"data": self.base64_of_short(), "format": "wav"}
        answer = client.chat.completions.create(
            model="whisper-1", messages=self.message(type="input_audio", input_audio=audio)
        )
        assert answer.choices[0].message.content == transcribed(server, diarize=False).text
        assert answer.usage is not None
        assert answer.usage.total_tokens == answer.usage.prompt_tokens + answer.usage.completion_tokens

    def test_data_url_is_transcribed_as_a_stream(self, server: Running, client: openai.OpenAI) -> None:
        url = f"data:audio/wav;base64,{self.base64_of_short()}"
        chunks = list(
            client.chat.completions.create(
                model="whisper-1", messages=self.message(type="audio_url", audio_url={"url": url}),
                stream=True, stream_options={"include_usage": True},
            )
        )  # fmt: skip
        text = "".join(chunk.choices[0].delta.content or "" for chunk in chunks if chunk.choices)
        assert text == transcribed(server, diarize=False).text
        assert chunks[-2].choices[0].finish_reason == "stop"
        assert chunks[-1].usage is not None

    def test_url_of_an_allowed_host_is_downloaded(
        self, server: Running, client: openai.OpenAI, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        (tmp_path / "short.wav").write_bytes(SHORT.read_bytes())
        monkeypatch.setattr(server.service, "fetcher", Fetcher(("127.0.0.1",), lambda _: True))
        with folder_served(tmp_path) as url:
            answer = client.chat.completions.create(
                model="whisper-1", messages=self.message(type="audio_url", audio_url={"url": f"{url}/short.wav"})
            )
        assert answer.choices[0].message.content == transcribed(server, diarize=False).text

    @pytest.mark.parametrize("stream", [False, True])
    def test_audio_that_cannot_be_decoded_is_in_the_messages(self, client: openai.OpenAI, stream: Any) -> None:
        audio = {"data": base64.b64encode(b"no audio" * 1000).decode(), "format": "wav"}
        messages: Any = self.message(type="input_audio", input_audio=audio)
        with pytest.raises(openai.BadRequestError) as caught:
            client.chat.completions.create(model="whisper-1", messages=messages, stream=stream)
        assert (caught.value.param, caught.value.code) == ("messages", "invalid_audio")

    def test_parameters_of_the_transcription_are_accepted(self, client: openai.OpenAI) -> None:
        audio = {"data": base64.b64encode(GERMAN.read_bytes()).decode(), "format": "ogg"}
        answer = client.chat.completions.create(
            model="whisper-1", messages=self.message(type="input_audio", input_audio=audio),
            extra_body={"task": "translate"},
        )  # fmt: skip
        assert "Good morning Julia" in (answer.choices[0].message.content or "")

    def test_text_part_gives_a_warning(self, client: openai.OpenAI) -> None:
        parts = [
            {"type": "text", "text": "What is said?"},
            {"type": "input_audio", "input_audio": {"data": self.base64_of_short(), "format": "wav"}},
        ]
        messages: Any = [{"role": "user", "content": parts}]
        answer = client.chat.completions.create(model="whisper-1", messages=messages)
        assert answer.to_dict()["warnings"] == ["text parts are ignored: send prompt beside messages"]

    @pytest.mark.parametrize(
        ("messages", "message"),
        [
            ([], "send one input_audio or audio_url part, not 0"),
            ([{"role": "user", "content": "hello"}], "send one input_audio or audio_url part, not 0"),
            ([{"role": "user", "content": 5}], "content must be text or a list of parts"),
            ("hello", "messages must be a list of messages"),
            (message(type="input_audio", input_audio={}), "input_audio.data is missing"),
            (message(type="audio_url", audio_url={"url": "file:///etc/passwd"}), "audio_url must be a data: or http"),
            (message(type="audio_url", audio_url={"url": "http://example.org/a.wav"}), "this host is not allowed"),
            (message(type="input_audio", input_audio={"data": "!!"}), "the audio is neither an audio file nor base64"),
        ],
    )
    def test_messages_without_readable_audio_are_refused(
        self, client: openai.OpenAI, messages: Any, message: str
    ) -> None:
        with pytest.raises(openai.BadRequestError) as caught:
            client.chat.completions.create(model="whisper-1", messages=messages)
        assert caught.value.body["message"].startswith(message)  # type: ignore[index]

    @pytest.mark.parametrize("wrong", [{"n": 2}, {"response_format": {"type": "json_object"}}, {"logprobs": True}])
    def test_parameters_without_effect_are_refused(self, client: openai.OpenAI, wrong: dict[str, Any]) -> None:
        audio = {"data": self.base64_of_short(), "format": "wav"}
        messages = self.message(type="input_audio", input_audio=audio)
        with pytest.raises(openai.BadRequestError) as caught:
            client.chat.completions.create(model="whisper-1", messages=messages, **wrong)
        assert caught.value.param == next(iter(wrong))
