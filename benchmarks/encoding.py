"""Encode samples as an audio file, for the shipped recordings and for tests."""

import io
from typing import Any

import av
import numpy as np
import numpy.typing as npt

SAMPLE_RATE = 16_000
CODECS = {"wav": "pcm_s16le", "flac": "flac", "mp3": "libmp3lame", "ogg": "libopus", "m4a": "aac"}
CONTAINERS = {"m4a": "ipod"}  # FFmpeg's name
BIT_RATE = 48_000


def encoded(samples: npt.NDArray[np.float32], kind: str, bit_rate: int = BIT_RATE) -> bytes:
    """Return the bytes of a file of one of CODECS.

    samples: 16 kHz, (time,) or (2 channels, time); a peak above 1 is scaled down to 1. bit_rate: of lossy codecs.
    """
    codec, file = CODECS[kind], io.BytesIO()
    samples = np.atleast_2d(samples)
    layout = "stereo" if len(samples) == 2 else "mono"
    peak = max(float(np.abs(samples).max(initial=0.0)), 1.0)
    with av.open(file, "w", format=CONTAINERS.get(kind, kind)) as container:
        rate = 48_000 if codec == "libopus" else SAMPLE_RATE
        stream: Any = container.add_stream(codec, rate=rate, layout=layout)
        if codec in ("libmp3lame", "aac", "libopus"):
            stream.bit_rate = bit_rate
        resampler = av.AudioResampler(stream.format.name, layout, rate, frame_size=stream.codec_context.frame_size or 0)
        for start in range(0, samples.shape[1], SAMPLE_RATE):
            part = (samples[:, start : start + SAMPLE_RATE] / peak * 32767).astype(np.int16)
            frame = av.AudioFrame.from_ndarray(np.ascontiguousarray(part), format="s16p", layout=layout)
            frame.sample_rate, frame.pts = SAMPLE_RATE, start
            for ready in resampler.resample(frame):
                container.mux(stream.encode(ready))
        for ready in resampler.resample(None):
            container.mux(stream.encode(ready))
        container.mux(stream.encode(None))
    return file.getvalue()
