"""Speculation drafts only while that is faster."""

from transcription.engines.batching.speculation import Speculation


def simulate(
    cost: float, agreement: float, query: float = 0.1, rounds: int = 400, rows: int = 1
) -> tuple[float, Speculation]:
    """Time a token with drafting over time a token without, of so many rounds."""
    speculation, plain = Speculation(cost), 0.01
    spent = written = 0.0
    for number in range(rounds):
        count = speculation.choose_draft_length(rows)
        probing = count == 0 and speculation.should_probe()
        count = 2 if probing else count
        kept = min(count, _run(agreement, number))
        seconds = plain * (1 + query * count) + plain * cost * count
        if count:
            speculation.record_acceptance([kept] * rows, count)
        if probing:
            speculation.record_probe(seconds)
        else:
            speculation.record_round(rows, count, seconds)
        spent, written = spent + seconds, written + kept + 1
    return spent / written / plain, speculation


def _run(agreement: float, number: int) -> int:
    """How many drafts in a row are right: geometric, by a fixed sequence."""
    value, right = (number * 0.6180339887) % 1.0, 0
    while value < agreement ** (right + 1) and right < 50:
        right += 1
    return right


def test_an_accurate_fast_assistant_halves_the_time() -> None:
    assert simulate(cost=0.1, agreement=0.9)[0] < 0.5


def test_an_assistant_that_is_always_wrong_costs_under_three_percent() -> None:
    for agreement in (0.0, 0.1):
        assert simulate(cost=0.1, agreement=agreement, rounds=2000)[0] < 1.03


def test_an_assistant_as_slow_as_the_main_model_is_not_used() -> None:
    ratio, speculation = simulate(cost=0.9, agreement=0.9, rounds=2000)
    assert ratio < 1.03
    assert speculation.choose_draft_length(1) == 0


def test_expensive_positions_make_drafts_shorter() -> None:
    _, cheap = simulate(cost=0.05, agreement=0.9, query=0.05)
    _, dear = simulate(cost=0.05, agreement=0.9, query=0.45)
    assert dear.choose_draft_length(1) < cheap.choose_draft_length(1)


def test_the_acceptance_rate_is_kept_and_updated() -> None:
    _, speculation = simulate(cost=0.1, agreement=0.0)
    assert speculation.choose_draft_length(1) == 0
    for _ in range(200):  # the audio has changed
        speculation.record_acceptance([2], 2)
    assert speculation.choose_draft_length(1) > 0


def test_nothing_is_drafted_before_the_first_measurement() -> None:
    assert Speculation(draft_cost=0.01).choose_draft_length(4) == 0
