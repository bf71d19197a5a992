"""Decoding steps on a GPU, captured once for each shape and then replayed without Python in between."""

from collections.abc import Callable, Hashable
from typing import Any

import torch

_KV_STEP = 64  # positions by which the key-value length of a captured step grows


class CudaGraphs:
    """Run steps. With `capture`, each shape is captured the second time that it occurs, and replayed from then on.

    Shapes are rounded up, so that there are few of them. Additional rows are free slots, or rows that decode a token
    earlier than needed; additional positions are masked.
    """

    def __init__(self, capture: bool = False) -> None:
        self.capture = capture
        self.forget()

    def forget(self) -> None:
        """Drop all graphs, because the memory that they captured is gone."""
        self._seen: set[Hashable] = set()
        self._graphs: dict[Hashable, Any] = {}

    def round_rows(self, rows: int, limit: int) -> int:
        """Return how many rows a step takes instead: powers of two, then multiples of eight."""
        if not self.capture:
            return rows
        return min(1 << (rows - 1).bit_length() if rows <= 8 else -(-rows // 8) * 8, limit)

    def round_kv_length(self, kv_length: int, limit: int) -> int:
        """Return how many positions a step attends to instead."""
        return min(-(-kv_length // _KV_STEP) * _KV_STEP, limit) if self.capture else kv_length

    def __call__(self, shape: Hashable, step: Callable[[], None]) -> None:
        """Run the step, which reads and writes only tensors that stay at their address."""
        if shape in self._graphs:
            self._graphs[shape].replay()
        elif not self.capture or shape not in self._seen:
            self._seen.add(shape)  # the first time warms up the kernels
            step()
        else:
            graph = torch.cuda.CUDAGraph()
            with torch.cuda.graph(graph):
                step()
            self._graphs[shape] = graph
            graph.replay()
