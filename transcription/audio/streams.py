"""StreamDecoder: raw audio that arrives in pieces of any length, to samples at 16 kHz."""

from typing import Any, Literal

import numpy as np

from transcription.audio.samples import SAMPLE_RATE, Samples

Encoding = Literal["pcm", "ulaw", "alaw"]
G711_RATE = 8000
"""Sample rate of G.711, in Hz."""


def _ulaw() -> Samples:
    code = ~np.arange(256, dtype=np.uint8)
    exponent, mantissa = (code >> 4 & 7).astype(np.int32), (code & 15).astype(np.int32)
    magnitude = (((mantissa << 3) + 0x84) << exponent) - 0x84
    return (np.where(code & 0x80, -magnitude, magnitude) / 32768).astype(np.float32)


def _alaw() -> Samples:
    code = np.arange(256, dtype=np.uint8) ^ 0x55
    exponent, mantissa = (code >> 4 & 7).astype(np.int32), (code & 15).astype(np.int32)
    magnitude = np.where(exponent == 0, (mantissa << 4) + 8, ((mantissa << 4) + 0x108) << np.maximum(exponent - 1, 0))
    return (np.where(code & 0x80, magnitude, -magnitude) / 32768).astype(np.float32)


_TABLES: dict[Encoding, Samples] = {"ulaw": _ulaw(), "alaw": _alaw()}


class StreamDecoder:
    """Decodes one stream: 16-bit little-endian PCM, or G.711. The resampler keeps its state between pieces."""

    def __init__(self, encoding: Encoding = "pcm", rate: int = SAMPLE_RATE) -> None:
        """Start a stream of one channel. rate: in Hz."""
        self.encoding, self.rate = encoding, rate
        self._odd = b""  # half a sample
        self._resampler = self._new_resampler()

    def _new_resampler(self) -> Any:
        import av

        return None if self.rate == SAMPLE_RATE else av.AudioResampler(format="flt", layout="mono", rate=SAMPLE_RATE)

    def decode(self, data: bytes) -> Samples:
        """Return the samples of one more piece, as many as are ready."""
        if self.encoding == "pcm":
            data = self._odd + data
            whole = len(data) // 2 * 2
            self._odd = data[whole:]
            samples: Samples = np.frombuffer(data[:whole], "<i2").astype(np.float32) / np.float32(32768)
        else:
            samples = _TABLES[self.encoding][np.frombuffer(data, np.uint8)]
        return self._resampled(samples) if len(samples) and self._resampler is not None else samples

    def _resampled(self, samples: Samples) -> Samples:
        import av

        frame = av.AudioFrame.from_ndarray(samples.reshape(1, -1), format="flt", layout="mono")
        frame.sample_rate = self.rate
        blocks = [block.to_ndarray().reshape(-1) for block in self._resampler.resample(frame)]
        return np.concatenate([np.zeros(0, np.float32), *blocks]).astype(np.float32)
