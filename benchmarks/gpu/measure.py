"""Measure one contender in this process, one batch size after the other."""

import json
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np
import torch

from benchmarks.engines import long, short
from benchmarks.gpu.contenders import CONTENDERS, Output, Setup, free_memory
from benchmarks.gpu.shapes import WINDOW
from transcription.audio import SAMPLE_RATE, Samples

WINDOWS_PER_ROW = 2  # of the long recording


@dataclass(frozen=True)
class Measurement:
    """What one contender did with one batch size.

    clips_seconds: for `batch` clips at once. long_seconds: for one recording of audio_seconds. windows: how many were
    decoded for it. memory: peak of the GPU in GB, 0 on a CPU. failure: empty, or why there is nothing.
    """

    contender: str
    batch: int
    clips_seconds: float = 0.0
    long_seconds: float = 0.0
    audio_seconds: float = 0.0
    windows: int = 0
    memory: float = 0.0
    acceptance: float | None = None
    failure: str = ""

    @property
    def speed(self) -> float:
        """Seconds of audio per second, of the long recording."""
        return self.audio_seconds / self.long_seconds


def measure(contender: str, setup: Setup, batches: Sequence[int], rounds: int) -> Iterator[Measurement]:
    """Yield a measurement for each batch size: the fastest of some rounds, the first of which warms up."""
    free_memory()
    loaded = CONTENDERS[contender](setup)
    script = json.loads((setup.folder / "script.json").read_text())
    clip = short()[0]
    for batch in batches:
        recording = long_recording(batch)
        clips_seconds, clips = fastest(partial(loaded.transcribe, [clip] * batch, batch), rounds)
        seconds, output = fastest(partial(loaded.transcribe, [recording], batch), rounds)
        check(clips, script)
        check(output, script)
        memory = torch.cuda.max_memory_allocated() / 1e9 if torch.cuda.is_available() else 0.0
        yield Measurement(
            contender, batch, clips_seconds, seconds, len(recording) / SAMPLE_RATE, output.windows, memory,
            loaded.acceptance(),
        )  # fmt: skip


def long_recording(batch: int) -> Samples:
    """Return two windows for each row of the batch."""
    return np.resize(long()[0], WINDOWS_PER_ROW * batch * WINDOW * SAMPLE_RATE)


def check(output: Output, script: dict[str, Any]) -> None:
    """Check that nothing but the script was written.

    Raises ValueError if anything else was.
    """
    text = {token for token in output.tokens if token < script["end"]}
    if not text or not text <= set(script["text"]):
        raise ValueError("the tokens differ from the script")


def fastest(call: Callable[[], Output], rounds: int) -> tuple[float, Output]:
    """Return the seconds of the fastest round, and what the last one returned."""
    times = []
    for _ in range(rounds):
        began = time.perf_counter()
        output = call()
        times.append(time.perf_counter() - began)
    return min(times), output
