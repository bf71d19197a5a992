"""The engine on transformers' own loop, on the real demo checkpoints."""

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
    """The rows of every forward pass of a module."""
    rows: list[int] = []
    handle = module.register_forward_hook(lambda _, args, kwargs, out: rows.append(len(out[0])), with_kwargs=True)
    try:
        yield rows
    finally:
        handle.remove()


def config(**changes: Any) -> InferenceConfig:
    return InferenceConfig(**{"timestamps": "word", **changes})


def test_the_assistant_shares_the_main_models_encoder_and_drafts(engine: HFGenerateEngine) -> None:
    assert type(engine.assistant).__name__ == "WhisperForCausalLM"
    with counted(engine.assistant.model.decoder) as drafts:
        engine.transcribe(SHORT, config(assisted=True))
    assert drafts


def test_each_window_is_encoded_once_whatever_is_asked(engine: HFGenerateEngine) -> None:
    with counted(engine.model.model.encoder) as rows:
        engine.transcribe(SHORT, config(temperature=FALLBACK_TEMPERATURES, logprob_threshold=-0.0))
    assert len(rows) == 1


def test_word_times_leave_the_attention_of_the_model_alone(engine: HFGenerateEngine) -> None:
    engine.transcribe(SHORT, config())
    assert engine.model.config._attn_implementation == "sdpa"
