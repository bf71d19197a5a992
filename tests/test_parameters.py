"""OpenAI's parameters: forms as clients write them, and what they mean for the engine."""

from typing import Any

import pytest

from transcription.config import FALLBACK_TEMPERATURES
from transcription.errors import InvalidRequest
from transcription.server.api_errors import ApiError
from transcription.server.parameters import AudioRequest, parameters


def meaning(**given: Any) -> AudioRequest:
    return AudioRequest.read(given, "transcribe")


@pytest.mark.parametrize(
    ("fields", "found"),
    [
        ({}, {}),
        ({"language": [""], "prompt": [" "]}, {}),
        ({"language": ["de"]}, {"language": "de"}),
        ({"languages[]": ["de", "en"]}, {"languages": ["de", "en"]}),
        ({"languages": ["de", "en"]}, {"languages": ["de", "en"]}),
        ({"keywords": ["Anna"], "keywords[]": ["Bo"]}, {"keywords": ["Anna", "Bo"]}),
        (
            {"chunking_strategy[type]": ["server_vad"], "chunking_strategy[threshold]": ["0.4"]},
            {"chunking_strategy": {"type": "server_vad", "threshold": "0.4"}},
        ),
    ],
)
def test_a_form_is_read_in_every_spelling(fields: dict[str, list[str]], found: dict[str, Any]) -> None:
    assert parameters(fields) == found


def test_an_object_is_not_also_a_text() -> None:
    with pytest.raises(InvalidRequest, match=r"^chunking_strategy is given twice$"):
        parameters({"chunking_strategy": ["auto"], "chunking_strategy[type]": ["server_vad"]})


def test_what_is_given_twice_is_refused() -> None:
    with pytest.raises(InvalidRequest, match=r"^language: Input should be a valid string$"):
        AudioRequest.read(parameters({"language": ["de", "en"]}), "transcribe")


def test_nothing_means_openais_defaults() -> None:
    found = meaning()
    assert (found.task, found.response_format, found.timestamps) == ("transcribe", "json", "segment")
    assert (found.temperature, found.stream, found.diarize) == (FALLBACK_TEMPERATURES, False, False)


@pytest.mark.parametrize(
    ("given", "meant"),
    [
        ({"temperature": "0"}, {"temperature": FALLBACK_TEMPERATURES}),
        ({"temperature": "0.3"}, {"temperature": (0.3,)}),
        ({"response_format": "srt"}, {"timestamps": "word", "diarize": None}),
        ({"response_format": "verbose_json"}, {"timestamps": "segment", "diarize": None}),
        ({"response_format": "diarized_json", "num_speakers": "2"}, {"diarize": None, "num_speakers": 2}),
        ({"response_format": "verbose_json", "timestamp_granularities": "word"}, {"timestamps": "word"}),
        ({"include": ["logprobs"]}, {"logprobs": True}),
        ({"chunking_strategy": "auto"}, {"vad_filter": False}),
        (
            {"chunking_strategy": '{"type": "server_vad", "threshold": 0.4}'},
            {"vad_filter": True, "vad_threshold": 0.4, "vad_silence_ms": 200, "vad_padding_ms": 300},
        ),
        ({"keywords": "Anna, Bo"}, {"keywords": ("Anna", "Bo")}),
        ({"stream": "true", "multichannel": "true"}, {"stream": True, "multichannel": True, "diarize": None}),
    ],
)
def test_each_is_honoured(given: dict[str, Any], meant: dict[str, Any]) -> None:
    found = meaning(**given)
    assert {name: getattr(found, name) for name in meant} == meant


@pytest.mark.parametrize("name", ["task", "timestamps", "logprobs", "sampling_rate", "known_speaker_names", "speed"])
def test_nothing_is_ignored(name: str) -> None:
    with pytest.raises(ApiError) as caught:
        meaning(**{name: "1"})
    assert (caught.value.status, caught.value.param) == (400, name)


@pytest.mark.parametrize(
    "given",
    [
        {"response_format": "diarized_json", "diarize": "false"},
        {"diarize": "true"},
        {"vad_filter": "true", "chunking_strategy": "auto"},
        {"language": "de", "languages": "de,en"},
        {"chunking_strategy": "{"},
        {"chunking_strategy": {"type": "server_vad", "mode": "x"}},
        {"model": "x" * 1000},
    ],
)
def test_what_contradicts_itself_is_refused(given: dict[str, Any]) -> None:
    with pytest.raises(InvalidRequest):
        meaning(**given)
