"""Beam search finds the tokens of openai/whisper's BeamSearchDecoder, written here over whole sequences."""

from collections.abc import Callable, Sequence
from typing import Any

import pytest
import torch
from torch import Tensor
from transformers import GenerationConfig
from transformers.generation.logits_process import (
    LogitsProcessorList,
    SuppressTokensAtBeginLogitsProcessor,
    SuppressTokensLogitsProcessor,
    WhisperTimeStampLogitsProcessor,
)

from tests.conftest import DEMO, SAMPLES
from tests.random_models import MAX_INITIAL, SHAPES, SUPPRESSED, SUPPRESSED_FIRST, VOCABULARY, random_model
from transcription.config import MAX_BEAMS, ModelSettings
from transcription.engines.batching.beam_search import Beams
from transcription.engines.batching.decoder import Decoder
from transcription.engines.batching.logits_rules import LogitsRules
from transcription.engines.batching.slots import Slots
from transcription.whisper.loading import load_checkpoint
from transcription.whisper.tokens import Vocabulary

Logprobs = Callable[[list[tuple[int, ...]]], Tensor]
"""Sequences → log-probabilities (sequences, vocabulary) of the next token."""


def whole_search(logprobs: Logprobs, beams: Beams, end: int, limit: int) -> tuple[list[int], float]:
    """Return the best text and its sum of log-probabilities, as openai/whisper searches."""
    alive: dict[tuple[int, ...], float] = {(): 0.0}
    finished: dict[tuple[int, ...], float] = {}
    for _ in range(limit):
        scores = {
            (*text, token): alive[text] + value
            for text, row in zip(alive, logprobs(list(alive)), strict=True)
            for value, token in zip(*(part.tolist() for part in row.topk(beams.size + 1)), strict=True)
        }
        alive, ended = {}, dict[tuple[int, ...], float]()
        for text in sorted(scores, key=lambda text: scores[text], reverse=True):
            (ended if text[-1] == end else alive)[text] = scores[text]
            if len(alive) == beams.size:
                break
        finished |= dict(list(ended.items())[: beams.max_finished - len(finished)])
        if len(finished) >= beams.max_finished:
            break
    for text in sorted(alive, key=lambda text: alive[text], reverse=True):
        if len(finished) < beams.size:
            finished[*text, end] = alive[text]
    best = max(finished, key=lambda text: finished[text] / penalty(len(text) - 1, beams.length_penalty))
    return list(best[:-1]), finished[best]


def penalty(length: int, exponent: float | None) -> float:
    return float(length) if exponent is None else ((5 + length) / 6) ** exponent


def model_logprobs(
    model: Any, states: Tensor, prompt: list[int], vocabulary: Vocabulary, suppressed: list[int], first: list[int],
    max_initial: int | None,
) -> Logprobs:  # fmt: skip
    """Score whole sequences with transformers' model and rules, for one window."""
    config = GenerationConfig(
        eos_token_id=vocabulary.end, no_timestamps_token_id=vocabulary.no_timestamps,
        max_initial_timestamp_index=max_initial,
    )  # fmt: skip
    rules = LogitsProcessorList([
        SuppressTokensAtBeginLogitsProcessor(first, len(prompt)), SuppressTokensLogitsProcessor(suppressed),
        WhisperTimeStampLogitsProcessor(config, begin_index=len(prompt)),
    ])  # fmt: skip

    def logprobs(texts: list[tuple[int, ...]]) -> Tensor:
        tokens = torch.tensor([[*prompt, *text] for text in texts])
        hidden = model.model.decoder(
            input_ids=tokens, encoder_hidden_states=states.expand(len(texts), -1, -1)
        ).last_hidden_state
        scores: Tensor = rules(tokens, model.proj_out(hidden[:, -1])).log_softmax(-1)
        return scores

    return logprobs


def slots_search(
    slots: Slots, states: Tensor, prompt: list[int], beams: Sequence[Beams]
) -> list[tuple[list[int], float]]:
    """Search all windows in one batch; return the text of each and its sum of log-probabilities."""
    rows = list(range(len(states)))
    slots.write_cross_kv(slice(0, len(rows)), states)
    slots.prefill(slice(0, len(rows)), [prompt] * len(rows))
    for row in rows:
        slots.begin(row, prompt, True, beams=beams[row])
    found: dict[int, tuple[list[int], float]] = {}
    while rows:
        slots.step(len(rows), record_alignment=False, sample=False)
        for row in reversed(slots.ended_rows(len(rows))):
            tokens, logprobs = slots.decoded(row, len(prompt))
            found[rows[row]] = tokens, sum(logprobs)
            slots.move(len(rows) - 1, row)
            rows[row] = rows[-1]
            rows.pop()
    return [found[window] for window in range(len(states))]


SEARCHES = [Beams(5, 5), Beams(), Beams(2, 2), Beams(3, 6), Beams(5, 5, 0.6), Beams(MAX_BEAMS, MAX_BEAMS, 0.0)]
"""Several sizes in one batch, greedy decoding among them."""


def test_finds_the_texts_of_whisper_on_speech() -> None:
    checkpoint = load_checkpoint(ModelSettings.from_environment(asr_model=str(DEMO)))
    model: Any = checkpoint.model.double()
    vocabulary = Vocabulary.of(checkpoint.tokenizer, checkpoint.model.generation_config)
    prompt = [vocabulary.start, vocabulary.languages["en"], vocabulary.tasks["transcribe"]]
    audio = SAMPLES["long"].audio.samples
    windows = [audio[at * 80_000 : at * 80_000 + 8_000 * (3 + at)] for at in range(len(SEARCHES))]
    features = checkpoint.feature_extractor(windows, sampling_rate=16_000, return_tensors="pt").input_features
    rules = LogitsRules(vocabulary, model.config.vocab_size, torch.device("cpu"), [], [], None)
    with torch.inference_mode():
        states = model.model.encoder(features.double()).last_hidden_state
        found = slots_search(Slots(Decoder(model, len(windows), 320), rules), states, prompt, SEARCHES)
        for window, (beams, (tokens, logprob)) in enumerate(zip(SEARCHES, found, strict=True)):
            logprobs = model_logprobs(model, states[window : window + 1], prompt, vocabulary, [], [], None)
            expected, total = whole_search(logprobs, beams, vocabulary.end, limit=445)
            assert tokens == expected
            assert logprob == pytest.approx(total, abs=1e-4)


@pytest.mark.parametrize("spare", [MAX_BEAMS * 45, 2 * MAX_BEAMS + 12])
def test_finds_the_texts_of_whisper_up_to_the_length_limit(spare: int) -> None:
    """Random models seldom end. With little spare memory, nodes on no path are removed again and again."""
    model = random_model({**SHAPES["tiny"], "positions": 40}, 1).double()
    rules = LogitsRules(
        VOCABULARY, model.config.vocab_size, torch.device("cpu"), SUPPRESSED, SUPPRESSED_FIRST, MAX_INITIAL
    )
    prompt = [VOCABULARY.start, VOCABULARY.languages["en"], VOCABULARY.tasks["transcribe"]]
    searches = [Beams(5, 5), Beams(), Beams(3, 3, 0.6)]
    with torch.inference_mode():
        states = torch.randn(3, 1500, 48, dtype=torch.float64)
        found = slots_search(Slots(Decoder(model, 3, spare), rules), states, prompt, searches)
        for window, (beams, (tokens, logprob)) in enumerate(zip(searches, found, strict=True)):
            logprobs = model_logprobs(
                model, states[window : window + 1], prompt, VOCABULARY, SUPPRESSED, SUPPRESSED_FIRST, MAX_INITIAL
            )
            expected, total = whole_search(logprobs, beams, VOCABULARY.end, limit=37)
            assert tokens == expected
            assert logprob == pytest.approx(total, abs=1e-3)


def test_a_full_slot_ends_with_its_best_text() -> None:
    """Beams that share nothing fill the memory; the window then ends, and its text is whole."""
    model = random_model({**SHAPES["tiny"], "positions": 40}, 1)
    rules = LogitsRules(VOCABULARY, model.config.vocab_size, torch.device("cpu"), [], [], None)
    prompt = [VOCABULARY.start, VOCABULARY.languages["en"], VOCABULARY.tasks["transcribe"]]
    with torch.inference_mode():
        slots = Slots(Decoder(model, 1, 0), rules)
        [(tokens, _)] = slots_search(slots, torch.randn(1, 1500, 48), prompt, [Beams(MAX_BEAMS, MAX_BEAMS)])
    assert tokens
    assert VOCABULARY.end not in tokens
