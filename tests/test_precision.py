"""DTYPE and QUANTIZATION: which precision a model gets, and what bfloat16 and int8 do to the text."""

from pathlib import Path
from typing import Any

import jiwer
import pytest
import torch

from tests.conftest import ASSISTANT, DEMO, SAMPLES
from transcription.config import InferenceConfig, ModelSettings
from transcription.engines.batching.engine import BatchingEngine
from transcription.errors import InvalidSettings
from transcription.transcriber import Transcriber
from transcription.whisper.loading import choose_dtype
from transcription.whisper.processor import computes_in_bfloat16, has_amx

CPU = torch.device("cpu")


def settings(**changes: Any) -> ModelSettings:
    return ModelSettings.from_environment(asr_model=str(DEMO), **changes)


@pytest.mark.parametrize(
    ("cpuinfo", "expected"),
    [
        ("flags\t\t: fma avx512f avx512_bf16\nflags\t\t: fma", True),
        ("flags\t\t: avx2 amx_bf16 amx_int8", True),
        ("flags\t\t: fma avx2 avx512f avx512_vnni", False),
        ("Features\t: asimd bf16", False),  # ARM was not measured
        ("", False),
    ],
)
def test_a_cpu_computes_in_bfloat16_if_it_has_the_instructions(tmp_path: Path, cpuinfo: str, expected: bool) -> None:
    path = tmp_path / "cpuinfo"
    assert not computes_in_bfloat16(path)
    path.write_text(cpuinfo)
    assert computes_in_bfloat16(path) == (expected and torch.backends.mkldnn.is_available())  # type: ignore[no-untyped-call]


def test_a_cpu_has_amx_if_its_flags_say_so(tmp_path: Path) -> None:
    path = tmp_path / "cpuinfo"
    path.write_text("flags\t\t: fma amx_bf16 amx_tile")
    assert has_amx(path)
    assert not has_amx(tmp_path / "missing")


@pytest.mark.parametrize(
    ("dtype", "quantization", "expected"),
    [
        ("auto", "none", torch.bfloat16 if computes_in_bfloat16() else torch.float32),
        ("auto", "int8", torch.float32),
        ("float32", "int8", torch.float32),
        ("bfloat16", "none", torch.bfloat16),
    ],
)
def test_dtype_on_a_cpu(dtype: str, quantization: str, expected: torch.dtype) -> None:
    assert choose_dtype(settings(dtype=dtype, quantization=quantization), CPU) == expected


def test_int8_is_refused_with_bfloat16() -> None:
    with pytest.raises(InvalidSettings, match=r"^QUANTIZATION int8 needs float32 for all else: set DTYPE to float32"):
        BatchingEngine(settings(dtype="bfloat16", quantization="int8"))


@pytest.mark.parametrize("changes", [{"quantization": "int8"}, {"dtype": "bfloat16"}])
def test_small_precisions_give_nearly_the_same_text(changes: dict[str, str]) -> None:
    small = BatchingEngine(settings(slots=2, assistant_model=str(ASSISTANT), **changes))
    for name in ("short", "meeting", "noisy"):
        text = small.transcribe(SAMPLES[name].audio, InferenceConfig(timestamps="segment", beam_size=1)).text
        assert jiwer.wer(SAMPLES[name].truth["text"], text) <= 0.12
    assert small.transcribe(SAMPLES["silence"].audio, InferenceConfig()).text == ""


def test_bfloat16_has_beams_and_the_word_times_of_float32(transcriber: Transcriber) -> None:
    audio, config = SAMPLES["short"].audio, InferenceConfig(timestamps="word", beam_size=3)
    small = BatchingEngine(settings(slots=1, dtype="bfloat16")).transcribe(audio, config)
    exact = transcriber.transcribe(audio, config)
    assert small.text == exact.text
    for one, other in zip(small.words, exact.words, strict=True):
        near = pytest.approx((other.start, other.end, other.probability), abs=0.1)
        assert (one.start, one.end, one.probability) == near
