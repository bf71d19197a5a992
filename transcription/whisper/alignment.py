"""Word timestamps: cross-attention of the alignment heads, and dynamic time warping.

The method of openai/whisper (timing.py): the attention of each alignment head is normalised over the tokens,
smoothed over time and averaged; the cheapest monotonic path through it gives the start of each token.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from transcription.whisper.tokens import TIME_PRECISION

if TYPE_CHECKING:
    from torch import Tensor

_MEDIAN_WIDTH = 7  # frames of 20 ms
# The smallest sorting network that leaves the median of seven in the middle (Devillard, "Fast median search", 1998).
_EXCHANGES = ((0, 5), (0, 3), (1, 6), (2, 4), (0, 1), (3, 5), (2, 6), (2, 3), (3, 6), (4, 5), (1, 4), (1, 3), (3, 4))


@contextmanager
def record_attention(model: Any, heads: list[tuple[int, int]]) -> Iterator[list["Tensor"]]:
    """Record the cross-attention of some heads in each forward pass of the decoder inside the block.

    Each tensor is (rows, queries, frames), ordered by layer, then as in `heads`. The model's own attention stays
    as it is, fused or not.
    """
    recorded: list[Tensor] = []
    by_layer: dict[int, list[int]] = {}
    for layer, head in heads:
        by_layer.setdefault(layer, []).append(head)

    def record(module: Any, args: tuple[Any, ...], kwargs: dict[str, Any], layer_heads: list[int]) -> None:
        hidden = kwargs["hidden_states"] if "hidden_states" in kwargs else args[0]
        states = kwargs["key_value_states"] if "key_value_states" in kwargs else args[1]
        query = _split_heads(module.q_proj(hidden) * module.scaling, module)[:, layer_heads]
        key = _split_heads(module.k_proj(states), module)[:, layer_heads]
        attention = (query.float() @ key.float().transpose(-1, -2)).softmax(-1)
        recorded.extend(attention.unbind(1))

    handles = [
        model.model.decoder.layers[layer].encoder_attn.register_forward_pre_hook(
            lambda module, args, kwargs, layer_heads=layer_heads: record(module, args, kwargs, layer_heads),
            with_kwargs=True,
        )
        for layer, layer_heads in sorted(by_layer.items())
    ]
    try:
        yield recorded
    finally:
        for handle in handles:
            handle.remove()


def _split_heads(projected: "Tensor", module: Any) -> "Tensor":
    rows, length, _ = projected.shape
    return projected.view(rows, length, module.num_heads, module.head_dim).transpose(1, 2)


def token_starts(attention: "Tensor") -> npt.NDArray[np.float64]:
    """Return the start of each token in seconds, from attention (heads, tokens, frames).

    Row i is the attention of the position that predicts token i.
    """
    return starts_of(attention.float().cpu().numpy())  # numpy leaves torch's threads to the model


def starts_of(weights: npt.NDArray[np.float32]) -> npt.NDArray[np.float64]:
    """Return the start of each token in seconds; see token_starts."""
    _, tokens, frames = weights.shape
    if tokens == 0 or frames == 0:
        return np.zeros(tokens)
    normal = (weights - weights.mean(axis=1, keepdims=True)) / np.maximum(weights.std(axis=1, keepdims=True), 1e-8)
    cost = -median_filter(normal).mean(axis=0, dtype=np.float64)
    return np.asarray(cheapest_path(cost) * TIME_PRECISION, dtype=np.float64)


def cheapest_path(cost: npt.NDArray[np.float64]) -> npt.NDArray[np.int64]:
    """Return the column at which the cheapest monotonic path through (rows, columns) enters each row.

    Steps go down, right, or both. A whole row is computed at once: to enter the row at k ≤ j and go on to column j
    costs the entry at k and the row's costs from k to j, so the cheapest entry is a running minimum over differences
    of running sums.
    """
    rows, columns = cost.shape
    total = np.full((rows + 1, columns + 1), np.inf)
    total[0, 0] = 0.0
    for row in range(1, rows + 1):
        along = np.concatenate([[0.0], np.cumsum(cost[row - 1])])
        entry = np.minimum(total[row - 1, :-1], total[row - 1, 1:])
        total[row, 1:] = np.minimum.accumulate(entry - along[:-1]) + along[1:]
    first = np.zeros(rows, dtype=np.int64)
    row, column = rows, columns
    while row > 0 and column > 0:
        first[row - 1] = column - 1
        both, down, right = total[row - 1, column - 1], total[row - 1, column], total[row, column - 1]
        if both < down and both < right:
            row, column = row - 1, column - 1
        elif down < both and down < right:
            row -= 1
        else:
            column -= 1
    return first


def median_filter(values: npt.NDArray[np.float32]) -> npt.NDArray[np.float32]:
    """Return the running median over the last axis, with reflected edges."""
    half = _MEDIAN_WIDTH // 2
    frames = values.shape[-1]
    if frames <= half:
        return values
    padded = np.pad(values, [(0, 0)] * (values.ndim - 1) + [(half, half)], mode="reflect")
    lanes = [padded[..., shift : shift + frames] for shift in range(_MEDIAN_WIDTH)]
    for low, high in _EXCHANGES:
        lanes[low], lanes[high] = np.minimum(lanes[low], lanes[high]), np.maximum(lanes[low], lanes[high])
    return lanes[half]
