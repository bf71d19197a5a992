"""Variables and options that users of other software know."""

import pytest

from tests.conftest import SAMPLES
from transcription.cli import serve
from transcription.config import IgnoredVariables, InferenceConfig, ModelSettings
from transcription.errors import InvalidSettings
from transcription.transcriber import Transcriber

SAME_VALUES = {"VLLM_KV_CACHE_DTYPE": "auto", "VLLM_USE_FLASHINFER": "0", "WHISPER_SAMPLING_RATE": "16000"}


@pytest.fixture(autouse=True)
def model(monkeypatch: pytest.MonkeyPatch) -> None:
    """Name a model, which the settings require, and no data type."""
    monkeypatch.setenv("ASR_MODEL", "x")
    monkeypatch.delenv("VLLM_DTYPE")


@pytest.mark.parametrize(
    ("variable", "value", "field", "expected"),
    [
        ("DTYPE", "half", "dtype", "float16"),
        ("DTYPE", "FP16", "dtype", "float16"),
        ("DTYPE", "bf16", "dtype", "bfloat16"),
        ("VLLM_DTYPE", "float16", "dtype", "float16"),
        ("VLLM_DTYPE", "bfloat16", "dtype", "bfloat16"),
        ("TIMESTAMPS", "auto", "timestamps", "segment"),
        ("TIMESTAMPS", "none", "timestamps", "none"),
        ("TIMESTAMPS", "segments", "timestamps", "segment"),
        ("MAX_AUDIO_SECONDS", "0", "max_audio_seconds", 0.0),
        ("WHISPER_SEGMENT_DURATION_SEC", "20", "chunk_length_s", 20.0),
        ("MAX_NUM_SEQS", "8", "slots", 8),
    ],
)
def test_a_variable_has_its_meaning(
    monkeypatch: pytest.MonkeyPatch, variable: str, value: str, field: str, expected: object
) -> None:
    monkeypatch.setenv(variable, value)
    settings = ModelSettings.from_environment()
    assert settings.model_dump(exclude={"asr_model"}, exclude_defaults=True) == (
        {} if expected == ModelSettings.model_fields[field].default else {field: expected}
    )


def test_our_own_variable_comes_first(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("VLLM_DTYPE", "half")
    monkeypatch.setenv("DTYPE", "bf16")
    assert ModelSettings.from_environment().dtype == "bfloat16"
    assert ModelSettings.from_environment(dtype="float32").dtype == "float32"


@pytest.mark.parametrize(("variable", "value"), [("VLLM_DTYPE", "fp8"), ("WHISPER_SEGMENT_DURATION_SEC", "60")])
def test_a_wrong_value_names_the_variable(monkeypatch: pytest.MonkeyPatch, variable: str, value: str) -> None:
    monkeypatch.setenv(variable, value)
    with pytest.raises(InvalidSettings, match=f"^{variable}: Input should be "):
        ModelSettings.from_environment()


def test_one_line_in_the_log_names_ignored_variables(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    for name in IgnoredVariables.model_fields:
        monkeypatch.setenv(name.upper(), "fp8")
    ModelSettings.from_environment()
    assert caplog.messages == [
        "ignored variables without effect here: WHISPER_SAMPLING_RATE, VLLM_KV_CACHE_DTYPE, VLLM_ATTENTION_BACKEND,"
        " VLLM_USE_FLASHINFER"
    ]


@pytest.mark.parametrize("values", [{}, SAME_VALUES])
def test_values_that_change_nothing_are_not_in_the_log(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture, values: dict[str, str]
) -> None:
    for name, value in values.items():
        monkeypatch.setenv(name, value)
    ModelSettings.from_environment()
    assert caplog.messages == []


def test_zero_seconds_are_without_limit(transcriber: Transcriber) -> None:
    settings = transcriber.settings.model_copy(update={"max_audio_seconds": 0.0, "diarization_model": None})
    assert Transcriber(settings, transcriber.engine).limits.max_seconds is None


def test_chunk_length_is_a_default_for_requests(transcriber: Transcriber) -> None:
    settings = transcriber.settings.model_copy(update={"chunk_length_s": 3.0})
    short, audio = Transcriber(settings, transcriber.engine), SAMPLES["short"].audio
    default = short.transcribe(audio, InferenceConfig()).text
    requested = short.transcribe(audio, InferenceConfig(chunk_length_s=30)).text
    assert default == transcriber.transcribe(audio, InferenceConfig(chunk_length_s=3)).text
    assert requested == transcriber.transcribe(audio, InferenceConfig()).text != default


def test_options_come_before_variables(monkeypatch: pytest.MonkeyPatch) -> None:
    names = ["--model", "m", "--served-model-name", "whisper-1", "--host", "127.0.0.2", "--port", "80"]
    options = serve.parser().parse_args([*names, "--dtype", "half", "--max-num-seqs", "8"])
    monkeypatch.setenv("PORT", "81")
    monkeypatch.setenv("DTYPE", "bf16")
    server, models = serve.settings(options)
    assert (server.served_model_name, server.host, server.port) == ("whisper-1", "127.0.0.2", 80)
    assert (models.asr_model, models.dtype, models.slots) == ("m", "float16", 8)


def test_without_options_the_variables_count(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PORT", "81")
    server, models = serve.settings(serve.parser().parse_args([]))
    assert (server.port, models.asr_model) == (81, "x")
