"""The options of the commands: one for each parameter of a request."""

import argparse
import re
from pathlib import Path
from typing import Any

import pytest

from transcription.cli.options import WITHOUT_OPTION, add_request_options, format_list, inference_config, with_needs
from transcription.config import InferenceConfig
from transcription.errors import InvalidRequest

VALUES: dict[str, tuple[list[str], Any]] = {
    "task": (["--task", "translate"], "translate"),
    "language": (["--language", "de"], "de"),
    "languages": (["--languages", "de,en"], ("de", "en")),
    "chinese_script": (["--chinese-script", "traditional"], "traditional"),
    "timestamps": (["--timestamps", "word"], "word"),
    "prompt": (["--prompt", "Ada, Bo"], "Ada, Bo"),
    "keywords": (["--keywords", "Ada Lovelace,Bo"], ("Ada Lovelace", "Bo")),
    "align": (["--align", "Hello there."], "Hello there."),
    "temperature": (["--temperature", "0,0.4"], (0.0, 0.4)),
    "length_penalty": (["--length-penalty", "0.6"], 0.6),
    "logprob_threshold": (["--logprob-threshold", "-0.5"], -0.5),
    "assisted": (["--assisted", "false"], False),
    "sequential": (["--sequential"], True),
    "vad_filter": (["--vad-filter"], True),
    "diarize": (["--no-diarize"], False),
    "num_speakers": (["--num-speakers", "3"], 3),
    "max_words_per_line": (["--max-words-per-line", "4"], 4),
    "highlight_words": (["--highlight-words"], True),
}
"""Options and the value that they mean. The other parameters are numbers and switches too."""


def parser() -> argparse.ArgumentParser:
    command = argparse.ArgumentParser()
    add_request_options(command)
    return command


def config_of(*arguments: str) -> InferenceConfig:
    return inference_config(parser().parse_args(arguments))


def test_no_options_mean_the_defaults() -> None:
    assert config_of() == InferenceConfig()


@pytest.mark.parametrize("name", InferenceConfig.model_fields)
def test_every_parameter_is_an_option_with_its_description(name: str) -> None:
    has_option = f"--{name.replace('_', '-')}" in re.findall(r"--[a-z-]+", parser().format_help())
    assert has_option == (name not in WITHOUT_OPTION)


@pytest.mark.parametrize("name", sorted(InferenceConfig.model_fields.keys() - WITHOUT_OPTION - VALUES.keys()))
def test_every_default_can_be_given_as_an_option(name: str) -> None:
    value, flag = getattr(InferenceConfig(), name), name.replace("_", "-")
    if isinstance(value, bool):
        assert getattr(config_of(f"--no-{flag}"), name) is value is False
    else:
        value = 2 if value is None else value
        assert getattr(config_of(f"--{flag}", str(value)), name) == value


@pytest.mark.parametrize("name", VALUES)
def test_the_value_of_an_option_is_that_of_the_parameter(name: str) -> None:
    arguments, value = VALUES[name]
    assert config_of(*arguments) == InferenceConfig.model_validate({name: value})


def test_a_text_to_align_may_be_in_a_file(tmp_path: Path) -> None:
    script = tmp_path / "script.txt"
    script.write_text("\ufeffHéllo\nthere.", encoding="utf-8")
    assert config_of("--align", f"@{script}").align == "Héllo\nthere."
    script.write_bytes(b"\xff\xfe")
    for name, problem in ((script, "is not UTF-8 text"), (tmp_path / "none", "cannot be read: No such file")):
        with pytest.raises(InvalidRequest, match=f"^align: {name} {problem}"):
            config_of("--align", f"@{name}")


def test_options_of_models_ask_for_their_use() -> None:
    assert config_of("--assistant", "tiny").assisted is True
    assert config_of("--assistant", "tiny", "--assisted", "auto").assisted == "auto"
    assert config_of("--diarization-model", "d").diarize is True
    assert config_of("--diarization-model", "d", "--no-diarize").diarize is False
    assert config_of("--diarization-model", "d", "--multichannel").diarize is None


@pytest.mark.parametrize("arguments", [["--num-speakers", "many"], ["--max-line-width", "1"], ["--temperature", "x"]])
def test_a_wrong_value_names_its_parameter(arguments: list[str]) -> None:
    with pytest.raises(InvalidRequest, match=arguments[0][2:].replace("-", "_")):
        config_of(*arguments)


def test_formats_are_separated_by_commas() -> None:
    parse = format_list(("srt", "vtt"))
    assert (parse("srt"), parse("vtt, srt")) == (["srt"], ["vtt", "srt"])
    with pytest.raises(argparse.ArgumentTypeError, match="'docx' is no format: choose from srt, vtt"):
        parse("srt,docx")


def test_formats_ask_for_what_they_need() -> None:
    assert with_needs(InferenceConfig(), []) == InferenceConfig()
    assert with_needs(InferenceConfig(), ["transcript", "json"]) == InferenceConfig()
    assert with_needs(InferenceConfig(), ["srt", "rttm"]) == InferenceConfig(timestamps="word", diarize=True)
