"""Speculation drafts only while that is faster."""

from transcription.engines.batching.speculation import Speculation


def simulate(
    draft_cost: float, acceptance: float, query_cost: float = 0.1, rounds: int = 400
) -> tuple[float, Speculation]:
    """Return the time per token of simulated rounds, relative to decoding without drafts, and their Speculation.

    draft_cost: time of a draft over that of a step of the main model. query_cost: time of each further position.
    """
    speculation, step_seconds = Speculation(draft_cost), 0.01
    total_seconds = tokens = 0.0
    for number in range(rounds):
        length = speculation.choose_draft_length(rows=1)
        is_probe = length == 0 and speculation.should_probe()
        length = 2 if is_probe else length
        accepted = min(length, _accepted_drafts(acceptance, number))
        seconds = step_seconds * (1 + (query_cost + draft_cost) * length)
        if length:
            speculation.record_acceptance([accepted], length)
        if is_probe:
            speculation.record_probe(seconds)
        else:
            speculation.record_round(1, length, seconds)
        total_seconds, tokens = total_seconds + seconds, tokens + accepted + 1
    return total_seconds / tokens / step_seconds, speculation


def _accepted_drafts(acceptance: float, number: int) -> int:
    """Return how many drafts in a row are right: a geometric distribution, drawn from a fixed sequence."""
    value, right = (number * 0.6180339887) % 1.0, 0
    while value < acceptance ** (right + 1) and right < 50:
        right += 1
    return right


def test_an_accurate_fast_assistant_halves_the_time() -> None:
    assert simulate(draft_cost=0.1, acceptance=0.9)[0] < 0.5


def test_an_assistant_that_is_always_wrong_costs_under_three_percent() -> None:
    for acceptance in (0.0, 0.1):
        assert simulate(draft_cost=0.1, acceptance=acceptance, rounds=2000)[0] < 1.03


def test_an_assistant_as_slow_as_the_main_model_is_not_used() -> None:
    ratio, speculation = simulate(draft_cost=0.9, acceptance=0.9, rounds=2000)
    assert ratio < 1.03
    assert speculation.choose_draft_length(1) == 0


def test_expensive_positions_make_drafts_shorter() -> None:
    _, cheap = simulate(draft_cost=0.05, acceptance=0.9, query_cost=0.05)
    _, expensive = simulate(draft_cost=0.05, acceptance=0.9, query_cost=0.45)
    assert expensive.choose_draft_length(1) < cheap.choose_draft_length(1)


def test_the_acceptance_rate_is_kept_and_updated() -> None:
    _, speculation = simulate(draft_cost=0.1, acceptance=0.0)
    assert speculation.choose_draft_length(1) == 0
    for _ in range(200):  # e.g. other audio
        speculation.record_acceptance([2], 2)
    assert speculation.choose_draft_length(1) > 0


def test_nothing_is_drafted_before_the_first_measurement() -> None:
    assert Speculation(draft_cost=0.01).choose_draft_length(4) == 0
