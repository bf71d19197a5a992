"""The parameters of OpenAI's audio routes: forms as clients write them, and the InferenceConfig that they mean."""

from contextlib import nullcontext
from typing import Any

import pytest

from transcription.config import FALLBACK_TEMPERATURES, InferenceConfig
from transcription.errors import InvalidRequest
from transcription.formats import FORMATS, formats_of
from transcription.server.api_errors import ApiError
from transcription.server.parameters import TranscriptionRequest, form_parameters


def config_of(**parameters: Any) -> InferenceConfig:
    return TranscriptionRequest.from_parameters(parameters).to_config("transcribe")


@pytest.mark.parametrize(
    ("fields", "parameters"),
    [
        ({}, {}),
        ({"language": [""], "prompt": [" "]}, {}),
        ({"language": ["de"]}, {"language": "de"}),
        ({"languages[]": ["de", "en"]}, {"languages": ["de", "en"]}),
        ({"languages": ["de", "en"]}, {"languages": ["de", "en"]}),
        ({"timestamp_granularities[0]": ["word"]}, {"timestamp_granularities": ["word"]}),
        ({"keywords": ["Anna"], "keywords[]": ["Bo"]}, {"keywords": ["Anna", "Bo"]}),
        (
            {"chunking_strategy[type]": ["server_vad"], "chunking_strategy[threshold]": ["0.4"]},
            {"chunking_strategy": {"type": "server_vad", "threshold": "0.4"}},
        ),
    ],
)
def test_form_fields_become_parameters(fields: dict[str, list[str]], parameters: dict[str, Any]) -> None:
    assert form_parameters(fields) == parameters


def test_object_and_text_of_one_name_are_refused() -> None:
    with pytest.raises(InvalidRequest, match=r"^chunking_strategy is given twice$"):
        form_parameters({"chunking_strategy": ["auto"], "chunking_strategy[type]": ["server_vad"]})


def test_two_values_of_a_single_parameter_are_refused() -> None:
    with pytest.raises(InvalidRequest, match=r"^language: Input should be a valid string$"):
        config_of(**form_parameters({"language": ["de", "en"]}))


def test_defaults_are_those_of_openai() -> None:
    request, config = TranscriptionRequest.from_parameters({}), config_of()
    assert (request.response_format, request.stream) == ("json", False)
    assert (config.task, config.timestamps, config.diarize) == ("transcribe", "segment", False)
    assert config.temperature == FALLBACK_TEMPERATURES


@pytest.mark.parametrize(
    ("parameters", "expected"),
    [
        ({"temperature": "0"}, {"temperature": FALLBACK_TEMPERATURES}),
        ({"temperature": "0.3"}, {"temperature": (0.3,)}),
        ({"response_format": "srt"}, {"timestamps": "word", "diarize": None}),
        ({"response_format": "verbose_json"}, {"timestamps": "segment", "diarize": None}),
        ({"response_format": "diarized_json", "num_speakers": "2"}, {"diarize": True, "num_speakers": 2}),
        ({"response_format": "diarized_json", "multichannel": "true"}, {"diarize": None, "multichannel": True}),
        ({"response_format": "verbose_json", "timestamp_granularities": "word"}, {"timestamps": "word"}),
        ({"include": ["logprobs"]}, {"logprobs": True}),
        ({"chunking_strategy": "auto"}, {"vad_filter": False}),
        ({"chunking_strategy": {"type": "server_vad", "threshold": "0"}}, {"vad_threshold": 0.0}),
        ({"chunking_strategy": {"type": "server_vad", "threshold": "1"}}, {"vad_threshold": 1.0}),
        ({"prompt": 2024, "keywords": '["Smith, Anna"]'}, {"prompt": "2024", "keywords": ("Smith, Anna",)}),
        ({"seed": "4294967297"}, {"seed": 1}),
        (
            {"chunking_strategy": '{"type": "server_vad", "threshold": 0.4}'},
            {"vad_filter": True, "vad_threshold": 0.4, "vad_silence_ms": 200, "vad_padding_ms": 300},
        ),
        ({"keywords": "Anna, Bo"}, {"keywords": ("Anna", "Bo")}),
        ({"multichannel": "true"}, {"multichannel": True, "diarize": None}),
    ],
)
def test_parameters_become_a_config(parameters: dict[str, Any], expected: dict[str, Any]) -> None:
    config = config_of(**parameters)
    assert {name: getattr(config, name) for name in expected} == expected


@pytest.mark.parametrize(
    ("field", "values"),
    [
        ("timestamp_granularities", ["word,segment"]),
        ("timestamp_granularities", ["word", "segment"]),
        ("timestamp_granularities", ['["word", "segment"]']),
        ("timestamp_granularities[]", ["word", "segment"]),
        ("timestamp_granularities[]", ["word,segment"]),
        ("timestamp_granularities[0]", ["word", "segment"]),
    ],
)
def test_granularities_have_many_spellings(field: str, values: list[str]) -> None:
    request = TranscriptionRequest.from_parameters(form_parameters({field: values}))
    assert request.timestamp_granularities == ("word", "segment")


@pytest.mark.parametrize(
    ("parameters", "expected"),
    [
        ({}, "json"),
        ({"timestamp_granularities": "segment"}, "verbose_json"),
        ({"timestamp_granularities": "segment", "response_format": "json"}, "json"),
        ({"timestamp_granularities": "segment", "stream": "true"}, "json"),
    ],
)
def test_times_without_a_format_mean_verbose_json(parameters: dict[str, Any], expected: str) -> None:
    """Early versions of Vercel's AI SDK send no format."""
    assert TranscriptionRequest.from_parameters(parameters).response_format == expected


def test_the_message_names_the_field_inside_an_object() -> None:
    strategy = {"type": "server_vad", "threshold": 2}
    with pytest.raises(InvalidRequest) as caught:
        config_of(chunking_strategy=strategy)
    assert (str(caught.value), caught.value.param) == (
        "chunking_strategy.threshold: Input should be less than or equal to 1", "chunking_strategy",
    )  # fmt: skip


def test_config_is_independent_of_the_request() -> None:
    assert type(config_of(language="de", stream="true", model="whisper-1")) is InferenceConfig


@pytest.mark.parametrize("name", ["task", "timestamps", "logprobs", "sampling_rate", "known_speakers", "speed"])
def test_unsupported_parameters_are_refused(name: str) -> None:
    with pytest.raises(ApiError) as caught:
        config_of(**{name: "1"})
    assert (caught.value.status, caught.value.param) == (400, name)


@pytest.mark.parametrize(
    "parameters",
    [
        {"response_format": "diarized_json", "diarize": "false"},
        {"response_format": "rttm"},
        {"diarize": "true"},
        {"vad_filter": "true", "chunking_strategy": "auto"},
        {"language": "de", "languages": "de,en"},
        {"chunking_strategy": "{"},
        {"chunking_strategy": {"type": "server_vad", "mode": "x"}},
        {"model": "x" * 1000},
    ],
)
def test_wrong_or_contradictory_parameters_are_refused(parameters: dict[str, Any]) -> None:
    with pytest.raises(InvalidRequest):
        config_of(**parameters)


@pytest.mark.parametrize("name", formats_of("openai"))
def test_each_format_accepts_what_its_row_says(name: str) -> None:
    row = FORMATS[name]
    requests: list[tuple[dict[str, Any], bool]] = [
        ({}, True),
        ({"timestamp_granularities": "word"}, row.shows_words),
        ({"include": "logprobs"}, row.shows_logprobs),
        ({"stream": "true"}, row.streams),
        ({"num_speakers": "2"}, row.shows_speakers),
        ({"diarize": "false"}, not row.needs_speakers),
        ({"max_line_width": "30"}, row.is_subtitle),
        ({"highlight_words": "true", "cue_gap_ms": "0"}, row.is_subtitle),
    ]
    for parameters, is_accepted in requests:
        with nullcontext() if is_accepted else pytest.raises(InvalidRequest, match=r" needs? "):
            config_of(response_format=name, **parameters)
