"""The parameters of a request as other software names them, and the InferenceConfig that they mean.

Every interface reads its requests through this module. So each parameter has a meaning, or the answer names it in
`warnings`, or the request is refused. None is silently ignored.
"""

import json
from collections.abc import Collection, Iterator, Mapping
from typing import Any, NamedTuple, TypeVar

from transcription.config.inference_config import InferenceConfig
from transcription.errors import InvalidRequest

Config = TypeVar("Config", bound=InferenceConfig)
Parameters = dict[str, Any]
Warnings = tuple[str, ...]

_GROUPS = ("generate_kwargs", "generation_parameters", "generation_config")
"""Objects of parameters in Hugging Face's specification and in the pipelines of transformers."""
_OTHER_NAMES = {
    "chunk_length": "chunk_length_s",  # faster-whisper
    "hotwords": "keywords",  # vLLM, faster-whisper
    "initial_prompt": "prompt",  # openai/whisper, faster-whisper
    "log_prob_threshold": "logprob_threshold",  # faster-whisper
    "num_beams": "beam_size",  # transformers
    "return_timestamps": "timestamps",  # Hugging Face's specification
    "without_timestamps": "timestamps",  # faster-whisper
    "word_timestamps": "timestamps",  # faster-whisper
}
"""Parameters of other software, and ours that mean the same."""
_TIMESTAMPS: dict[str, dict[str, str | None]] = {
    "return_timestamps": {"true": "segment", "false": "none", "word": "word", "segment": "segment"},
    "without_timestamps": {"true": "none", "false": None},
    "word_timestamps": {"true": "word", "false": None},
}
"""The values of other software for times, and those of timestamps; None: the default."""
_WITHOUT_EFFECT = frozenset({
    "best_of", "condition_on_prev_tokens", "condition_on_previous_text", "decoder_kwargs", "do_sample",
    "early_stopping", "epsilon_cutoff", "eta_cutoff", "frequency_penalty", "ignore_warning",
    "include_stop_str_in_output", "logit_bias", "max_completion_tokens", "max_length", "max_new_tokens", "max_tokens",
    "metadata", "min_length", "min_new_tokens", "min_p", "modalities", "multilingual", "n", "no_repeat_ngram_size",
    "num_beam_groups", "num_return_sequences", "parallel_tool_calls", "penalty_alpha", "presence_penalty", "prompt_ids",
    "reasoning_effort", "repetition_penalty", "return_language", "safety_identifier", "service_tier", "stop", "store",
    "stream_continuous_usage_stats", "stream_include_usage", "stride_length_s", "suppress_blank", "suppress_tokens",
    "to_language", "tool_choice", "tools", "top_k", "top_logprobs", "top_p", "typical_p", "use_beam_search",
    "use_cache", "user", "verbosity", "vllm_xargs", "without_timestamps",
})  # fmt: skip
"""Parameters of other software that mean nothing here."""
_VALUES_WITHOUT_WARNING: dict[str, tuple[object, ...]] = {
    "best_of": (1,),
    "condition_on_prev_tokens": (False,),
    "condition_on_previous_text": (False,),
    "include_stop_str_in_output": (False,),
    "n": (1,),
    "num_beam_groups": (1,),
    "num_return_sequences": (1,),
    "return_language": (True,),
    "sampling_rate": (16_000,),
    "stream_continuous_usage_stats": (False,),
    "stream_include_usage": (True, False),  # the last event has the usage always
    "use_beam_search": (False,),
    "use_cache": (True,),
    "without_timestamps": (False,),
}
"""What these values ask for happens anyway."""
_TOKEN_RATIO = 2.4 / 1.35  # of thresholds for text and for token ids that mean the same
_MAX_NAMES, _MAX_NAME = 20, 40  # in a warning


class _Sent(NamedTuple):
    name: str  # as the client wrote it
    ours: str
    value: Any


def parse_request(parameters: object, config_class: type[Config]) -> tuple[Config, Warnings]:
    """Return the config of a request, and warnings that name what it ignores. None and {} are the defaults.

    Raises InvalidRequest if a value is wrong.
    """
    known, warnings = normalize(parameters, config_class)
    unknown = [name for name in known if name not in config_class.model_fields]
    return config_class.from_request(known), (*warnings, *_named("ignored unknown parameters", unknown))


def normalize(
    parameters: object, config_class: type[InferenceConfig] = InferenceConfig, without_effect: Collection[str] = ()
) -> tuple[Parameters, Warnings]:
    """Return the parameters under our names, and warnings that name those without effect. Unknown ones are kept.

    without_effect: parameters of other software that mean nothing in this interface, though they do in others.
    Raises InvalidRequest if `parameters` is no object, or a value of other software is wrong.
    """
    if parameters is None:
        parameters = {}
    if not isinstance(parameters, Mapping):
        raise InvalidRequest('parameters must be an object, e.g. {"language": "en"}')
    levels = [{name: value for name, value in parameters.items() if name not in _GROUPS}]
    levels += [_group(name, parameters[name]) for name in _GROUPS if parameters.get(name) is not None]
    result: Parameters = {}
    repeated: list[str] = []
    for sent in (sent for level in levels for sent in _translated(level, config_class.model_fields, without_effect)):
        if result.setdefault(sent.ours, sent.value) != sent.value:
            repeated.append(sent.name)
    result, ignored = _sampled(_with_beams(result))
    ignored += [name for name in result if _is_without_effect(name, result[name], config_class.model_fields)]
    kept = (name for name in result if name in config_class.model_fields or name not in _WITHOUT_EFFECT)
    return {name: result[name] for name in kept}, (
        *_named("ignored parameters without effect here", ignored),
        *_named("ignored parameters that are given twice", repeated),
    )


def _group(name: str, value: object) -> Parameters:
    """Return the parameters in an object, which a query has as JSON text. Raises InvalidRequest."""
    if isinstance(value, str):
        try:
            value = json.loads(value)
        except (ValueError, RecursionError):
            value = None
    if not isinstance(value, Mapping):
        raise InvalidRequest(f'{name} must be an object, e.g. {{"language": "en"}}', name)
    group, ratio = dict(value), value.get("compression_ratio_threshold")
    if isinstance(ratio, float | int):  # transformers compresses token ids, which gives smaller ratios than text
        group["compression_ratio_threshold"] = round(ratio * _TOKEN_RATIO, 2)
    return group


def _translated(level: Mapping[Any, Any], fields: Collection[str], kept: Collection[str]) -> Iterator[_Sent]:
    """Yield the parameters of one level under our names, except `kept`; those that have our name come first.

    Raises InvalidRequest if a value is wrong.
    """
    sent = {str(name): value for name, value in level.items() if value is not None}
    others = {name: ours for name in sent if name not in kept and (ours := _OTHER_NAMES.get(name)) in fields}
    if sent.get("timestamps") == "auto":
        del sent["timestamps"]
    yield from (_Sent(name, name, value) for name, value in sent.items() if name not in others)
    for name, ours in others.items():
        value = _timestamps(name, sent[name]) if name in _TIMESTAMPS else sent[name]
        if ours is not None and value is not None:
            yield _Sent(name, ours, value)


def _timestamps(name: str, value: object) -> str | None:
    """Return the value of timestamps that a value of other software means. Raises InvalidRequest."""
    choices = _TIMESTAMPS[name]
    text = str(bool(value) if value in (0, 1) else value).lower()
    if text not in choices:
        raise InvalidRequest(f"{name} must be {' or '.join(choices)}", name)
    return choices[text]


def _with_beams(sent: Parameters) -> Parameters:
    """Return the parameters with vLLM's number of beams: n, if use_beam_search is true."""
    if str(sent.get("use_beam_search")).lower() not in ("true", "1") or "n" not in sent or "beam_size" in sent:
        return sent
    return {"beam_size": sent["n"]} | {name: sent[name] for name in sent if name not in ("use_beam_search", "n")}


def _sampled(sent: Parameters) -> tuple[Parameters, list[str]]:
    """Return the parameters with do_sample as a temperature, and the names of those that it makes useless."""
    if "do_sample" not in sent:
        return sent, []
    rest = {name: value for name, value in sent.items() if name != "do_sample"}
    is_zero = str(rest.get("temperature", 1)).strip("[]() ") in ("0", "0.0")
    if str(sent["do_sample"]).lower() in ("true", "1"):
        return {"temperature": 1.0} | rest, ["do_sample"] if is_zero else []
    if "temperature" not in rest or is_zero:
        return rest, []
    return rest | {"temperature": 0.0}, ["temperature"]


def _is_without_effect(name: str, value: object, fields: Collection[str]) -> bool:
    if name != "sampling_rate" and (name in fields or name not in _WITHOUT_EFFECT):
        return False
    return str(value).lower() not in (str(one).lower() for one in _VALUES_WITHOUT_WARNING.get(name, ()))


def _named(message: str, names: Collection[str]) -> Warnings:
    """Return a warning that names parameters, none if there are none."""
    shown = [name[:_MAX_NAME] for name in sorted(names)[:_MAX_NAMES]]
    more = [f"and {len(names) - _MAX_NAMES} more"] if len(names) > _MAX_NAMES else []
    return (f"{message}: {', '.join(shown + more)}",) if names else ()
