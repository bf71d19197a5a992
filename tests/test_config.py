import logging

import pytest

from tests.conftest import DEMO
from transcription.config import InferenceConfig, ModelSettings
from transcription.errors import InvalidRequest, InvalidSettings


def test_the_model_must_be_named() -> None:
    with pytest.raises(InvalidSettings, match=r"^ASR_MODEL is not set: set it to a Whisper model"):
        ModelSettings.from_environment()


def test_asr_model_alone_is_enough(monkeypatch: pytest.MonkeyPatch) -> None:
    """Regression: the original could not be imported with only ASR_MODEL set."""
    monkeypatch.setenv("ASR_MODEL", "openai/whisper-tiny")
    settings = ModelSettings.from_environment()
    assert (settings.asr_model, settings.assistant_model, settings.hf_token) == ("openai/whisper-tiny", None, None)


def test_model_id_is_another_name_of_asr_model(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MODEL_ID", "openai/whisper-base")
    assert ModelSettings.from_environment().asr_model == "openai/whisper-base"
    monkeypatch.setenv("ASR_MODEL", "openai/whisper-tiny")
    assert ModelSettings.from_environment().asr_model == "openai/whisper-tiny"


def test_weights_at_the_path_serve_when_nothing_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    assert ModelSettings.from_environment(str(DEMO)).asr_model == str(DEMO)
    monkeypatch.setenv("ASR_MODEL", "openai/whisper-tiny")
    assert ModelSettings.from_environment(str(DEMO)).asr_model == "openai/whisper-tiny"


def test_empty_variables_are_not_set(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("ASSISTANT_MODEL", "HF_TOKEN", "DTYPE", "MAX_AUDIO_SECONDS"):
        monkeypatch.setenv(name, "")
    monkeypatch.setenv("ASR_MODEL", "x")
    settings = ModelSettings.from_environment()
    assert (settings.assistant_model, settings.hf_token, settings.dtype, settings.max_audio_seconds) == (
        None, None, "auto", 14_400.0,
    )  # fmt: skip


def test_a_wrong_variable_is_named_and_the_token_never_shown(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ASR_MODEL", "x")
    monkeypatch.setenv("HF_TOKEN", "hf_secret")
    monkeypatch.setenv("DTYPE", "float8")
    with pytest.raises(InvalidSettings) as caught:
        ModelSettings.from_environment()
    assert str(caught.value).startswith("DTYPE: ")
    assert "pydantic" not in str(caught.value)
    monkeypatch.delenv("DTYPE")
    assert "hf_secret" not in repr(ModelSettings.from_environment())


@pytest.mark.parametrize("parameters", [None, {}, {"language": None}])
def test_nothing_asked_is_the_defaults(parameters: object) -> None:
    """Regression: `parameters: null` was a TypeError."""
    assert InferenceConfig.from_request(parameters) == InferenceConfig()


def test_a_query_string_says_the_same_as_json() -> None:
    query = {"chunk_length_s": "12.5", "batch_size": 4, "temperature": "0.0,0.2", "assisted": False, "language": ""}
    assert InferenceConfig.from_request(query) == InferenceConfig(
        chunk_length_s=12.5, batch_size=4, temperature=(0.0, 0.2), assisted=False
    )


def test_unknown_parameters_are_ignored_and_logged(caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.WARNING):
        assert InferenceConfig.from_request({"top_secret": 1, "num_beams": 5}) == InferenceConfig()
    assert caplog.messages == ["ignored unknown parameters: num_beams, top_secret"]


WRONG: dict[str, tuple[object, str]] = {
    "a list": ([1], 'parameters must be an object, e.g. {"language": "en"}'),
    "task": ({"task": "sing"}, "task: Input should be 'transcribe' or 'translate'"),
    "batch_size": ({"batch_size": 0}, "batch_size: Input should be greater than or equal to 1"),
    "temperature": ({"temperature": 2}, "temperature: Input should be less than or equal to 1"),
    "no temperature": ({"temperature": []}, "temperature: "),
    "speakers": ({"min_speakers": 3, "max_speakers": 2}, "min_speakers is larger than max_speakers"),
    "no speakers": ({"num_speakers": 0}, "num_speakers: Input should be greater than or equal to 1"),
    "minus one": ({"num_speakers": -1}, "num_speakers: Input should be greater than or equal to 1"),
    "a crowd": ({"max_speakers": 10**30}, "max_speakers: Input should be less than or equal to 100"),
    "half a speaker": ({"num_speakers": 2.5}, "num_speakers: Input should be a valid integer"),
    "two counts": (
        {"num_speakers": 4, "max_speakers": 3},
        "num_speakers is not between min_speakers and max_speakers",
    ),
    "channels and counts": (
        {"multichannel": True, "num_speakers": 2},
        "multichannel takes each channel as a speaker: leave diarize and the counts out",
    ),
    "two ways at once": (
        {"sequential": True, "vad_filter": True},
        "sequential reads all of one channel: leave vad_filter and multichannel out",
    ),
    "assisted word": ({"assisted": "maybe"}, "assisted: "),
}


@pytest.mark.parametrize("name", WRONG)
def test_a_wrong_parameter_is_named_in_one_line(name: str) -> None:
    parameters, message = WRONG[name]
    with pytest.raises(InvalidRequest) as caught:
        InferenceConfig.from_request(parameters)
    assert str(caught.value).startswith(message)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(("sent", "meant"), [(True, True), ("false", False), ("auto", "auto"), (None, "auto")])
def test_assisted_is_true_false_or_auto(sent: object, meant: object) -> None:
    assert InferenceConfig.from_request({"assisted": sent, "batch_size": 8}).assisted == meant


def test_every_field_says_what_it_is_for() -> None:
    fields = {**ModelSettings.model_fields, **InferenceConfig.model_fields}
    assert [name for name, field in fields.items() if not field.description] == []
