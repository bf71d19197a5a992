"""Variables, options and form fields that users of other software know."""

import json

import httpx
import pytest

from tests.conftest import ROOT, SAMPLES
from tests.serving import Running
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


VLLM_FIELDS = {
    "model": "whisper", "language": "en", "prompt": "Hello.", "hotwords": "Sarah", "response_format": "verbose_json",
    "timestamp_granularities[]": "segment", "stream": "false", "temperature": "0.0", "seed": "7",
    "use_beam_search": "true", "n": "2", "length_penalty": "1.0",
}  # fmt: skip
VLLM_IGNORED = {
    "frequency_penalty": "0.1", "include_stop_str_in_output": "true", "max_completion_tokens": "99", "min_p": "0.1",
    "presence_penalty": "0.1", "repetition_penalty": "1.1", "stream_continuous_usage_stats": "true",
    "to_language": "en", "top_k": "5", "top_p": "0.9", "vllm_xargs": '{"a": 1}',
}  # fmt: skip
SPEACHES_FIELDS = {
    "model": "Systran/faster-whisper-tiny", "language": "en", "prompt": "Hello.", "response_format": "verbose_json",
    "temperature": "0.0", "timestamp_granularities[]": "word", "stream": "false", "hotwords": "Sarah",
    "vad_filter": "true",
}  # fmt: skip


@pytest.mark.parametrize(
    ("fields", "ignored"),
    [(VLLM_FIELDS, {}), (VLLM_FIELDS, VLLM_IGNORED), (SPEACHES_FIELDS, {"without_timestamps": "true"}),
     (SPEACHES_FIELDS | {"without_timestamps": "false"}, {})],
)  # fmt: skip
def test_every_form_field_has_its_meaning_or_is_named(
    server: Running, fields: dict[str, str], ignored: dict[str, str]
) -> None:
    files = {"file": ("a.wav", SAMPLES["short"].path.read_bytes())}
    answer = httpx.post(f"{server.url}/v1/audio/transcriptions", files=files, data=fields | ignored, timeout=60)
    names = ", ".join(sorted(ignored))
    assert (answer.status_code, answer.json().get("warnings")) == (
        200, [f"ignored parameters without effect here: {names}"] if names else None,
    )  # fmt: skip


@pytest.mark.parametrize("route", ["transcriptions", "translations"])
def test_the_last_event_of_a_stream_has_the_usage(server: Running, route: str) -> None:
    files = {"file": ("a.wav", SAMPLES["short"].path.read_bytes())}
    data = {"stream": "true", "stream_include_usage": "true"}
    answer = httpx.post(f"{server.url}/v1/audio/{route}", files=files, data=data, timeout=60)
    done = json.loads(answer.text.strip().rpartition("data: ")[2])
    assert (done["type"], done["usage"]["type"], "warnings" in done) == ("transcript.text.done", "tokens", False)


def test_the_document_has_every_form_field() -> None:
    document = (ROOT / "docs" / "migration.md").read_text()
    fields = {**VLLM_FIELDS, **VLLM_IGNORED, **SPEACHES_FIELDS, "stream_include_usage": "", "without_timestamps": ""}
    assert [name for name in fields if f"`{name}`" not in document] == []
