"""Voice activity detection with Silero VAD. The model is part of its Python package."""

from functools import cache
from typing import Any

import numpy as np
import numpy.typing as npt
import torch

from transcription.audio import Samples

FRAME = 512
"""Samples of one probability: 32 ms."""
CONTEXT = 64
"""Samples of the frame before, which the model reads with each frame."""
STATE = (1, 1, 128)
"""Shape of the hidden and of the cell state of its LSTM."""


def speech_probabilities(samples: Samples) -> npt.NDArray[np.float32]:
    """Return the speech probability of each frame of samples at 16 kHz."""
    probabilities: npt.NDArray[np.float32] = _model().audio_forward(samples)
    return probabilities


def run_model(frames: Samples, hidden: Samples, cell: Samples) -> tuple[npt.NDArray[np.float32], Samples, Samples]:
    """Return the speech probability of each frame, and the two states after the last one.

    frames: (frames, CONTEXT + FRAME) of one recording, one after the other. hidden, cell: states before the first.
    """
    inputs = {"input": frames, "h": hidden, "c": cell}
    probabilities, hidden, cell = _model().session.run(["speech_probs", "hn", "cn"], inputs)
    return probabilities.reshape(-1), hidden, cell


@cache
def _model() -> Any:
    threads = torch.get_num_threads()
    try:
        from silero_vad import load_silero_vad  # sets torch to one thread for the whole process
    finally:
        torch.set_num_threads(threads)
    return load_silero_vad(sequence=True)
