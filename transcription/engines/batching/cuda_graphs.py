"""Steps on a GPU, captured once for each shape and then replayed without Python in between (CUDA graphs)."""

from collections.abc import Callable, Hashable
from typing import Any

import torch

_SPAN = 64  # positions by which a captured step's reach grows


class CudaGraphs:
    """Runs steps; where `capture` is set each shape is captured the second time it comes, and replayed from then on.

    Shapes are rounded up, so that there are few: more rows than asked for are free slots, or rows that write a
    token earlier than due; a longer span is masked.
    """

    def __init__(self, capture: bool = False) -> None:
        self.capture = capture
        self.forget()

    def forget(self) -> None:
        """What was captured holds memory that is no longer there."""
        self._seen: set[Hashable] = set()
        self._graphs: dict[Hashable, Any] = {}

    def rows(self, rows: int, most: int) -> int:
        """How many rows a step takes for so many: powers of two, then multiples of eight."""
        if not self.capture:
            return rows
        return min(1 << (rows - 1).bit_length() if rows <= 8 else -(-rows // 8) * 8, most)

    def span(self, span: int, most: int) -> int:
        """How many positions a step looks at for so many."""
        return min(-(-span // _SPAN) * _SPAN, most) if self.capture else span

    def __call__(self, shape: Hashable, step: Callable[[], None]) -> None:
        """Runs the step, which reads and writes nothing but tensors that stay where they are."""
        if shape in self._graphs:
            self._graphs[shape].replay()
        elif not self.capture or shape not in self._seen:
            self._seen.add(shape)  # the first time warms kernels up
            step()
        else:
            graph = torch.cuda.CUDAGraph()
            with torch.cuda.graph(graph):
                step()
            self._graphs[shape] = graph
            graph.replay()
