"""The two small networks of `models/demo-diarization`, as pyannote.audio models.

pyannote imports this module by its name when it loads the checkpoints, so the repository's root must be on the path.
Both networks read 80 log-mel bands of 16 kHz audio, and work in frames of 20 ms.
"""

from functools import cached_property
from typing import Any

import torch
from pyannote.audio.core.model import Model
from torch import Tensor, nn
from torch.nn import functional

SAMPLE_RATE, FFT, HOP, MELS = 16_000, 400, 160, 80
FRAME = 2 * HOP  # samples of one output frame: 20 ms
RANGE = 6.0  # decades: mel power further below the chunk's peak counts as silence
MIN_PEAK = -4.0  # log10 mel power: a chunk with a lower peak is not amplified to full scale


def scaled_log_mel(power: Tensor) -> Tensor:
    """Return mel power (batch, frames, 80) as log-mel from −1 to 0: 0 is the chunk's peak, −1 six decades below."""
    log = power.clamp(min=1e-10).log10()
    return (log - log.amax(dim=(1, 2), keepdim=True).clamp(min=MIN_PEAK)).clamp(min=-RANGE) / RANGE


class MelPower(nn.Module):
    """Mel power with Whisper's filter bank."""

    window: Tensor
    filters: Tensor

    def __init__(self) -> None:
        super().__init__()
        self.register_buffer("window", torch.hann_window(FFT), persistent=False)
        self.register_buffer("filters", torch.zeros(FFT // 2 + 1, MELS))

    def forward(self, samples: Tensor) -> Tensor:
        """Return mel power (batch, frames of 10 ms, 80) of samples (batch, samples)."""
        padded = functional.pad(samples, (0, -samples.shape[-1] % FRAME))
        spectrum = torch.stft(padded, FFT, HOP, window=self.window, pad_mode="constant", return_complex=True)
        return spectrum[..., :-1].abs().square().transpose(1, 2) @ self.filters


class Block(nn.Module):
    """Depthwise convolution, self-attention and a feed-forward layer, each with a residual connection."""

    def __init__(self, width: int, heads: int = 4, kernel: int = 15) -> None:
        super().__init__()
        self.heads = heads
        self.norms = nn.ModuleList(nn.LayerNorm(width) for _ in range(3))
        self.near = nn.Conv1d(width, width, kernel, padding=kernel // 2, groups=width)
        self.mix = nn.Linear(width, width)
        self.qkv = nn.Linear(width, 3 * width)
        self.out = nn.Linear(width, width)
        self.up = nn.Linear(width, 2 * width)
        self.down = nn.Linear(2 * width, width)

    def forward(self, x: Tensor) -> Tensor:
        """Map (batch, frames, width) to the same shape."""
        local = self.near(self.norms[0](x).transpose(1, 2)).transpose(1, 2)
        x = x + self.mix(functional.gelu(local))
        batch, frames, width = x.shape
        query, key, value = (
            self.qkv(self.norms[1](x)).view(batch, frames, 3, self.heads, -1).permute(2, 0, 3, 1, 4).unbind(0)
        )
        attended = functional.scaled_dot_product_attention(query, key, value)
        x = x + self.out(attended.transpose(1, 2).reshape(batch, frames, width))
        hidden: Tensor = x + self.down(functional.gelu(self.up(self.norms[2](x))))
        return hidden


class _FrameModel(Model):  # type: ignore[misc]
    """The frames of both networks."""

    def num_frames(self, num_samples: int) -> int:
        """Return the number of output frames."""
        return -(-num_samples // FRAME)

    def receptive_field_size(self, num_frames: int = 1) -> int:
        """Return the number of samples of num_frames frames."""
        return num_frames * FRAME

    def receptive_field_center(self, frame: int = 0) -> int:
        """Return the index of the sample in the middle of a frame."""
        return frame * FRAME + FRAME // 2


class SegmentationNet(_FrameModel):
    """Powerset speaker segmentation of a chunk (Plaquet & Bredin 2023)."""

    def __init__(
        self, width: int = 96, layers: int = 4, sample_rate: int = SAMPLE_RATE, num_channels: int = 1, task: Any = None
    ) -> None:
        super().__init__(sample_rate=sample_rate, num_channels=num_channels, task=task)
        self.save_hyperparameters("width", "layers")
        self.power = MelPower()
        self.first = nn.Conv1d(MELS, width, 5, padding=2)
        self.second = nn.Conv1d(width, width, 4, stride=2, padding=1)
        self.blocks = nn.ModuleList(Block(width) for _ in range(layers))
        self.norm = nn.LayerNorm(width)

    @property
    def dimension(self) -> int:
        """Number of classes: the sets of at most two speakers."""
        return int(self.specifications.num_powerset_classes)

    def build(self) -> None:
        """Add the last layer. Its size depends on the specifications."""
        self.classifier = nn.Linear(self.hparams.width, self.dimension)
        self.activation = nn.LogSoftmax(dim=-1)

    def hidden(self, mel: Tensor) -> Tensor:
        """Return hidden states (batch, frames, width) of scaled log-mel (batch, 2·frames, 80)."""
        x = functional.gelu(self.first(mel.transpose(1, 2)))
        x = functional.gelu(self.second(x)).transpose(1, 2)
        for block in self.blocks:
            x = block(x)
        states: Tensor = self.norm(x)
        return states

    def forward(self, waveforms: Tensor) -> Tensor:
        """Return log-probabilities (batch, frames, classes) of waveforms (batch, 1, samples)."""
        mel = scaled_log_mel(self.power(waveforms[:, 0]))
        logprobs: Tensor = self.activation(self.classifier(self.hidden(mel)))
        return logprobs


class EmbeddingNet(_FrameModel):
    """Speaker embeddings of unit length."""

    def __init__(
        self, width: int = 128, layers: int = 4, dimension: int = 64,
        sample_rate: int = SAMPLE_RATE, num_channels: int = 1, task: Any = None,
    ) -> None:  # fmt: skip
        super().__init__(sample_rate=sample_rate, num_channels=num_channels, task=task)
        self.save_hyperparameters("width", "layers", "dimension")
        self.power = MelPower()
        self.steady = nn.BatchNorm1d(MELS)
        strides = [1, 2] + [1] * layers
        self.layers = nn.ModuleList(
            nn.Conv1d(MELS if n == 0 else width, width, 5 if n == 0 else 4 if n == 1 else 3, stride,
                      padding=2 if n == 0 else 1 if n == 1 else 2 ** (n - 2), dilation=1 if n < 2 else 2 ** (n - 2))
            for n, stride in enumerate(strides)
        )  # fmt: skip
        self.norms = nn.ModuleList(nn.BatchNorm1d(width) for _ in self.layers)
        self.embedding = nn.Linear(2 * width, dimension)

    @cached_property
    def dimension(self) -> int:
        """Size of an embedding."""
        return int(self.hparams.dimension)

    def embed(self, mel: Tensor, weights: Tensor | None = None) -> Tensor:
        """Return embeddings (batch, dimension) of scaled log-mel (batch, 2·frames, 80) under weights (batch, frames).

        Frames outside the weights are silenced before the first layer, so that they cannot affect the others.
        """
        if weights is not None:
            inside = functional.interpolate(weights[:, None], size=mel.shape[1], mode="nearest")[:, 0, :, None]
            mel = mel * inside - (1 - inside)
        x = self.steady(mel.transpose(1, 2))
        for number, (norm, layer) in enumerate(zip(self.norms, self.layers, strict=True)):
            new = functional.relu(norm(layer(x)))
            x = new if number < 2 else x + new
        return functional.normalize(self.embedding(_pool_statistics(x, weights)), dim=-1)

    def forward(self, waveforms: Tensor, weights: Tensor | None = None) -> Tensor:
        """Return embeddings (batch, dimension) of waveforms (batch, 1, samples) under weights (batch, frames).

        pyannote also passes speakers who are silent in the chunk, and expects NaN for them.
        """
        if weights is None:
            return self.embed(scaled_log_mel(self.power(waveforms[:, 0])))
        active = weights.any(dim=1)
        embeddings = waveforms.new_full((len(waveforms), self.dimension), torch.nan)
        if active.any():
            embeddings[active] = self.embed(scaled_log_mel(self.power(waveforms[active, 0])), weights[active])
        return embeddings


def _pool_statistics(x: Tensor, weights: Tensor | None) -> Tensor:
    """Return weighted mean and standard deviation over time: (batch, width, frames) to (batch, 2·width).

    pyannote's StatsPool is not used, because it has no finite gradient for a channel that is constant.
    """
    weight = torch.ones_like(x[:, :1]) if weights is None else weights[:, None]
    weight = functional.interpolate(weight, size=x.shape[2], mode="nearest")
    weight = weight / weight.sum(2, keepdim=True).clamp(min=1e-6)
    mean = (x * weight).sum(2)
    variance = ((x - mean[..., None]).square() * weight).sum(2)
    return torch.cat([mean, (variance + 1e-5).sqrt()], dim=1)
