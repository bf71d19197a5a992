"""Hugging Face's specification of the task automatic-speech-recognition: what clients send, and what they read."""

import base64
import json
from typing import Any

import numpy as np
import pytest

from tests.conftest import SAMPLES
from transcription.endpoint import EndpointHandler
from transcription.formats import formats_of

SHORT = SAMPLES["short"].path.read_bytes()
GERMAN = SAMPLES["german"].path.read_bytes()


def words_of(answer: dict[str, Any]) -> list[str]:
    return [chunk["text"].strip() for chunk in answer["chunks"]]


def test_return_timestamps_word_gives_words(handler: EndpointHandler) -> None:
    """Regression: it gave segments, and a line in the log."""
    answer = handler({"inputs": SHORT, "parameters": {"return_timestamps": "word"}})
    assert words_of(answer) == answer["text"].split()
    assert answer == handler({"inputs": SHORT, "parameters": {"timestamps": "word"}})


def test_generate_kwargs_choose_task_and_language(handler: EndpointHandler) -> None:
    """Regression: it transcribed."""
    generate_kwargs = {"task": "translate", "language": "de", "max_new_tokens": 128}
    answer = handler({"inputs": GERMAN, "parameters": {"generate_kwargs": generate_kwargs}})
    expected = handler({"inputs": GERMAN, "parameters": {"task": "translate", "language": "de"}})
    assert answer["text"] == expected["text"] != handler({"inputs": GERMAN})["text"]
    assert answer["warnings"] == ["ignored parameters without effect here: max_new_tokens"]


@pytest.mark.parametrize("as_text", [True, False])
def test_a_path_with_bytes_is_read(handler: EndpointHandler, as_text: bool) -> None:
    data = base64.b64encode(SHORT).decode() if as_text else SHORT
    assert handler({"inputs": {"path": "a.wav", "bytes": data}}) == handler({"inputs": SHORT})


def plain(value: Any) -> Any:
    """Return a value as JSON gives it back: any other kind of number or sequence would differ in its type."""
    if isinstance(value, dict):
        return {name: plain(item) for name, item in value.items()}
    if isinstance(value, list):
        return [plain(item) for item in value]
    assert type(value) in (str, int, float, bool, type(None)), type(value)
    return value


@pytest.mark.parametrize("name", [form for form, row in formats_of("endpoint").items() if not row.needs_speakers])
@pytest.mark.parametrize("timestamps", ["none", "segment", "word"])
def test_answers_are_strict_json(handler: EndpointHandler, name: str, timestamps: str) -> None:
    parameters = {"response_format": name, "timestamps": timestamps, "logprobs": True}
    answer = handler({"inputs": SHORT, "parameters": parameters})
    assert json.loads(json.dumps(plain(answer), allow_nan=False)) == answer
    assert all(chunk.keys() >= {"text", "timestamp"} and len(chunk["timestamp"]) == 2 for chunk in answer["chunks"])


def test_orjson_without_numpy_writes_an_answer(handler: EndpointHandler) -> None:
    orjson = pytest.importorskip("orjson")
    answer = handler({"inputs": SHORT, "parameters": {"response_format": "verbose_json", "timestamps": "word"}})
    assert orjson.loads(orjson.dumps(answer)) == answer


def test_silence_is_strict_json(handler: EndpointHandler) -> None:
    silence = {"array": np.zeros(16_000, np.float32), "sampling_rate": 16_000}
    answer = handler({"inputs": silence, "parameters": {"response_format": "verbose_json"}})
    assert (json.loads(json.dumps(plain(answer), allow_nan=False)), answer["text"]) == (answer, "")
