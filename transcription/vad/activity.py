"""SpeechActivity: where somebody speaks in a window, by voice activity detection.

The thresholds lie between made sounds without speech (silence, noise, hum, tones, chords), where no frame exceeded
0.2, and a single quiet "Yeah." in a recorded meeting, which reached 0.72.
"""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from transcription.audio import SAMPLE_RATE, Samples
from transcription.vad.silero import FRAME, speech_probabilities

POSSIBLE_SPEECH = 0.3
"""A frame at or above this speech probability may be speech."""
CLEAR_SPEECH = 0.5
"""A frame at or above this speech probability is speech."""
_FRAME_SECONDS = FRAME / SAMPLE_RATE
_MIN_PAUSE = 0.3  # seconds

Interval = tuple[float, float]
"""Start and end in seconds."""


@dataclass(frozen=True, eq=False)
class SpeechActivity:
    """The speech probability of each frame of 32 ms."""

    probabilities: npt.NDArray[np.float32]

    @classmethod
    def of(cls, samples: Samples) -> "SpeechActivity":
        """Detect the speech in samples at 16 kHz."""
        return cls(speech_probabilities(samples))

    def has_speech(self, start: float = 0.0, end: float = float("inf")) -> bool:
        """Return whether somebody may speak between two times in seconds."""
        return bool((self._between(start, end) >= POSSIBLE_SPEECH).any())

    def possible_speech_seconds(self, start: float, end: float) -> float:
        """Return the seconds of possible speech between two times in seconds."""
        return float((self._between(start, end) >= POSSIBLE_SPEECH).sum()) * _FRAME_SECONDS

    def speech_seconds(self, start: float = 0.0, end: float = float("inf")) -> float:
        """Return the seconds of clear speech between two times in seconds."""
        return float((self._between(start, end) >= CLEAR_SPEECH).sum()) * _FRAME_SECONDS

    def after(self, seconds: float) -> "SpeechActivity":
        """Return the activity from a time on."""
        return SpeechActivity(self.probabilities[round(seconds / _FRAME_SECONDS) :])

    def until(self, seconds: float) -> "SpeechActivity":
        """Return the activity up to a time."""
        return SpeechActivity(self.probabilities[: round(seconds / _FRAME_SECONDS)])

    def longest_pause(self, start: float, end: float) -> float:
        """Return the middle of the longest pause between two times in seconds, or else of the quietest frame."""
        probabilities = self._between(start, end)
        threshold = max(POSSIBLE_SPEECH, float(probabilities.min(initial=1.0)) + 1e-6)
        speech = np.flatnonzero(np.concatenate([[True], probabilities >= threshold, [True]]))
        longest = int(np.diff(speech).argmax())
        return start + (int(speech[longest]) + int(speech[longest + 1]) - 1) / 2 * _FRAME_SECONDS

    def intervals(self, min_seconds: float, min_pause: float = _MIN_PAUSE) -> Iterator[Interval]:
        """Yield the intervals of clear speech of at least `min_seconds`, in seconds.

        Pauses up to `min_pause` seconds are part of them.
        """
        speech = np.flatnonzero(self.probabilities >= CLEAR_SPEECH)
        if not len(speech):
            return
        breaks = np.flatnonzero(np.diff(speech) > min_pause / _FRAME_SECONDS)
        for first, last in zip(speech[np.r_[0, breaks + 1]], speech[np.r_[breaks, -1]], strict=True):
            if (last + 1 - first) * _FRAME_SECONDS >= min_seconds:
                yield float(first) * _FRAME_SECONDS, float(last + 1) * _FRAME_SECONDS

    def _between(self, start: float, end: float) -> npt.NDArray[np.float32]:
        first = max(int(start / _FRAME_SECONDS), 0)
        last = len(self.probabilities) if end == float("inf") else int(np.ceil(end / _FRAME_SECONDS))
        return self.probabilities[first:last]
