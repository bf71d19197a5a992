"""Log-mel features as WhisperFeatureExtractor computes them, without transforming the padding."""

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor

from transcription.audio import Samples


class LogMelFeatures:
    """Samples → the input of the encoder."""

    def __init__(self, extractor: Any, device: torch.device, dtype: torch.dtype) -> None:
        """Use the sizes and filters of a WhisperFeatureExtractor."""
        self.device, self.dtype = device, dtype
        # A GPU would wait for the CPU; other devices lack parts of the transform.
        self._computes = device if device.type == "cuda" else torch.device("cpu")
        self.size, self.hop, self.fft = extractor.n_samples, extractor.hop_length, extractor.n_fft
        self.filters = torch.from_numpy(extractor.mel_filters).float().T.contiguous().to(self._computes)
        self.taper = torch.hann_window(self.fft).to(self._computes)

    def __call__(self, windows: Sequence[Samples]) -> Tensor:
        """Return features (windows, mels, frames) of samples; each window has at most `size` samples."""
        features = [self._log_mel(torch.from_numpy(samples).to(self._computes)) for samples in windows]
        return torch.stack(features).to(self.device, self.dtype)

    def _log_mel(self, samples: Tensor) -> Tensor:
        # A frame covers half a transform on both sides; everything after that is silence.
        length = min(self.size, -(-(len(samples) + self.fft) // self.hop) * self.hop)
        padded = torch.nn.functional.pad(samples, (0, length - len(samples)))
        spectrum = torch.stft(padded, self.fft, self.hop, window=self.taper, return_complex=True)[:, :-1]
        real, imaginary = torch.view_as_real(spectrum).unbind(-1)  # abs() would take a root only to square it again
        mel = (self.filters @ (real.square() + imaginary.square())).clamp_min(1e-10).log10()
        floor = mel.max() - 8.0
        whole = mel.new_full((len(mel), self.size // self.hop), -10.0)
        whole[:, : mel.shape[1]] = mel
        return (torch.maximum(whole, floor) + 4.0) / 4.0
