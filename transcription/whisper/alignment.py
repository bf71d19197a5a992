"""When each token was spoken: cross-attention of the alignment heads, and dynamic time warping.

The method of openai/whisper (timing.py): each alignment head's attention is normalised over the tokens,
smoothed over time and averaged; the cheapest monotonic path through it gives each token its start.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np
import numpy.typing as npt
from torch import Tensor

from transcription.whisper.tokens import TIME_PRECISION

_SMOOTHING = 7  # frames of 20 ms
# The fewest exchanges that leave the median of seven in the middle (Devillard, "Fast median search", 1998).
_EXCHANGES = ((0, 5), (0, 3), (1, 6), (2, 4), (0, 1), (3, 5), (2, 6), (2, 3), (3, 6), (4, 5), (1, 4), (1, 3), (3, 4))


@contextmanager
def record_attention(model: Any, heads: list[tuple[int, int]]) -> Iterator[list[Tensor]]:
    """Within, a forward pass of the decoder leaves the heads' cross-attention in the list.

    Each is (rows, queries, frames), in the order of the layers, then of `heads`. The attention that the
    model itself computes stays what it is, fused or not.
    """
    collected: list[Tensor] = []
    by_layer: dict[int, list[int]] = {}
    for layer, head in heads:
        by_layer.setdefault(layer, []).append(head)

    def context(module: Any, args: tuple[Any, ...], kwargs: dict[str, Any], wanted: list[int]) -> None:
        hidden = kwargs["hidden_states"] if "hidden_states" in kwargs else args[0]
        states = kwargs["key_value_states"] if "key_value_states" in kwargs else args[1]
        query = _heads_of(module.q_proj(hidden) * module.scaling, module)[:, wanted]
        key = _heads_of(module.k_proj(states), module)[:, wanted]
        attention = (query.float() @ key.float().transpose(-1, -2)).softmax(-1)
        collected.extend(attention.unbind(1))

    handles = [
        model.model.decoder.layers[layer].encoder_attn.register_forward_pre_hook(
            lambda module, args, kwargs, wanted=wanted: context(module, args, kwargs, wanted),
            with_kwargs=True,
        )
        for layer, wanted in sorted(by_layer.items())
    ]
    try:
        yield collected
    finally:
        for handle in handles:
            handle.remove()


def _heads_of(projected: Tensor, module: Any) -> Tensor:
    rows, length, _ = projected.shape
    return projected.view(rows, length, module.num_heads, module.head_dim).transpose(1, 2)


def token_starts(attention: Tensor) -> npt.NDArray[np.float64]:
    """Seconds at which each token starts, from the heads' attention (heads, tokens, frames).

    Row i is the attention of the position that predicts token i.
    """
    _, tokens, frames = attention.shape
    if tokens == 0 or frames == 0:
        return np.zeros(tokens)
    # In numpy, which leaves torch's threads to the model.
    weights = attention.float().cpu().numpy()
    normal = (weights - weights.mean(axis=1, keepdims=True)) / np.maximum(weights.std(axis=1, keepdims=True), 1e-8)
    cost = -_median(normal).mean(axis=0, dtype=np.float64)
    return np.asarray(_first_columns(cost) * TIME_PRECISION, dtype=np.float64)


def _first_columns(cost: npt.NDArray[np.float64]) -> npt.NDArray[np.int64]:
    """Where the cheapest monotonic path through (rows, columns) enters each row.

    Steps go down, right, or both. A whole row at once: reaching column j by entering the row at k ≤ j costs what
    k's entry costs and the row's costs from k to j, so the cheapest entry is a running minimum over differences
    of running sums.
    """
    rows, columns = cost.shape
    total = np.full((rows + 1, columns + 1), np.inf)
    total[0, 0] = 0.0
    for row in range(1, rows + 1):
        along = np.concatenate([[0.0], np.cumsum(cost[row - 1])])
        entry = np.minimum(total[row - 1, :-1], total[row - 1, 1:])
        total[row, 1:] = np.minimum.accumulate(entry - along[:-1]) + along[1:]
    entered = np.zeros(rows, dtype=np.int64)
    row, column = rows, columns
    while row > 0 and column > 0:
        entered[row - 1] = column - 1
        both, down, right = total[row - 1, column - 1], total[row - 1, column], total[row, column - 1]
        if both < down and both < right:
            row, column = row - 1, column - 1
        elif down < both and down < right:
            row -= 1
        else:
            column -= 1
    return entered


def _median(values: npt.NDArray[np.float32]) -> npt.NDArray[np.float32]:
    """Median over a window of frames, the last axis, with reflected edges."""
    reach = _SMOOTHING // 2
    frames = values.shape[-1]
    if frames <= reach:
        return values
    padded = np.pad(values, [(0, 0)] * (values.ndim - 1) + [(reach, reach)], mode="reflect")
    lanes = [padded[..., shift : shift + frames] for shift in range(_SMOOTHING)]
    for low, high in _EXCHANGES:
        lanes[low], lanes[high] = np.minimum(lanes[low], lanes[high]), np.maximum(lanes[low], lanes[high])
    return lanes[reach]
