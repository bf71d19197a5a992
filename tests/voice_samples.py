"""Samples of the speakers in a recording, cut from it by its ground truth."""

import base64
import io
import wave
from itertools import pairwise

import numpy as np

from tests.conftest import SAMPLES
from transcription.audio import Audio


def talk(name: str, speaker: str, seconds: float) -> Audio:
    """Return the first seconds in which a speaker of a recording talks."""
    recording = SAMPLES[name]
    words = [word for word in recording.truth["words"] if word["speaker"] == speaker]
    ends = [after["start"] if after["start"] < word["end"] + 0.3 else word["end"] for word, after in pairwise(words)]
    spans = zip(words, [*ends, words[-1]["end"]], strict=True)
    parts = [recording.audio.samples[round(word["start"] * 16_000) : round(end * 16_000)] for word, end in spans]
    return Audio(np.concatenate(parts)[: round(seconds * 16_000)])


def data_uri(samples: np.ndarray) -> str:
    """Return samples as the data URI of a WAV file."""
    file = io.BytesIO()
    with wave.open(file, "wb") as sound:
        sound.setparams((1, 2, 16_000, 0, "NONE", "NONE"))
        sound.writeframes((samples * 32767).astype("<i2").tobytes())
    return "data:audio/wav;base64," + base64.b64encode(file.getvalue()).decode()
