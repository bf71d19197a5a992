"""Where nobody speaks: Silero VAD, which carries its model in its package."""

from functools import cache
from typing import Any

import numpy as np
import numpy.typing as npt
import torch

from transcription.audio import Samples

FRAME = 512
"""Samples that one probability stands for, 32 ms."""


def speech(samples: Samples) -> npt.NDArray[np.float32]:
    """The probability that someone speaks, for every frame of samples at 16 kHz."""
    found: npt.NDArray[np.float32] = _model().audio_forward(samples)
    return found


@cache
def _model() -> Any:
    threads = torch.get_num_threads()
    try:
        from silero_vad import load_silero_vad  # sets torch to one thread for the whole process
    finally:
        torch.set_num_threads(threads)
    return load_silero_vad(sequence=True)
