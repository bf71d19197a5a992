"""Speculation drafts only while that is faster."""

from collections.abc import Callable
from typing import Any

import pytest
import torch

from benchmarks.speculation.measuring import Drafts, counting
from tests.conftest import SAMPLES
from transcription.config import InferenceConfig
from transcription.engines.batching.layers import IN_ITS_PRECISION, draft_arithmetic
from transcription.engines.batching.speculation import Speculation
from transcription.transcriber import Transcriber

STEP = 0.01  # seconds


def simulate(
    draft_cost: float, acceptance: float, query_cost: float = 0.1, rounds: int = 400, estimate: float | None = None,
    start: float = 0.0, noise: Callable[[int], float] = lambda number: 1.0, rows: int = 1,
) -> tuple[float, Speculation]:  # fmt: skip
    """Return the time per token of simulated rounds, relative to decoding without drafts, and their Speculation.

    draft_cost: time of a draft over that of a step of the main model. query_cost: time of each further position.
    estimate: what the engine takes for draft_cost at first. start: steps in which the assistant begins a window of 50
    tokens. noise: factor of the time of each round.
    """
    speculation = Speculation(draft_cost if estimate is None else estimate)
    total_seconds = without_drafts = tokens = 0.0
    is_started = False
    for number in range(rounds):
        length = speculation.choose_draft_length(rows)
        is_probe = length == 0 and speculation.should_probe()
        length = 2 if is_probe else length
        accepted = min(length, _accepted_drafts(acceptance, number))
        seconds = STEP * (1 + (query_cost + draft_cost) * length) * noise(number)
        if length:
            speculation.record_acceptance([accepted], length)
        begin = 0.0 if is_started or not length else start * STEP * (1 if is_probe else rows)
        if begin:
            speculation.record_start(start * STEP)
        is_started = is_started or length > 0
        total_seconds += begin
        if is_probe:
            speculation.record_probe(seconds + begin)
        else:
            speculation.record_round(rows, length, seconds)
        if int(tokens / 50) < int((tokens + accepted + 1) / 50):
            is_started = False  # the next window
        total_seconds, tokens = total_seconds + seconds, tokens + accepted + 1
        without_drafts += (accepted + 1) * STEP * noise(number)
    return total_seconds / without_drafts, speculation


def _accepted_drafts(acceptance: float, number: int) -> int:
    """Return how many drafts in a row are right: a geometric distribution, drawn from a fixed sequence."""
    value, right = (number * 0.6180339887) % 1.0, 0
    while value < acceptance ** (right + 1) and right < 50:
        right += 1
    return right


def step(speculation: Speculation, rounds: int) -> None:
    """Record so many rounds without drafts."""
    for _ in range(rounds):
        speculation.record_round(1, 0, STEP)


def test_an_accurate_fast_assistant_halves_the_time() -> None:
    assert simulate(draft_cost=0.1, acceptance=0.9)[0] < 0.5


def test_an_assistant_that_is_always_wrong_costs_under_three_percent() -> None:
    for acceptance in (0.0, 0.1):
        assert simulate(draft_cost=0.1, acceptance=acceptance, rounds=2000)[0] < 1.03


def test_an_assistant_as_slow_as_the_main_model_is_not_used() -> None:
    ratio, speculation = simulate(draft_cost=0.9, acceptance=0.9, rounds=2000)
    assert ratio < 1.03
    assert speculation.choose_draft_length(1) == 0


def test_an_assistant_that_is_slower_than_its_size_costs_under_three_percent() -> None:
    assert simulate(draft_cost=0.9, acceptance=0.8, rounds=4000, estimate=0.1)[0] < 1.03


def test_an_assistant_that_is_faster_than_its_size_is_used() -> None:
    assert simulate(draft_cost=0.1, acceptance=0.9, rounds=2000, estimate=0.4)[0] < 0.55


def test_expensive_positions_make_drafts_shorter() -> None:
    _, cheap = simulate(draft_cost=0.05, acceptance=0.9, query_cost=0.05)
    _, expensive = simulate(draft_cost=0.05, acceptance=0.9, query_cost=0.45)
    assert expensive.choose_draft_length(1) < cheap.choose_draft_length(1)


def test_the_time_to_begin_a_window_counts_as_the_rows_do() -> None:
    ratio, speculation = simulate(draft_cost=0.3, acceptance=0.7, start=2.0, rounds=2000, rows=8)
    assert speculation.choose_draft_length(8) == 0
    assert ratio < 1.03
    assert simulate(draft_cost=0.3, acceptance=0.7, rows=8)[1].choose_draft_length(8) > 0


def test_a_slow_first_step_does_not_decide_for_ever() -> None:
    def first_is_slow(number: int) -> float:
        return 50.0 if number == 0 else 1.0

    ratio, speculation = simulate(draft_cost=0.9, acceptance=0.8, rounds=3000, noise=first_is_slow)
    assert speculation.choose_draft_length(1) == 0
    assert ratio < 1.03


def test_drafts_go_on_after_a_time_in_which_every_round_of_them_was_slow() -> None:
    _, speculation = simulate(draft_cost=0.1, acceptance=0.9)
    for length in (1, 2, 3, 4, 6, 8):
        for _ in range(50):
            speculation.record_round(1, length, 6 * STEP)
    step(speculation, 3)
    assert speculation.choose_draft_length(1) == 0
    step(speculation, 2000)
    assert speculation.choose_draft_length(1) > 0


def test_drafting_pauses_when_it_has_lost_more_than_it_gained() -> None:
    _, speculation = simulate(draft_cost=0.1, acceptance=0.9)
    for _ in range(20):  # windows so short that their beginning takes longer than their drafts save
        speculation.record_start(4 * STEP)
    step(speculation, 1)
    assert speculation.choose_draft_length(1) == 0
    step(speculation, 1500)
    assert speculation.choose_draft_length(1) > 0


def test_a_round_without_drafts_is_measured_now_and_then() -> None:
    _, speculation = simulate(draft_cost=0.1, acceptance=0.9)
    lengths = []
    for _ in range(400):
        lengths.append(speculation.choose_draft_length(1))
        speculation.record_round(1, lengths[-1], STEP * (1 + 0.2 * lengths[-1]))
    assert 2 <= lengths.count(0) <= 12


def test_the_acceptance_rate_is_kept_and_updated() -> None:
    _, speculation = simulate(draft_cost=0.1, acceptance=0.0)
    assert speculation.choose_draft_length(1) == 0
    for _ in range(200):  # e.g. other audio
        speculation.record_acceptance([2], 2)
    assert speculation.choose_draft_length(1) > 0


def test_nothing_is_drafted_before_the_first_measurements() -> None:
    speculation = Speculation(draft_cost=0.01)
    lengths = []
    for _ in range(4):
        lengths.append(speculation.choose_draft_length(4))
        speculation.record_round(4, lengths[-1], STEP)
    assert [length > 0 for length in lengths] == [False, False, False, True]


@pytest.mark.skipif(draft_arithmetic(torch.device("cpu")) is IN_ITS_PRECISION, reason="no int8 on this CPU")
def test_most_drafts_in_int8_are_accepted(transcriber: Transcriber) -> None:
    engine: Any = transcriber.engine
    drafts = Drafts()
    with counting(engine, drafts):
        transcriber.transcribe(SAMPLES["short"].audio, InferenceConfig(language="en", assisted=True))
    assert engine.loop.slots.assistant.bytes_per_token < engine.loop.slots.decoder.bytes_per_token / 3
    assert drafts.acceptance is not None
    assert drafts.acceptance > 0.8


def test_drafts_on_a_gpu_keep_the_precision_of_the_model() -> None:
    assert draft_arithmetic(torch.device("cuda")) is IN_ITS_PRECISION
