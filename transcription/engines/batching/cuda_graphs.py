"""Decoding steps on a GPU, captured once for each shape and then replayed without Python in between."""

from collections.abc import Callable, Hashable
from typing import Any

import torch

_KV_STEP = 64  # positions by which the key-value length of a step grows


class CudaGraphs:
    """Run steps. With `capture`, each shape is captured the second time that it occurs, and replayed from then on.

    Shapes are rounded up, so that there are few of them. Additional rows are free slots, or rows that decode a token
    earlier than needed; additional positions are masked. A GPU needs few shapes without capture too: cuDNN plans each
    shape of attention on the host when it is new, which takes longer than a step.
    """

    def __init__(self, capture: bool = False, device: torch.device | None = None) -> None:
        """Run steps on a device. capture: only for a GPU."""
        self.capture, self.device = capture, device
        self.rounds = capture or (device is not None and device.type == "cuda")
        self._stream: Any = None  # one for all captures: cuBLAS keeps memory for each stream
        self.forget()

    def forget(self) -> None:
        """Drop all graphs, because the memory that they captured is gone."""
        self._seen: set[Hashable] = set()
        self._graphs: dict[Hashable, Any] = {}
        self._pool: Any = None

    def round_rows(self, rows: int, limit: int) -> int:
        """Return how many rows a step takes instead: powers of two, then multiples of eight."""
        if not self.rounds:
            return rows
        return min(1 << (rows - 1).bit_length() if rows <= 8 else -(-rows // 8) * 8, limit)

    def round_kv_length(self, kv_length: int, limit: int) -> int:
        """Return how many positions a step attends to instead."""
        return min(-(-kv_length // _KV_STEP) * _KV_STEP, limit) if self.rounds else kv_length

    def __call__(self, shape: Hashable, step: Callable[[], None]) -> None:
        """Run the step, which reads and writes only tensors that stay at their address."""
        if shape in self._graphs:
            self._graphs[shape].replay()
        elif not self.capture or shape not in self._seen:
            self._seen.add(shape)  # the first time warms up the kernels
            step()
        else:
            self._graphs[shape] = self._captured(step)
            self._graphs[shape].replay()

    def _captured(self, step: Callable[[], None]) -> Any:
        """Return the graph of a step; capturing does not run it."""
        graph = torch.cuda.CUDAGraph()
        with torch.cuda.device(self.device):  # streams belong to the current device, which may be another GPU
            # All graphs share one pool of memory: a step leaves nothing there that another one could overwrite.
            self._pool = self._pool or torch.cuda.graph_pool_handle()
            # thread_local: other threads, for example the diarization, may allocate memory meanwhile.
            self._stream = self._stream or torch.cuda.Stream()  # type: ignore[no-untyped-call]
            with torch.cuda.graph(graph, self._pool, self._stream, capture_error_mode="thread_local"):
                step()
        return graph
