"""What a training window sounds like: speech with gain, colour and reverb over noise, in mel power."""

import random
from dataclasses import dataclass

import numpy as np
from scipy.signal import lfilter

from tools.corpus import FRAMES_PER_SECOND, MELS, Clip, mel_filters, mel_power


@dataclass
class Sound:
    """Mixes clips into windows. The noise bank is made at the start."""

    rng: random.Random

    def __post_init__(self) -> None:
        filters = mel_filters()
        noise = np.random.default_rng(self.rng.randrange(2**32))
        self._bank = [mel_power(sound, filters) for sound in _noises(noise)]

    def channel(self) -> "Channel":
        """A random way from the mouth to the file."""
        rng = self.rng
        return Channel(
            level=10 ** rng.uniform(-3.0, 0.5),
            colour=tuple(rng.gauss(0, 0.35) for _ in "abcd"),
            reverberation=(rng.uniform(0.15, 0.7), rng.uniform(0.02, 0.25)) if rng.random() < 0.3 else None,
            noise=rng.choice(self._bank) if rng.random() < 0.6 else None,
            snr=rng.choice((rng.uniform(4, 15), rng.uniform(10, 40))),
            telephone=rng.random() < 0.15,
            hiss=10 ** rng.uniform(-9, -4) if rng.random() < 0.5 else 0.0,
        )

    def mix(self, placed: list[tuple[Clip, float]], frames: int, channel: "Channel | None" = None) -> np.ndarray:
        """Mel power of the window: speech with gain, colour and reverb, over a noise floor."""
        rng, way = self.rng, channel or self.channel()
        power = np.zeros((frames, MELS), np.float32)
        for clip, start in placed:
            mel = 10 ** clip.log_mel.astype(np.float32) * (way.level * 10 ** rng.uniform(-0.6, 0.6))
            first = round(start * FRAMES_PER_SECOND)
            skip, first = max(-first, 0), max(first, 0)
            part = mel[skip : skip + frames - first]
            power[first : first + len(part)] += part
        power *= (10 ** np.interp(np.arange(MELS), [0, 25, 50, 79], way.colour)).astype(np.float32)
        if way.reverberation is not None:  # every band decays exponentially
            seconds, wet = way.reverberation
            decay = 10 ** (-6 / (seconds * FRAMES_PER_SECOND))
            tail = lfilter([0.0, 1 - decay], [1.0, -decay], power, axis=0).astype(np.float32)
            power = power + wet * tail
        speech = power.max(axis=1)
        talk = speech > speech.max() * 1e-2
        loud = float(speech[talk].mean()) if talk.any() else way.level
        if way.noise is not None:
            at = rng.randrange(len(way.noise) - frames)
            part = way.noise[at : at + frames]
            mean = float(power.sum() / talk.sum()) if talk.any() else loud
            power = power + part * (mean / float(part.sum(axis=1).mean()) * 10 ** (-way.snr / 10))
        if way.telephone:
            power[:, :8] *= 1e-4
            power[:, 56:] *= 1e-5
        if way.hiss:
            power = power + np.float32(loud * way.hiss)
        if rng.random() < 0.4 and placed:  # what follows is digital silence, as a padded clip has it
            last = round((placed[-1][1] + placed[-1][0].word_times[-1][1] + 0.1) * FRAMES_PER_SECOND)
            power[last + rng.randint(0, 100) :] = 0
        return np.asarray(power, dtype=np.float32)


@dataclass(frozen=True)
class Channel:
    """What a room, a microphone and a codec do to speech.

    colour: decades at four mel bands. reverberation: seconds to −60 dB, share of the tail. noise: mel power
    of a minute, mixed `snr` dB below the speech. telephone: 300–3400 Hz. hiss: share of the speech's power.
    """

    level: float
    colour: tuple[float, ...]
    reverberation: tuple[float, float] | None
    noise: np.ndarray | None
    snr: float
    telephone: bool
    hiss: float


def scaled(power: np.ndarray) -> np.ndarray:
    """Mel power as Whisper's feature extractor scales it: log10, 8 decades below the peak, (x+4)/4."""
    log = np.log10(np.maximum(power, 1e-10))
    return np.asarray((np.maximum(log, log.max() - 8.0) + 4.0) / 4.0, dtype=np.float32)


def _noises(rng: np.random.Generator, seconds: int = 60) -> list[np.ndarray]:
    """Noises of one minute: white, pink, brown, hum, chords, bursts."""
    count = seconds * 16_000
    time = np.arange(count) / 16_000
    white = rng.standard_normal(count)
    spectrum, frequency = np.fft.rfft(white), np.fft.rfftfreq(count, 1 / 16_000)
    noises = [white, white.copy()]
    for slope in (0.5, 1.0):
        noises.append(np.fft.irfft(spectrum / np.maximum(frequency, 30) ** slope, count))
    for hum in (50.0, 60.0, 120.0):
        noises.append(np.sum([np.sin(2 * np.pi * hum * k * time) / k for k in range(1, 9)], axis=0))
    chord_seconds = 16_000 // 2
    for base in (110.0, 220.0, 330.0):
        steps = 2 ** (rng.integers(0, 12, (count // chord_seconds, 3)) / 12)
        pitch = base * np.repeat(steps, chord_seconds, axis=0)
        phase = 2 * np.pi * np.cumsum(pitch, axis=0) / 16_000
        fade = np.exp(-3 * (np.arange(count) % chord_seconds) / 16_000)
        noises.append((np.sin(phase) + 0.4 * np.sin(2 * phase) + 0.2 * np.sin(3 * phase)).sum(axis=1) * fade)
    clicks = white * (np.repeat(rng.random(count // 400), 400) < 0.05)
    noises.append(clicks + 0.01 * white)
    swell = white * (1.2 + np.sin(2 * np.pi * 0.3 * time))
    noises.append(swell)
    return [(noise / np.abs(noise).max() * 0.5).astype(np.float32) for noise in noises]
