"""Audio files for tests, and where they have sound."""

import io
import struct
import wave
from typing import Any

import av
import numpy as np
import numpy.typing as npt

from transcription.audio import SAMPLE_RATE, Audio

FloatArray = npt.NDArray[np.float32]


def tone(seconds: float, frequency: float = 440) -> FloatArray:
    times = np.arange(round(seconds * SAMPLE_RATE)) / SAMPLE_RATE
    return (0.5 * np.sin(2 * np.pi * frequency * times)).astype(np.float32)


def wav(channels: FloatArray, rate: int = SAMPLE_RATE) -> bytes:
    """Return a 16-bit wav file of samples (channel, time)."""
    file = io.BytesIO()
    with wave.open(file, "wb") as out:
        out.setnchannels(len(channels))
        out.setsampwidth(2)
        out.setframerate(rate)
        out.writeframes((channels.T * 32767).round().astype("<i2").tobytes())
    return file.getvalue()


def float_wav(samples: FloatArray) -> bytes:
    data = samples.astype("<f4").tobytes()
    head = struct.pack("<4sI4s4sIHHIIHH4sI", b"RIFF", 36 + len(data), b"WAVE", b"fmt ", 16, 3, 1,
                       SAMPLE_RATE, SAMPLE_RATE * 4, 4, 32, b"data", len(data))  # fmt: skip
    return head + data


def damaged(data: bytes, length: int = 600) -> bytes:
    """Return a file with random bytes in its middle."""
    middle = len(data) // 2
    return data[:middle] + np.random.default_rng(1).bytes(length) + data[middle + length :]


def loud_from_to(audio: Audio) -> list[float]:
    """Return the start and the end of each stretch with sound, in seconds. Pauses under 0.3 s do not count."""
    loud = np.flatnonzero(np.abs(audio.samples) > 0.1) / SAMPLE_RATE
    edges = np.flatnonzero(np.diff(loud) > 0.3)
    return [float(second) for second in np.sort(np.r_[loud[0], loud[edges], loud[edges + 1], loud[-1]])]


def encoded_mp3(samples: FloatArray, rate: int, layout: str = "mono", container: str = "mp3") -> bytes:
    """Return mp3 or ADTS frames at a rate and with a number of channels."""
    file = io.BytesIO()
    with av.open(file, "w", format=container, options={} if container == "adts" else {"write_xing": "0"}) as out:
        stream = out.add_stream("aac" if container == "adts" else "libmp3lame", rate=rate, layout=layout)
        resampler = av.AudioResampler(stream.format.name, layout, rate, frame_size=stream.codec_context.frame_size)
        frame = av.AudioFrame.from_ndarray((samples[None] * 32767).astype(np.int16), format="s16p", layout="mono")
        frame.sample_rate = SAMPLE_RATE
        for ready in [*resampler.resample(frame), *resampler.resample(None), None]:
            out.mux(stream.encode(ready))
    return file.getvalue()


def surround(samples: FloatArray, codec: str, container: str, layout: str) -> bytes:
    """Return a file with the same samples on all channels of a layout. Its decoder returns planar frames."""
    file, rate = io.BytesIO(), 48_000
    count = av.AudioLayout(layout).nb_channels
    with av.open(file, "w", format=container) as out:
        stream: Any = out.add_stream(codec, rate=rate, layout=layout)
        resampler = av.AudioResampler(stream.format.name, layout, rate, stream.codec_context.frame_size or 1024)
        packed = (np.repeat(samples, count)[None] * 32767).astype(np.int16)
        frame = av.AudioFrame.from_ndarray(packed, format="s16", layout=layout)
        frame.sample_rate = SAMPLE_RATE
        for ready in [*resampler.resample(frame), *resampler.resample(None), None]:
            out.mux(stream.encode(ready))
    return file.getvalue()
