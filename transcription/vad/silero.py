"""Voice activity detection with Silero VAD. The model is part of its Python package."""

from functools import cache
from typing import Any

import numpy as np
import numpy.typing as npt
import torch

from transcription.audio import Samples

FRAME = 512
"""Samples of one probability: 32 ms."""


def speech_probabilities(samples: Samples) -> npt.NDArray[np.float32]:
    """Return the speech probability of each frame of samples at 16 kHz."""
    probabilities: npt.NDArray[np.float32] = _model().audio_forward(samples)
    return probabilities


@cache
def _model() -> Any:
    threads = torch.get_num_threads()
    try:
        from silero_vad import load_silero_vad  # sets torch to one thread for the whole process
    finally:
        torch.set_num_threads(threads)
    return load_silero_vad(sequence=True)
