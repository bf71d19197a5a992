"""ModelSettings and InferenceConfig: defaults, environment, requests and error messages."""

import pytest

from tests.conftest import DEMO
from transcription.config import InferenceConfig, ModelSettings, with_absolute_paths
from transcription.engines import ENGINES
from transcription.errors import InvalidRequest, InvalidSettings

FIELDS = {**ModelSettings.model_fields, **InferenceConfig.model_fields}


def test_asr_model_is_required() -> None:
    with pytest.raises(InvalidSettings, match=r"^ASR_MODEL is not set: set it to a Whisper model"):
        ModelSettings.from_environment()


def test_only_asr_model_is_required(monkeypatch: pytest.MonkeyPatch) -> None:
    """Regression: the first version could not be imported with only ASR_MODEL set."""
    monkeypatch.setenv("ASR_MODEL", "openai/whisper-tiny")
    settings = ModelSettings.from_environment()
    assert (settings.asr_model, settings.assistant_model, settings.hf_token) == ("openai/whisper-tiny", None, None)


def test_model_id_is_an_alias_of_asr_model(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MODEL_ID", "openai/whisper-base")
    assert ModelSettings.from_environment().asr_model == "openai/whisper-base"
    monkeypatch.setenv("ASR_MODEL", "openai/whisper-tiny")
    assert ModelSettings.from_environment().asr_model == "openai/whisper-tiny"


def test_a_checkpoint_at_the_path_is_used_if_asr_model_is_not_set(monkeypatch: pytest.MonkeyPatch) -> None:
    assert ModelSettings.from_environment(str(DEMO)).asr_model == str(DEMO)
    monkeypatch.setenv("ASR_MODEL", "openai/whisper-tiny")
    assert ModelSettings.from_environment(str(DEMO)).asr_model == "openai/whisper-tiny"


def test_empty_variables_have_no_effect(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("ASSISTANT_MODEL", "HF_TOKEN", "DTYPE", "VLLM_DTYPE", "MAX_AUDIO_SECONDS"):
        monkeypatch.setenv(name, "")
    monkeypatch.setenv("ASR_MODEL", "x")
    settings = ModelSettings.from_environment()
    assert (settings.assistant_model, settings.hf_token, settings.dtype, settings.max_audio_seconds) == (
        None, None, "auto", 14_400.0,
    )  # fmt: skip


def test_the_error_names_the_variable_and_the_token_stays_secret(monkeypatch: pytest.MonkeyPatch) -> None:
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
def test_a_request_without_parameters_has_the_defaults(parameters: object) -> None:
    """Regression: `parameters: null` was a TypeError."""
    assert InferenceConfig.from_request(parameters) == InferenceConfig()


def test_parameters_may_be_strings_as_in_a_query() -> None:
    query = {"chunk_length_s": "12.5", "batch_size": 4, "temperature": "0.0,0.2", "assisted": False, "language": ""}
    assert InferenceConfig.from_request(query) == InferenceConfig(
        chunk_length_s=12.5, batch_size=4, temperature=(0.0, 0.2), assisted=False
    )


INVALID: dict[str, tuple[object, str]] = {
    "a list": ([1], 'parameters must be an object, e.g. {"language": "en"}'),
    "task": ({"task": "sing"}, "task: Input should be 'transcribe' or 'translate'"),
    "batch_size": ({"batch_size": 0}, "batch_size: Input should be greater than or equal to 1"),
    "temperature": ({"temperature": 2}, "temperature: Input should be less than or equal to 1"),
    "no temperature": ({"temperature": []}, "temperature: "),
    "speakers": ({"min_speakers": 3, "max_speakers": 2}, "min_speakers is larger than max_speakers"),
    "no speakers": ({"num_speakers": 0}, "num_speakers: Input should be greater than or equal to 1"),
    "minus one": ({"num_speakers": -1}, "num_speakers: Input should be greater than or equal to 1"),
    "too many speakers": ({"max_speakers": 10**30}, "max_speakers: Input should be less than or equal to 100"),
    "half a speaker": ({"num_speakers": 2.5}, "num_speakers: Input should be a valid integer"),
    "contradicting counts": (
        {"num_speakers": 4, "max_speakers": 3},
        "num_speakers is not between min_speakers and max_speakers",
    ),
    "channels and counts": (
        {"multichannel": True, "num_speakers": 2},
        "multichannel cannot be combined with diarize or speaker counts",
    ),
    "sequential and vad_filter": (
        {"sequential": True, "vad_filter": True},
        "sequential cannot be combined with vad_filter or multichannel",
    ),
    "language and languages": (
        {"language": "de", "languages": ["de", "en"]},
        "language cannot be combined with languages: send one of them",
    ),
    "assisted word": ({"assisted": "maybe"}, "assisted: "),
}


@pytest.mark.parametrize("name", INVALID)
def test_the_error_names_the_parameter_in_one_line(name: str) -> None:
    parameters, message = INVALID[name]
    with pytest.raises(InvalidRequest) as caught:
        InferenceConfig.from_request(parameters)
    assert str(caught.value).startswith(message)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(("value", "expected"), [(True, True), ("false", False), ("auto", "auto"), (None, "auto")])
def test_assisted_is_true_false_or_auto(value: object, expected: object) -> None:
    assert InferenceConfig.from_request({"assisted": value, "batch_size": 8}).assisted == expected


def test_the_engine_is_batching_unless_set(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ASR_MODEL", "x")
    assert ModelSettings.from_environment().engine == "batching"
    monkeypatch.setenv("ENGINE", "transformers")
    assert ModelSettings.from_environment().engine == "transformers"


def test_slots_is_the_old_name_of_the_batching_engine(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ASR_MODEL", "x")
    monkeypatch.setenv("ENGINE", "slots")
    assert ModelSettings.from_environment().engine == "batching"


def test_every_engine_is_a_value_of_the_setting() -> None:
    values = {ModelSettings.from_environment(asr_model="x", engine=name).engine for name in ENGINES}
    assert values == set(ENGINES)
    with pytest.raises(InvalidSettings, match=r"^ENGINE: Input should be 'batching', 'transformers' or 'onnx'"):
        ModelSettings.from_environment(asr_model="x", engine="other")


def test_absolute_paths_replace_directories_but_not_hub_names(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(DEMO.parent)
    settings = ModelSettings.from_environment(asr_model=DEMO.name, assistant_model="openai/whisper-tiny")
    absolute = with_absolute_paths(settings)
    assert (absolute.asr_model, absolute.assistant_model, absolute.diarization_model) == (
        str(DEMO), "openai/whisper-tiny", None,
    )  # fmt: skip


@pytest.mark.parametrize("name", FIELDS)
def test_every_description_is_a_sentence(name: str) -> None:
    description = FIELDS[name].description or ""
    first_word = description.split(" ")[0]
    assert description[:1].isupper() or first_word.endswith(":"), "a sentence, or the meaning of a value (int8: …)"
    assert description.endswith(".")


@pytest.mark.parametrize(("sent", "text"), [("2024", "2024"), (2024, "2024"), (1.5, "1.5"), (True, "true")])
def test_a_prompt_is_text_although_the_container_casts_queries(sent: object, text: str) -> None:
    config = InferenceConfig.from_request({"prompt": sent, "keywords": sent})
    assert (config.prompt, config.keywords) == (text, (text,))


@pytest.mark.parametrize("name", ["prompt", "keywords"])
def test_refuses_half_a_character(name: str) -> None:
    with pytest.raises(InvalidRequest, match=rf"^{name}: .*(half a character|unicode)"):
        InferenceConfig.from_request({name: "so good \ud83d"})
