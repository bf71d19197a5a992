"""Log-mel features with numpy, as WhisperFeatureExtractor computes them, without transforming the padding."""

import numpy as np
import numpy.typing as npt

from transcription.audio import Samples


class LogMelFeatures:
    """Samples → the input of the encoder."""

    def __init__(self, filters: npt.NDArray[np.float32], n_fft: int, hop: int, size: int) -> None:
        """Use filters (mels, frequencies), and sizes in samples."""
        self._filters, self._fft, self._hop, self._size = filters, n_fft, hop, size
        self._taper = (0.5 - 0.5 * np.cos(2 * np.pi * np.arange(n_fft) / n_fft)).astype(np.float32)

    def __call__(self, samples: Samples) -> npt.NDArray[np.float32]:
        """Return features (1, mels, frames) of at most `size` samples."""
        # A frame covers half a transform on both sides; everything after that is silence.
        length = min(self._size, -(-(len(samples) + self._fft) // self._hop) * self._hop)
        half = self._fft // 2
        padded = np.zeros(length, np.float32)
        padded[: len(samples)] = samples
        padded = np.pad(padded, half, mode="reflect")
        frames = np.lib.stride_tricks.sliding_window_view(padded, self._fft)[:: self._hop][: length // self._hop]
        spectrum = np.fft.rfft(frames * self._taper)
        power = (spectrum.real**2 + spectrum.imag**2).astype(np.float32)
        mel = np.log10(np.maximum(self._filters @ power.T, 1e-10))
        whole = np.full((1, len(mel), self._size // self._hop), -10.0, np.float32)
        whole[0, :, : mel.shape[1]] = mel
        return np.asarray((np.maximum(whole, mel.max() - 8.0) + 4.0) / 4.0, np.float32)
