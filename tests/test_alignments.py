"""The route /v1/audio/alignments, and the parameter `align` of the other interfaces."""

import json
from typing import Any

import httpx
import pytest

from tests.conftest import SAMPLES
from tests.serving import Running, serving
from transcription.cli import transcribe as cli
from transcription.config import MAX_TEXT
from transcription.endpoint import EndpointHandler
from transcription.formats import FORMATS, formats_of
from transcription.transcriber import Transcriber

SHORT = SAMPLES["short"]
TEXT = "SARAH wants to finish — at last —\nthe budget later!"
SAID = [True, True, True, True, False, False, True, True, True]


def post(url: str, text: str | None = TEXT, **fields: Any) -> httpx.Response:
    data = fields if text is None else {"text": text, **fields}
    return httpx.post(f"{url}/v1/audio/alignments", files={"file": SHORT.path.read_bytes()}, data=data, timeout=60)


def test_answer_is_the_text_with_times(server: Running) -> None:
    answer = post(server.url, diarize="false").json()
    assert answer["text"] == " ".join(TEXT.split())
    words = [word["word"] for word in answer["words"]]
    assert words == ["SARAH", "wants", "to", "finish —", "at", "last —", "the", "budget", "later!"]
    assert [word.get("said", True) for word in answer["words"]] == SAID
    assert [word["start"] is not None for word in answer["words"]] == SAID
    assert [segment["text"] for segment in answer["segments"]] == [
        " SARAH wants to finish — at last —", " the budget later!",
    ]  # fmt: skip
    assert answer["warnings"] == ["2 of 9 words of the text were not found in the recording"]


@pytest.mark.parametrize("name", formats_of("openai"))
def test_every_format_is_offered(server: Running, name: str) -> None:
    answer = post(server.url, response_format=name)
    assert answer.status_code == 200
    assert answer.headers["content-type"] == FORMATS[name].media_type
    assert "budget" in answer.text


def test_times_may_be_those_of_words_or_segments_alone(server: Running) -> None:
    assert {"words", "segments"} & post(server.url, timestamp_granularities="word").json().keys() == {"words"}
    assert {"words", "segments"} & post(server.url, timestamp_granularities="segment").json().keys() == {"segments"}


@pytest.mark.parametrize(
    ("fields", "param", "message"),
    [
        ({"text": None}, "text", "text: there are no words: send the text that is spoken"),
        ({"text": " … "}, "text", "text: there are no words: send the text that is spoken"),
        ({"text": "a" * (MAX_TEXT + 1)}, "text", "text: there are more than 400000 characters: send a part"),
        ({"language": "xx"}, "language", ""),
        ({"stream": "true"}, "stream", "stream has no effect here (the text is known)"),
        ({"align": "a"}, "align", "align has no effect here (send text)"),
        ({"task": "translate"}, "task", "task has no effect here"),
        ({"multichannel": "true"}, "multichannel", "multichannel has no effect here"),
    ],
)
def test_what_cannot_be_is_an_error(server: Running, fields: dict[str, Any], param: str, message: str) -> None:
    answer = post(server.url, **fields)
    error = answer.json()["error"]
    assert (answer.status_code, error["param"], error["message"][: len(message)]) == (400, param, message)


def test_a_long_text_is_received_and_other_long_fields_are_not(server: Running) -> None:
    assert post(server.url, TEXT + "\n" + "yes" * 100_000, response_format="text").status_code == 200
    assert "maximum size of 256KB" in post(server.url, prompt="a" * 300_000).json()["error"]["message"]


@pytest.mark.parametrize("route", ["transcriptions", "translations"])
def test_other_routes_refuse_a_text(server: Running, route: str) -> None:
    answer = httpx.post(
        f"{server.url}/v1/audio/{route}", files={"file": SHORT.path.read_bytes()}, data={"align": TEXT}
    ).json()
    message = "align has no effect here (send text to /v1/audio/alignments): leave it out"
    assert (answer["error"]["param"], answer["error"]["message"]) == ("align", message)


def test_chat_completions_refuse_a_text(server: Running) -> None:
    answer = httpx.post(f"{server.url}/v1/chat/completions", json={"messages": [], "align": TEXT}).json()
    assert (answer["error"]["param"], answer["error"]["code"]) == ("align", "invalid_value")


def test_a_key_is_needed(transcriber: Transcriber) -> None:
    with serving(transcriber, api_keys="secret") as locked:
        assert post(locked.url).status_code == 401


def test_requests_are_counted_by_their_route(server: Running) -> None:
    post(server.url)
    assert 'route="/v1/audio/alignments",status="200"' in httpx.get(f"{server.url}/metrics").text


def test_endpoint_takes_a_text(handler: EndpointHandler) -> None:
    answer = handler({"inputs": SHORT.path.read_bytes(), "parameters": {"align": TEXT}})
    assert answer["text"] == " ".join(TEXT.split())
    assert [chunk.get("said", True) for chunk in answer["chunks"]] == SAID
    assert answer["chunks"][4] == {"text": " at", "timestamp": [None, None], "said": False}


def test_command_takes_a_text(capsys: pytest.CaptureFixture[str], tmp_path: Any) -> None:
    (tmp_path / "script.txt").write_text(TEXT)
    model = ["--model", "models/demo-whisper", "--quiet", "--format", "verbose_json"]
    assert cli.main([str(SHORT.path), *model, "--align", f"@{tmp_path / 'script.txt'}"]) == 0
    output = capsys.readouterr()
    assert [word.get("said", True) for word in json.loads(output.out)["words"]] == SAID
    assert output.err.endswith("warning: short.wav: 2 of 9 words of the text were not found in the recording\n")
