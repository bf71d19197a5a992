"""When each token was spoken: cross-attention of the alignment heads, and dynamic time warping.

The method of openai/whisper (timing.py): each alignment head's attention is normalised over the tokens,
smoothed over time and averaged; the cheapest monotonic path through it gives each token its start.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from engines.tokens import TIME_PRECISION

_SMOOTHING = 7  # frames of 20 ms
_BOTH, _DOWN, _RIGHT = 0, 1, 2


@contextmanager
def watched_heads(model: Any, heads: list[tuple[int, int]]) -> Iterator[list[Tensor]]:
    """Within, a forward pass of the decoder leaves the heads' cross-attention in the list.

    Each is (rows, queries, frames), in the order of the layers, then of `heads`. The attention that the
    model itself computes stays what it is, fused or not.
    """
    collected: list[Tensor] = []
    by_layer: dict[int, list[int]] = {}
    for layer, head in heads:
        by_layer.setdefault(layer, []).append(head)

    def watch(module: Any, args: tuple[Any, ...], kwargs: dict[str, Any], wanted: list[int]) -> None:
        hidden = kwargs["hidden_states"] if "hidden_states" in kwargs else args[0]
        states = kwargs["key_value_states"] if "key_value_states" in kwargs else args[1]
        query = _heads_of(module.q_proj(hidden) * module.scaling, module)[:, wanted]
        key = _heads_of(module.k_proj(states), module)[:, wanted]
        attention = (query.float() @ key.float().transpose(-1, -2)).softmax(-1)
        collected.extend(attention.unbind(1))

    handles = [
        model.model.decoder.layers[layer].encoder_attn.register_forward_pre_hook(
            lambda module, args, kwargs, wanted=wanted: watch(module, args, kwargs, wanted),
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
    spread = attention.std(dim=-2, keepdim=True, unbiased=False)
    normal = (attention - attention.mean(dim=-2, keepdim=True)) / spread.clamp_min(1e-8)
    cost = -_median(normal).mean(dim=0).double().cpu().numpy()
    return np.asarray(_first_columns(cost) * TIME_PRECISION, dtype=np.float64)


def _first_columns(cost: npt.NDArray[np.float64]) -> npt.NDArray[np.int64]:
    """Where the cheapest monotonic path through (rows, columns) enters each row.

    Steps go down, right, or both. All cells of an anti-diagonal depend on the two before it alone, so
    each is computed at once.
    """
    rows, columns = cost.shape
    total = np.full((rows + columns + 1, rows + 1), np.inf)  # [row + column, row]
    total[0, 0] = 0.0
    step = np.zeros((rows + columns + 1, rows + 1), dtype=np.int8)
    for diagonal in range(2, rows + columns + 1):
        row = np.arange(max(1, diagonal - columns), min(rows, diagonal - 1) + 1)
        both, down, right = (
            total[diagonal - 2, row - 1], total[diagonal - 1, row - 1], total[diagonal - 1, row],
        )  # fmt: skip
        best = np.where((both < down) & (both < right), _BOTH, np.where((down < both) & (down < right), _DOWN, _RIGHT))
        step[diagonal, row] = best
        total[diagonal, row] = cost[row - 1, diagonal - row - 1] + np.choose(best, (both, down, right))
    entered = np.zeros(rows, dtype=np.int64)
    row, column = rows, columns
    while row > 0 and column > 0:
        entered[row - 1] = column - 1
        taken = step[row + column, row]
        row, column = row - (taken != _RIGHT), column - (taken != _DOWN)
    return entered


def _median(values: Tensor) -> Tensor:
    """Median over a window of frames, with reflected edges."""
    reach = _SMOOTHING // 2
    if values.shape[-1] <= reach:
        return values
    padded = torch.nn.functional.pad(values, (reach, reach), mode="reflect")
    return padded.unfold(-1, _SMOOTHING, 1).median(dim=-1).values
