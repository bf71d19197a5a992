"""Log-mel features as WhisperFeatureExtractor computes them, without transforming the padding."""

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor

from transcription.audio import Samples


class Features:
    """Windows of samples → what the encoder reads."""

    def __init__(self, extractor: Any, device: torch.device, dtype: torch.dtype) -> None:
        self.device, self.dtype = device, dtype
        self.size, self.hop, self.fft = extractor.n_samples, extractor.hop_length, extractor.n_fft
        self.filters = torch.from_numpy(extractor.mel_filters).float().T.contiguous()
        self.taper = torch.hann_window(self.fft)

    def __call__(self, windows: Sequence[Samples]) -> Tensor:
        """Features (windows, mels, frames) of samples, each at most `size` long."""
        return torch.stack([self._one(torch.from_numpy(samples)) for samples in windows]).to(self.device, self.dtype)

    def _one(self, samples: Tensor) -> Tensor:
        # A frame reaches half a transform to both sides; whatever lies beyond is silence.
        heard = min(self.size, -(-(len(samples) + self.fft) // self.hop) * self.hop)
        padded = torch.nn.functional.pad(samples, (0, heard - len(samples)))
        spectrum = torch.stft(padded, self.fft, self.hop, window=self.taper, return_complex=True)[:, :-1]
        real, imaginary = torch.view_as_real(spectrum).unbind(-1)  # abs() would take a root to be squared again
        mel = (self.filters @ (real.square() + imaginary.square())).clamp_min(1e-10).log10()
        floor = mel.max() - 8.0
        whole = torch.full((len(mel), self.size // self.hop), -10.0)
        whole[:, : mel.shape[1]] = mel
        return (torch.maximum(whole, floor) + 4.0) / 4.0
