"""Word alignment: dynamic time warping and the median filter, compared with slow reference implementations."""

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from transcription.whisper.alignment import cheapest_path, median_filter, token_starts


def reference_path(cost: np.ndarray) -> list[int]:
    """Return the first column of each row, by the recursion of dynamic time warping (openai/whisper, timing.py)."""
    rows, columns = cost.shape
    total = np.full((rows + 1, columns + 1), np.inf)
    total[0, 0] = 0
    step = np.zeros((rows + 1, columns + 1), dtype=int)
    for column in range(1, columns + 1):
        for row in range(1, rows + 1):
            diagonal, down, right = total[row - 1, column - 1], total[row - 1, column], total[row, column - 1]
            step[row, column] = 0 if diagonal < down and diagonal < right else 1 if down < min(diagonal, right) else 2
            total[row, column] = cost[row - 1, column - 1] + (diagonal, down, right)[step[row, column]]
    first_columns = [0] * rows
    row, column = cost.shape
    while row > 0 and column > 0:
        first_columns[row - 1] = column - 1
        last_step = int(step[row, column])
        row, column = row - int(last_step != 2), column - int(last_step != 1)
    return first_columns


@settings(deadline=None, max_examples=60)
@given(st.integers(1, 8), st.integers(1, 30), st.integers(0, 2**32 - 1))
def test_cheapest_path_equals_the_reference(rows: int, columns: int, seed: int) -> None:
    cost = np.random.default_rng(seed).normal(size=(rows, columns))  # random costs: no two paths are equally cheap
    assert cheapest_path(cost).tolist() == reference_path(cost)


def test_tokens_start_where_their_attention_starts() -> None:
    attention = torch.full((2, 4, 40), 0.01)
    for token in range(4):
        attention[:, token, token * 10 : token * 10 + 10] = 1.0
    np.testing.assert_allclose(token_starts(attention), [0.0, 0.2, 0.4, 0.6], atol=0.05)


@pytest.mark.parametrize("frames", [2, 4, 7, 50])
def test_median_filter_equals_the_median_of_numpy(frames: int) -> None:
    values = np.random.default_rng(0).normal(size=(2, 3, frames)).astype(np.float32)
    if frames <= 3:
        expected = values
    else:
        padded = np.pad(values, [(0, 0), (0, 0), (3, 3)], mode="reflect")
        expected = np.median(np.lib.stride_tricks.sliding_window_view(padded, 7, axis=-1), axis=-1)
    np.testing.assert_array_equal(median_filter(values), expected)


def test_no_tokens_have_no_times_and_no_frames_start_at_zero() -> None:
    assert token_starts(torch.zeros(2, 0, 10)).tolist() == []
    assert token_starts(torch.zeros(2, 3, 0)).tolist() == [0.0, 0.0, 0.0]
