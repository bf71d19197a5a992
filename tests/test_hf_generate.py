"""The engine on transformers' generate(), on the demo checkpoints."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest

from tests.conftest import ASSISTANT, DEMO, SAMPLES
from transcription.config import FALLBACK_TEMPERATURES, InferenceConfig, ModelSettings
from transcription.engines.hf_generate import HFGenerateEngine

SHORT = SAMPLES["short"].audio


@pytest.fixture(scope="module")
def engine() -> HFGenerateEngine:
    return HFGenerateEngine(ModelSettings.from_environment(asr_model=str(DEMO), assistant_model=str(ASSISTANT)))


@contextmanager
def counted(module: Any) -> Iterator[list[int]]:
    """Yield the number of rows of every forward pass of a module."""
    rows: list[int] = []
    handle = module.register_forward_hook(lambda _, args, kwargs, out: rows.append(len(out[0])), with_kwargs=True)
    try:
        yield rows
    finally:
        handle.remove()


def config(**changes: Any) -> InferenceConfig:
    return InferenceConfig(**{"timestamps": "word", **changes})


def test_an_assistant_with_the_same_encoder_is_reduced_to_its_decoder_and_drafts(engine: HFGenerateEngine) -> None:
    assert type(engine.assistant).__name__ == "WhisperForCausalLM"
    with counted(engine.assistant.model.decoder) as drafts:
        engine.transcribe(SHORT, config(assisted=True))
    assert drafts


def test_each_window_is_encoded_once_for_fallback_and_word_times(engine: HFGenerateEngine) -> None:
    with counted(engine.model.model.encoder) as rows:
        engine.transcribe(SHORT, config(temperature=FALLBACK_TEMPERATURES, logprob_threshold=-0.0))
    assert len(rows) == 1


def test_every_second_is_accounted_for(engine: HFGenerateEngine) -> None:
    transcript = engine.transcribe(SHORT, config())
    assert [part.kind for part in transcript.coverage] == ["silent", *["transcribed", "silent"] * 2]
    assert (transcript.coverage[0].start, transcript.coverage[-1].end) == (0.0, transcript.duration)


def test_word_times_leave_the_models_attention_implementation_as_it_is(engine: HFGenerateEngine) -> None:
    engine.transcribe(SHORT, config())
    assert engine.model.config._attn_implementation == "sdpa"
