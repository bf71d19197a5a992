"""Training windows of the demo diarization: 5 s of simulated conversations, mixed in mel power."""

import random
from dataclasses import dataclass, replace

import librosa
import numpy as np
import torch
from torch import Tensor

from models.speaker_nets import scaled_log_mel
from tools.conversations import ConversationStyle, ScheduledUtterance, simulate_conversation
from tools.corpus import FRAMES_PER_SECOND, MELS, Clip
from tools.mixing import AcousticConditions, Mixer
from tools.speakers import Speaker

SECONDS = 5.0
FRAMES = int(SECONDS * 50)
MAX_SPEAKERS = 3  # in a window
_MEL_HERTZ = librosa.mel_frequencies(MELS + 2, fmin=0, fmax=8000)[1:-1]  # centres of the bands


@dataclass(frozen=True)
class Window:
    """One training example.

    power: mel power (500, 80). active: who speaks, (250 frames, speakers), bool. speakers: their indices among the
    training speakers.
    """

    power: np.ndarray
    active: np.ndarray
    speakers: list[int]

    @property
    def alone(self) -> np.ndarray:
        """Frames in which one speaker speaks alone, (250 frames, speakers), bool."""
        return np.asarray(self.active & (self.active.sum(1, keepdims=True) == 1))


class WindowGenerator:
    """Makes random windows of conversations between training speakers.

    The windows of a batch share their acoustic conditions, as windows of one recording do. Each speaker of a batch gets
    a random vocal tract length, which makes more voices than espeak-ng has (Jaitly & Hinton 2013).
    """

    def __init__(self, speakers: list[Speaker], seed: int) -> None:
        self.rng = random.Random(seed)
        self.speakers, self.mixer = speakers, Mixer(random.Random(seed))
        self.present = list(range(len(speakers)))
        self.conditions: AcousticConditions | None = None
        self.warp_factors: dict[int, float] = {}

    def batch(self, size: int, speakers: int) -> tuple[Tensor, list[Window]]:
        """Return scaled log-mel (size, 500, 80) and its windows; only so many random speakers occur in them."""
        self.present = self.rng.sample(range(len(self.speakers)), speakers)
        if speakers < len(self.speakers):
            self.conditions = self.mixer.random_conditions()
            self.warp_factors = {speaker: self.rng.uniform(0.85, 1.18) for speaker in self.present}
        windows = [self.window() for _ in range(size)]
        return scaled_log_mel(torch.from_numpy(np.stack([window.power for window in windows]))), windows

    def window(self) -> Window:
        """Return a random window with at most MAX_SPEAKERS speakers, each active for 0.2 s or more."""
        while True:
            rng = self.rng
            cast = rng.sample(self.present, rng.choice((1, 2, 2, 3, 3, 4)))
            style = ConversationStyle(
                rng.uniform(0.1, 0.5), rng.uniform(0.05, 0.5), rng.uniform(0.2, 1.5), rng.uniform(0, 0.15)
            )
            start = rng.uniform(0, 8)
            end = start + SECONDS
            utterances = self._conversation(cast, end, style)
            active = activity(utterances, start, len(cast))
            audible = [index for index in range(len(cast)) if active[:, index].any()]
            if len(audible) > MAX_SPEAKERS or (active[:, audible].sum(0) < 10).any():
                continue
            clips = [(one.utterance, one.start - start) for one in utterances if one.end > start and one.start < end]
            power = self.mixer.mix(clips, int(SECONDS * FRAMES_PER_SECOND), self.conditions)
            return Window(power, active[:, audible], [cast[index] for index in audible])

    def _conversation(
        self, cast: list[int], seconds: float, style: ConversationStyle
    ) -> list[ScheduledUtterance[Clip]]:
        rng, speakers = self.rng, [self.speakers[index] for index in cast]
        return simulate_conversation(
            rng, len(cast), seconds, style,
            lambda who: self._warp(rng.choice(speakers[who].sentences), cast[who]),
            lambda who: self._warp(rng.choice(speakers[who].backchannels or speakers[who].sentences), cast[who]),
            lambda clip: clip.word_times[-1][1],
        )  # fmt: skip

    def _warp(self, clip: Clip, speaker: int) -> Clip:
        """Return the clip with the speaker's vocal tract length."""
        factor = self.warp_factors.get(speaker, 1.0)
        return clip if factor == 1.0 else replace(clip, log_mel=warp_frequencies(clip.log_mel, factor))


def warp_frequencies(log_mel: np.ndarray, factor: float) -> np.ndarray:
    """Return log-mel (frames, 80) with all frequencies multiplied by `factor`."""
    source = np.interp(_MEL_HERTZ / factor, _MEL_HERTZ, np.arange(MELS))
    low = np.floor(source).astype(int)
    high = np.minimum(low + 1, MELS - 1)
    share = (source - low).astype(log_mel.dtype)
    return np.asarray(log_mel[:, low] * (1 - share) + log_mel[:, high] * share)


def activity(utterances: list[ScheduledUtterance[Clip]], start: float, speakers: int) -> np.ndarray:
    """Return who speaks in each 20 ms frame of the window from `start`: (frames, speakers), bool."""
    active = np.zeros((FRAMES, speakers), dtype=bool)
    for utterance in utterances:
        first, last = (min(max(round((time - start) * 50), 0), FRAMES) for time in (utterance.start, utterance.end))
        active[first:last, utterance.speaker] = True
    return active
