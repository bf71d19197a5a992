"""The parameters of other software: each has a meaning, is named in a warning, or is refused."""

from typing import Any

import pytest

from transcription.config import InferenceConfig, normalize, parse_request
from transcription.errors import InvalidRequest


def parsed(parameters: object) -> tuple[InferenceConfig, tuple[str, ...]]:
    return parse_request(parameters, InferenceConfig)


@pytest.mark.parametrize("parameters", [None, {}, {"language": None, "generate_kwargs": None}])
def test_a_request_without_parameters_has_the_defaults_and_no_warning(parameters: object) -> None:
    assert parsed(parameters) == (InferenceConfig(), ())


MEANINGS: list[tuple[dict[str, Any], dict[str, Any]]] = [
    ({"return_timestamps": "word"}, {"timestamps": "word"}),
    ({"return_timestamps": True}, {"timestamps": "segment"}),
    ({"return_timestamps": "False"}, {"timestamps": "none"}),
    ({"return_timestamps": 1}, {"timestamps": "segment"}),
    ({"word_timestamps": True}, {"timestamps": "word"}),
    ({"word_timestamps": False, "without_timestamps": False}, {}),
    ({"timestamps": "auto"}, {}),
    ({"generate_kwargs": {"task": "translate", "language": "de"}}, {"task": "translate", "language": "de"}),
    ({"generate_kwargs": '{"language": "de"}'}, {"language": "de"}),
    ({"generation_parameters": {"temperature": 0.4, "return_timestamps": "word"}},
     {"temperature": (0.4,), "timestamps": "word"}),
    ({"generate_kwargs": {"temperature": [0.0, 0.2]}}, {"temperature": (0.0, 0.2)}),
    ({"do_sample": False}, {}),
    ({"do_sample": True}, {"temperature": (1.0,)}),
    ({"do_sample": "true", "temperature": "0.5"}, {"temperature": (0.5,)}),
    ({"hotwords": "Anna, Bo"}, {"keywords": ("Anna", "Bo")}),
    ({"initial_prompt": "Anna"}, {"prompt": "Anna"}),
    ({"log_prob_threshold": -0.5, "chunk_length": 20}, {"logprob_threshold": -0.5, "chunk_length_s": 20.0}),
    ({"generate_kwargs": {"compression_ratio_threshold": 1.35}}, {"compression_ratio_threshold": 2.4}),
    ({"compression_ratio_threshold": 1.35}, {"compression_ratio_threshold": 1.35}),
    ({"use_cache": True, "condition_on_prev_tokens": False, "sampling_rate": 16_000, "n": "1"}, {}),
    ({"use_beam_search": True, "n": 3}, {"beam_size": 3}),
    ({"stream_include_usage": True, "stream_continuous_usage_stats": False, "include_stop_str_in_output": "false"}, {}),
    ({"generate_kwargs": {"num_beams": 4, "length_penalty": 1.0}}, {"beam_size": 4, "length_penalty": 1.0}),
]  # fmt: skip


@pytest.mark.parametrize(("parameters", "expected"), MEANINGS)
def test_a_parameter_with_a_meaning_has_no_warning(parameters: dict[str, Any], expected: dict[str, Any]) -> None:
    config, warnings = parsed(parameters)
    assert (config, warnings) == (InferenceConfig(**expected), ())


WITHOUT_EFFECT = "ignored parameters without effect here: "
TWICE = "ignored parameters that are given twice: "
UNKNOWN = "ignored unknown parameters: "
IGNORED: list[tuple[dict[str, Any], dict[str, Any], list[str]]] = [
    ({"max_new_tokens": 5}, {}, [f"{WITHOUT_EFFECT}max_new_tokens"]),
    ({"generate_kwargs": {"top_k": 5, "max_new_tokens": 9}}, {}, [f"{WITHOUT_EFFECT}max_new_tokens, top_k"]),
    ({"user": "me", "top_p": 1, "max_completion_tokens": 5}, {},
     [f"{WITHOUT_EFFECT}max_completion_tokens, top_p, user"]),
    ({"do_sample": False, "temperature": 0.5}, {"temperature": (0.0,)}, [f"{WITHOUT_EFFECT}temperature"]),
    ({"do_sample": True, "temperature": 0}, {"temperature": (0.0,)}, [f"{WITHOUT_EFFECT}do_sample"]),
    ({"sampling_rate": 8_000}, {"sampling_rate": 8_000}, [f"{WITHOUT_EFFECT}sampling_rate"]),
    ({"use_beam_search": True, "n": 3, "beam_size": 2}, {"beam_size": 2}, [f"{WITHOUT_EFFECT}n, use_beam_search"]),
    ({"use_beam_search": True}, {}, [f"{WITHOUT_EFFECT}use_beam_search"]),
    ({"use_beam_search": False, "n": 2}, {}, [f"{WITHOUT_EFFECT}n"]),
    ({"to_language": "de", "vllm_xargs": {"a": 1}, "stream_continuous_usage_stats": "true"}, {},
     [f"{WITHOUT_EFFECT}stream_continuous_usage_stats, to_language, vllm_xargs"]),
    ({"condition_on_prev_tokens": True}, {}, [f"{WITHOUT_EFFECT}condition_on_prev_tokens"]),
    ({"return_timestamps": "word", "timestamps": "none"}, {"timestamps": "none"}, [f"{TWICE}return_timestamps"]),
    ({"language": "en", "generate_kwargs": {"language": "de"}}, {"language": "en"}, [f"{TWICE}language"]),
    ({"language": "en", "generate_kwargs": {"language": "en"}}, {"language": "en"}, []),
    ({"top_secret": 1, "generate_kwargs": {"other": 1}}, {}, [f"{UNKNOWN}other, top_secret"]),
    ({"x" * 100: 1}, {}, [UNKNOWN + "x" * 40]),
    ({f"x{number:02}": 1 for number in range(22)}, {},
     [f"{UNKNOWN}{', '.join(f'x{number:02}' for number in range(20))}, and 2 more"]),
]  # fmt: skip


@pytest.mark.parametrize(("parameters", "expected", "warnings"), IGNORED)
def test_an_ignored_parameter_is_named(
    parameters: dict[str, Any], expected: dict[str, Any], warnings: list[str]
) -> None:
    assert parsed(parameters) == (InferenceConfig(**expected), tuple(warnings))


@pytest.mark.parametrize(
    ("parameters", "message"),
    [
        ([1], 'parameters must be an object, e.g. {"language": "en"}'),
        ({"return_timestamps": "char"}, "return_timestamps must be true or false or word or segment"),
        ({"word_timestamps": 2}, "word_timestamps must be true or false"),
        ({"generate_kwargs": [1]}, 'generate_kwargs must be an object, e.g. {"language": "en"}'),
        ({"generation_parameters": "{"}, 'generation_parameters must be an object, e.g. {"language": "en"}'),
        ({"generate_kwargs": {"task": "sing"}}, "task: Input should be 'transcribe' or 'translate'"),
    ],
)
def test_a_wrong_value_is_refused(parameters: object, message: str) -> None:
    with pytest.raises(InvalidRequest) as caught:
        parsed(parameters)
    assert str(caught.value) == message


def test_a_parameter_may_mean_nothing_in_one_interface() -> None:
    sent = {"without_timestamps": "true", "hotwords": "Anna"}
    assert normalize(sent, without_effect=["without_timestamps"]) == (
        {"keywords": "Anna"}, ("ignored parameters without effect here: without_timestamps",),
    )  # fmt: skip
    assert normalize({"without_timestamps": "false"}, without_effect=["without_timestamps"]) == ({}, ())


def test_normalize_keeps_unknown_parameters_for_interfaces_that_refuse_them() -> None:
    assert normalize({"vad": True, "hotwords": "Anna"}) == ({"vad": True, "keywords": "Anna"}, ())
