"""Mix clips into windows of mel power: speech with gain, tone, reverberation and noise."""

import random
from dataclasses import dataclass

import numpy as np
from scipy.signal import lfilter

from tools.corpus import FRAMES_PER_SECOND, MELS, Clip, mel_filters, mel_power


@dataclass(frozen=True)
class AcousticConditions:
    """The effect of a room, a microphone and a codec on speech.

    gain: factor on the power. tone: decades of power at four mel bands. reverberation: (seconds to −60 dB, share of
    the tail). noise: one minute of mel power, mixed `snr` dB below the speech. telephone: limit the band to
    300–3400 Hz. hiss: constant noise floor, as a share of the speech's power.
    """

    gain: float
    tone: tuple[float, ...]
    reverberation: tuple[float, float] | None
    noise: np.ndarray | None
    snr: float
    telephone: bool
    hiss: float


@dataclass
class Mixer:
    """Mixes clips into windows. Makes its noise recordings once, when it is created."""

    rng: random.Random

    def __post_init__(self) -> None:
        filters = mel_filters()
        generator = np.random.default_rng(self.rng.randrange(2**32))
        self._noises = [mel_power(noise, filters) for noise in _make_noises(generator)]

    def random_conditions(self) -> AcousticConditions:
        """Return random acoustic conditions."""
        rng = self.rng
        return AcousticConditions(
            gain=10 ** rng.uniform(-3.0, 0.5),
            tone=tuple(rng.gauss(0, 0.35) for _ in "abcd"),
            reverberation=(rng.uniform(0.15, 0.7), rng.uniform(0.02, 0.25)) if rng.random() < 0.3 else None,
            noise=rng.choice(self._noises) if rng.random() < 0.6 else None,
            snr=rng.choice((rng.uniform(4, 15), rng.uniform(10, 40))),
            telephone=rng.random() < 0.15,
            hiss=10 ** rng.uniform(-9, -4) if rng.random() < 0.5 else 0.0,
        )

    def mix(
        self, clips: list[tuple[Clip, float]], frames: int, conditions: AcousticConditions | None = None
    ) -> np.ndarray:
        """Return mel power (frames, 80) of clips with their starts in seconds; without conditions draw random ones."""
        rng, conditions = self.rng, conditions or self.random_conditions()
        power = self._add_clips(clips, frames, conditions.gain)
        power *= (10 ** np.interp(np.arange(MELS), [0, 25, 50, 79], conditions.tone)).astype(np.float32)
        if conditions.reverberation is not None:
            power = _reverberate(power, *conditions.reverberation)
        loudest = power.max(axis=1)
        is_speech = loudest > loudest.max() * 1e-2
        speech_power = float(loudest[is_speech].mean()) if is_speech.any() else conditions.gain
        if conditions.noise is not None:
            start = rng.randrange(len(conditions.noise) - frames)
            noise = conditions.noise[start : start + frames]
            mean = float(power.sum() / is_speech.sum()) if is_speech.any() else speech_power
            power = power + noise * (mean / float(noise.sum(axis=1).mean()) * 10 ** (-conditions.snr / 10))
        if conditions.telephone:
            power[:, :8] *= 1e-4
            power[:, 56:] *= 1e-5
        if conditions.hiss:
            power = power + np.float32(speech_power * conditions.hiss)
        if rng.random() < 0.4 and clips:  # digital silence at the end, as in a padded clip
            clip, start_seconds = clips[-1]
            end = round((start_seconds + clip.word_times[-1][1] + 0.1) * FRAMES_PER_SECOND)
            power[end + rng.randint(0, 100) :] = 0
        return np.asarray(power, dtype=np.float32)

    def _add_clips(self, clips: list[tuple[Clip, float]], frames: int, gain: float) -> np.ndarray:
        """Return the sum of the clips' mel power, each with a random gain of its own."""
        power = np.zeros((frames, MELS), np.float32)
        for clip, start in clips:
            mel = 10 ** clip.log_mel.astype(np.float32) * (gain * 10 ** self.rng.uniform(-0.6, 0.6))
            first = round(start * FRAMES_PER_SECOND)
            skip, first = max(-first, 0), max(first, 0)
            part = mel[skip : skip + frames - first]
            power[first : first + len(part)] += part
        return power


def _reverberate(power: np.ndarray, seconds: float, share: float) -> np.ndarray:
    """Add a tail that decays exponentially in every band. seconds: to −60 dB; share: of the tail."""
    decay = 10 ** (-6 / (seconds * FRAMES_PER_SECOND))
    tail = lfilter([0.0, 1 - decay], [1.0, -decay], power, axis=0).astype(np.float32)
    return np.asarray(power + share * tail)


def normalize(power: np.ndarray) -> np.ndarray:
    """Scale mel power as Whisper's feature extractor does: log10, limited to 8 decades below the peak, (x+4)/4."""
    log = np.log10(np.maximum(power, 1e-10))
    return np.asarray((np.maximum(log, log.max() - 8.0) + 4.0) / 4.0, dtype=np.float32)


def _make_noises(rng: np.random.Generator, seconds: int = 60) -> list[np.ndarray]:
    """Make 16 kHz noises: white, pink, brown, hum, chords, clicks, and noise that swells."""
    count = seconds * 16_000
    time = np.arange(count) / 16_000
    white = rng.standard_normal(count)
    spectrum, frequency = np.fft.rfft(white), np.fft.rfftfreq(count, 1 / 16_000)
    noises = [white, white.copy()]
    for slope in (0.5, 1.0):
        noises.append(np.fft.irfft(spectrum / np.maximum(frequency, 30) ** slope, count))
    for hum in (50.0, 60.0, 120.0):
        noises.append(np.sum([np.sin(2 * np.pi * hum * k * time) / k for k in range(1, 9)], axis=0))
    chord_samples = 16_000 // 2
    for base in (110.0, 220.0, 330.0):
        steps = 2 ** (rng.integers(0, 12, (count // chord_samples, 3)) / 12)
        pitch = base * np.repeat(steps, chord_samples, axis=0)
        phase = 2 * np.pi * np.cumsum(pitch, axis=0) / 16_000
        fade = np.exp(-3 * (np.arange(count) % chord_samples) / 16_000)
        noises.append((np.sin(phase) + 0.4 * np.sin(2 * phase) + 0.2 * np.sin(3 * phase)).sum(axis=1) * fade)
    clicks = white * (np.repeat(rng.random(count // 400), 400) < 0.05)
    noises.append(clicks + 0.01 * white)
    swell = white * (1.2 + np.sin(2 * np.pi * 0.3 * time))
    noises.append(swell)
    return [(noise / np.abs(noise).max() * 0.5).astype(np.float32) for noise in noises]
