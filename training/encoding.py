"""Samples → the bytes of an audio file, for the shipped recordings and for tests."""

import io
from typing import Any

import av
import numpy as np
import numpy.typing as npt

SAMPLE_RATE = 16_000
CODECS = {"wav": "pcm_s16le", "flac": "flac", "mp3": "libmp3lame", "ogg": "libopus", "m4a": "aac"}
CONTAINERS = {"m4a": "ipod"}  # FFmpeg's name for it
BIT_RATE = 48_000


def encoded(samples: npt.NDArray[np.float32], kind: str) -> bytes:
    """16 kHz mono samples in [-1, 1] as a file of one of CODECS. Louder ones are scaled down."""
    codec, file = CODECS[kind], io.BytesIO()
    peak = max(float(np.abs(samples).max(initial=0.0)), 1.0)
    with av.open(file, "w", format=CONTAINERS.get(kind, kind)) as container:
        rate = 48_000 if codec == "libopus" else SAMPLE_RATE
        stream: Any = container.add_stream(codec, rate=rate, layout="mono")
        if codec in ("libmp3lame", "aac", "libopus"):
            stream.bit_rate = BIT_RATE
        resampler = av.AudioResampler(stream.format.name, "mono", rate, frame_size=stream.codec_context.frame_size or 0)
        for start in range(0, len(samples), SAMPLE_RATE):
            part = samples[start : start + SAMPLE_RATE] / peak * 32767
            frame = av.AudioFrame.from_ndarray(part.astype(np.int16)[None], format="s16", layout="mono")
            frame.sample_rate, frame.pts = SAMPLE_RATE, start
            for ready in resampler.resample(frame):
                container.mux(stream.encode(ready))
        for ready in resampler.resample(None):
            container.mux(stream.encode(ready))
        container.mux(stream.encode(None))
    return file.getvalue()
