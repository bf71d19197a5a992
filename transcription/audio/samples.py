"""Audio, and the way from samples of several channels to mono."""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from transcription.audio.limits import AudioLimits
from transcription.errors import InvalidAudio

SAMPLE_RATE = 16_000
Samples = npt.NDArray[np.float32]

_MIN_MEAN_ENERGY = 0.01  # of the loudest channel's energy. Below it, the channels cancel each other out
_BATCH = 65_536  # samples to mix at a time: small blocks cost more time


@dataclass(frozen=True)
class Audio:
    """Decoded audio.

    samples: mono, in [-1, 1].
    partial: a part of the recording is missing, because the file was truncated or damaged.
    channels: the samples (channel, time) before they were mixed to mono; None unless the caller keeps them.
    """

    samples: Samples
    sample_rate: int = SAMPLE_RATE
    partial: bool = False
    channels: Samples | None = None

    @property
    def duration(self) -> float:
        """Length in seconds."""
        return len(self.samples) / int(self.sample_rate)


class Mixer:
    """Mixes blocks (channel, time) of the same number of channels to mono.

    The result is the mean, and not FFmpeg's sum: a voice on all channels would exceed 1. If the channels cancel each
    other out, because one is the inverse of another, the result is one loud channel.
    """

    def __init__(self, channels: int) -> None:
        """Start without samples."""
        self.channels = channels
        self._pending: list[Samples] = []
        self._pending_samples = 0
        self._means: list[Samples] = []
        self._singles: list[Samples] = []
        self._chosen = 0
        self._energy = np.zeros(channels)
        self._mean_energy = 0.0

    def add(self, block: Samples) -> None:
        """Add samples (channel, time)."""
        if self.channels == 1:
            self._means.append(block[0])
            return
        self._pending.append(block)
        self._pending_samples += block.shape[1]
        if self._pending_samples >= _BATCH:
            self._mix()

    def mono(self) -> Samples:
        """Return all samples as mono, and forget them."""
        if self._pending:
            self._mix()
        cancels = self._mean_energy < _MIN_MEAN_ENERGY * self._energy.max()
        blocks = self._singles if cancels else self._means
        self._means, self._singles = [], []
        return np.concatenate(blocks)

    def _mix(self) -> None:
        block = np.concatenate(self._pending, axis=1)
        self._pending, self._pending_samples = [], 0
        with np.errstate(invalid="ignore", over="ignore"):  # samples that are not finite are refused later
            mean = block.mean(axis=0, dtype=np.float32)
            self._energy += np.einsum("ct,ct->c", block, block)
            self._mean_energy += float(np.dot(mean, mean))
        loudest = int(self._energy.argmax())
        if self._energy[loudest] > 100 * self._energy[self._chosen]:  # the chosen channel was silent until now
            self._chosen = loudest
        self._means.append(mean)
        self._singles.append(block[self._chosen].copy())


class Mixdown:
    """Collects blocks (channel, time) at 16 kHz, checks the limits at every block, and mixes them to mono.

    count: samples of one channel so far.
    """

    def __init__(self, limits: AudioLimits, keep_channels: bool) -> None:
        """Start without samples."""
        self.count = 0
        self._limits, self._keep_channels = limits, keep_channels
        self._mixers: list[Mixer] = []
        self._blocks: list[Samples] = []

    def add(self, block: Samples) -> None:
        """Add samples.

        Raises AudioTooLong, and InvalidAudio if the channels are kept and their number changes.
        """
        self.count += block.shape[1]
        self._limits.check_samples(self.count, SAMPLE_RATE)
        if not self._mixers or self._mixers[-1].channels != len(block):
            if self._mixers and self._keep_channels:
                raise InvalidAudio("the number of channels changes within the file: multichannel cannot be used")
            self._mixers.append(Mixer(len(block)))
        self._mixers[-1].add(block)
        if self._keep_channels:
            self._blocks.append(block)

    def audio(self, partial: bool = False) -> Audio:
        """Return the audio. Samples beyond ±1 are scaled down by their peak.

        Raises InvalidAudio if a sample is not finite.
        """
        parts = [mixer.mono() for mixer in self._mixers]
        mono = parts[0] if len(parts) == 1 else np.concatenate(parts)
        channels = np.concatenate(self._blocks, axis=1) if self._keep_channels else None
        peak = max(_peak(mono), 0.0 if channels is None else _peak(channels))
        if not np.isfinite(peak):
            raise InvalidAudio("the audio contains samples that are not finite numbers")
        if peak > 1:
            mono, channels = mono / np.float32(peak), None if channels is None else channels / np.float32(peak)
        return Audio(mono, partial=partial, channels=channels)


def _peak(samples: Samples) -> float:
    """Return the largest absolute value; NaN if there is one."""
    return float(np.maximum(samples.max(initial=0.0), -samples.min(initial=0.0)))
