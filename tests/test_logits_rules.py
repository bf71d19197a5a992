"""The decoding rules, compared with transformers' own logits processors."""

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor
from transformers import GenerationConfig
from transformers.generation.logits_process import (
    SuppressTokensAtBeginLogitsProcessor,
    SuppressTokensLogitsProcessor,
    WhisperTimeStampLogitsProcessor,
)

from transcription.engines.batching.logits_rules import BEGIN, UNTIMED_BEGIN, LogitsRules, Sampling
from transcription.whisper.tokens import Vocabulary

# Text is 0 to 19, the end of text 20, special tokens up to 29, timestamps from 30 on.
VOCABULARY = Vocabulary(
    start=21, end=20, no_timestamps=29, previous=22, no_speech=28, languages={}, tasks={}, first_timestamp=30
)
SIZE, PROMPT = 60, [21, 23]
SUPPRESSED, SUPPRESSED_FIRST, MAX_INITIAL = [3, 25], [5, 20], 7


def rules(max_initial: int | None = MAX_INITIAL) -> LogitsRules:
    return LogitsRules(VOCABULARY, SIZE, torch.device("cpu"), SUPPRESSED, SUPPRESSED_FIRST, max_initial)


def processed(written: list[int], logits: Tensor, timed: bool, max_initial: int | None) -> Tensor:
    """Return the logits (1, vocabulary) as transformers' processors leave them after the written tokens."""
    config = GenerationConfig(eos_token_id=20, no_timestamps_token_id=29, max_initial_timestamp_index=max_initial)
    steps = [
        SuppressTokensAtBeginLogitsProcessor(SUPPRESSED_FIRST, len(PROMPT)),
        SuppressTokensLogitsProcessor(SUPPRESSED),
    ]
    if timed:
        steps.append(WhisperTimeStampLogitsProcessor(config, begin_index=len(PROMPT)))
    for step in steps:
        logits = step(torch.tensor([PROMPT + written]), logits)
    return logits


@given(
    seed=st.integers(0, 2**32 - 1), timed=st.booleans(), max_initial=st.sampled_from([None, 0, MAX_INITIAL]),
    lean=st.floats(-6, 6),
)  # fmt: skip
def test_every_token_and_logprob_is_that_of_transformers(
    seed: int, timed: bool, max_initial: int | None, lean: float
) -> None:
    draw = torch.Generator().manual_seed(seed)
    mode, min_timestamp = torch.tensor([BEGIN if timed else UNTIMED_BEGIN]), torch.tensor([0])
    written: list[int] = []
    while len(written) < 30:
        logits = torch.randn(1, SIZE, generator=draw) * 3
        logits[:, 30:] += lean  # so that timestamps are frequent, or rare
        expected = processed(written, logits.clone(), timed, max_initial)
        picked = rules(max_initial).pick(logits, mode, min_timestamp)
        token = int(expected.argmax())
        assert int(picked.token) == token
        tokens, logprobs = rules(max_initial).candidates(logits, mode, min_timestamp, count=3)
        best = expected.log_softmax(-1)[0].topk(3)
        assert tokens[0, 0] == token
        assert torch.allclose(logprobs[0], best.values, atol=1e-4)
        assert float(picked.logprob) == pytest.approx(float(expected.log_softmax(-1)[0, token]), abs=1e-4)
        mode, min_timestamp = picked.mode, picked.min_timestamp
        written.append(token)


def test_rows_do_not_influence_each_other() -> None:
    logits = torch.randn(6, SIZE)
    mode, min_timestamp = torch.arange(6), torch.tensor([0, 3, 4, 5, 0, 0])
    together = rules().pick(logits, mode, min_timestamp)
    for row in range(6):
        alone = rules().pick(logits[row : row + 1], mode[row : row + 1], min_timestamp[row : row + 1])
        assert int(alone.token) == int(together.token[row])
        assert float(alone.logprob) == pytest.approx(float(together.logprob[row]), abs=1e-6)


def test_samples_follow_the_softmax_at_their_temperature() -> None:
    torch.manual_seed(0)
    count, temperature = 20_000, 0.7
    logits = torch.randn(1, SIZE) * 2
    mode, min_timestamp = torch.full((count,), UNTIMED_BEGIN), torch.zeros(count, dtype=torch.long)
    picked = rules().pick(
        logits.expand(count, -1), mode, min_timestamp, Sampling(torch.full((count,), temperature), torch.arange(count))
    )
    drawn = torch.bincount(picked.token, minlength=SIZE) / count
    expected = (processed([], logits.clone(), False, None) / temperature).softmax(-1)[0]
    assert float((drawn - expected).abs().max()) < 0.015


def test_rows_without_temperature_take_the_most_probable_token() -> None:
    logits = torch.randn(4, SIZE)
    mode, min_timestamp = torch.full((4,), BEGIN), torch.zeros(4, dtype=torch.long)
    cold = rules().pick(logits, mode, min_timestamp)
    sampling = Sampling(torch.tensor([0.0, 0.9, 0.0, 0.9]), torch.arange(4))
    mixed = rules().pick(logits, mode, min_timestamp, sampling)
    assert mixed.token[[0, 2]].tolist() == cold.token[[0, 2]].tolist()
    assert ((mixed.token >= 30) & (mixed.token <= 30 + MAX_INITIAL)).all()


def test_a_key_decides_the_sample_whatever_else_is_in_the_batch() -> None:
    logits = torch.randn(1, SIZE).expand(3, -1)
    mode, min_timestamp = torch.full((3,), UNTIMED_BEGIN), torch.zeros(3, dtype=torch.long)
    keys = torch.tensor([7, 8, 7])
    batch = rules().pick(logits, mode, min_timestamp, Sampling(torch.full((3,), 5.0), keys)).token.tolist()
    alone = (
        rules().pick(logits[:1], mode[:1], min_timestamp[:1], Sampling(torch.tensor([5.0]), keys[:1])).token.tolist()
    )
    assert batch[0] == batch[2] == alone[0]
