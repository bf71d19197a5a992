"""Voice activity detection with Silero VAD.

The network is part of its Python package. It is run by onnxruntime, and the package is not imported: that would import
torch, and set it to one thread for the whole process.
"""

from functools import cache
from importlib.util import find_spec
from pathlib import Path

import numpy as np
import numpy.typing as npt
import onnxruntime

from transcription.audio import Samples
from transcription.errors import InvalidSettings

FRAME = 512
"""Samples of one probability: 32 ms."""
CONTEXT = 64
"""Samples of the frame before, which the model reads with each frame."""
STATE = (1, 1, 128)
"""Shape of the hidden and of the cell state of its LSTM."""
_BLOCK = 512  # frames per call; more would only take more memory


def speech_probabilities(samples: Samples) -> npt.NDArray[np.float32]:
    """Return the speech probability of each frame of samples at 16 kHz; the last one is filled up with zeros."""
    hidden, cell = np.zeros(STATE, np.float32), np.zeros(STATE, np.float32)
    found = [np.zeros(0, np.float32)]
    for first in range(0, len(samples), _BLOCK * FRAME):
        block = _frames(samples, first, min(first + _BLOCK * FRAME, len(samples)))
        probabilities, hidden, cell = run_model(block, hidden, cell)
        found.append(probabilities)
    return np.concatenate(found)


def _frames(samples: Samples, first: int, last: int) -> npt.NDArray[np.float32]:
    """Return the samples first ≤ index < last as frames (frames, context + frame)."""
    count, known = -(-(last - first) // FRAME), min(first, CONTEXT)
    padded = np.zeros(CONTEXT + count * FRAME, np.float32)
    padded[CONTEXT - known : CONTEXT + last - first] = samples[first - known : last]
    return np.ascontiguousarray(np.lib.stride_tricks.sliding_window_view(padded, CONTEXT + FRAME)[::FRAME])


def run_model(frames: Samples, hidden: Samples, cell: Samples) -> tuple[npt.NDArray[np.float32], Samples, Samples]:
    """Return the speech probability of each frame, and the two states after the last one.

    frames: (frames, CONTEXT + FRAME) of one recording, one after the other. hidden, cell: states before the first.
    """
    inputs = {"input": frames, "h": hidden, "c": cell}
    probabilities, hidden, cell = _session().run(["speech_probs", "hn", "cn"], inputs)
    return np.asarray(probabilities, np.float32).reshape(-1), hidden, cell


@cache
def _session() -> onnxruntime.InferenceSession:
    package = find_spec("silero_vad")
    if package is None or package.origin is None:
        raise InvalidSettings("silero-vad is not installed: pip install silero-vad")
    options = onnxruntime.SessionOptions()
    options.inter_op_num_threads = options.intra_op_num_threads = 1
    path = Path(package.origin).parent / "data" / "silero_vad_16k_sequence.onnx"
    return onnxruntime.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])
