import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from transcription.whisper.alignment import cheapest_path, median_filter, token_starts


def slow_cheapest_path(cost: np.ndarray) -> list[int]:
    """The textbook recursion, cell by cell, with openai/whisper's order among equal steps."""
    rows, columns = cost.shape
    total = np.full((rows + 1, columns + 1), np.inf)
    total[0, 0] = 0
    step = np.zeros((rows + 1, columns + 1), dtype=int)
    for column in range(1, columns + 1):
        for row in range(1, rows + 1):
            both, down, right = total[row - 1, column - 1], total[row - 1, column], total[row, column - 1]
            step[row, column] = 0 if both < down and both < right else 1 if down < both and down < right else 2
            total[row, column] = cost[row - 1, column - 1] + (both, down, right)[step[row, column]]
    entered = [0] * rows
    row, column = cost.shape
    while row > 0 and column > 0:
        entered[row - 1] = column - 1
        taken = int(step[row, column])
        row, column = row - int(taken != 2), column - int(taken != 1)
    return entered


@settings(deadline=None, max_examples=60)
@given(st.integers(1, 8), st.integers(1, 30), st.integers(0, 2**32 - 1))
def test_the_path_is_the_textbooks(rows: int, columns: int, seed: int) -> None:
    cost = np.random.default_rng(seed).normal(size=(rows, columns))  # no two paths cost the same
    assert cheapest_path(cost).tolist() == slow_cheapest_path(cost)


def test_a_clear_diagonal_gives_each_token_its_frame() -> None:
    attention = torch.full((2, 4, 40), 0.01)
    for token in range(4):
        attention[:, token, token * 10 : token * 10 + 10] = 1.0
    np.testing.assert_allclose(token_starts(attention), [0.0, 0.2, 0.4, 0.6], atol=0.05)


@pytest.mark.parametrize("frames", [2, 4, 7, 50])
def test_the_median_is_numpys(frames: int) -> None:
    values = np.random.default_rng(0).normal(size=(2, 3, frames)).astype(np.float32)
    if frames <= 3:
        expected = values
    else:
        padded = np.pad(values, [(0, 0), (0, 0), (3, 3)], mode="reflect")
        expected = np.median(np.lib.stride_tricks.sliding_window_view(padded, 7, axis=-1), axis=-1)
    np.testing.assert_array_equal(median_filter(values), expected)


def test_no_tokens_and_no_frames_are_no_times() -> None:
    assert token_starts(torch.zeros(2, 0, 10)).tolist() == []
    assert token_starts(torch.zeros(2, 3, 0)).tolist() == [0.0, 0.0, 0.0]
