"""TurnDetector: where a turn begins and ends in audio that arrives piece by piece.

A turn begins with speech, and ends with a pause, with a commit, or before it is longer than a window. Nothing is kept
of the audio between turns, except for the padding of the next one.
"""

from collections.abc import Iterator
from dataclasses import dataclass, field

import numpy as np

from transcription.audio import SAMPLE_RATE, Samples
from transcription.vad.activity import SpeechActivity
from transcription.vad.silero import FRAME
from transcription.vad.streaming import StreamingVad

MAX_TURN_SECONDS = 28.0
"""A longer turn is cut at a pause, so that the decoding of a turn fits in one window."""
_MIN_CUT_SECONDS = 14.0  # of a turn before it is cut
_HYSTERESIS = 0.15  # a frame of a turn is a pause if its speech probability is so far below the threshold (Silero)
_MIN_SPEECH_FRAMES = 2  # in a row begin a turn: a click is one frame


@dataclass(frozen=True)
class TurnSettings:
    """When a turn begins and ends.

    threshold: the speech probability of speech, 0 to 1. prefix_padding: seconds before the first speech that are part
    of the turn. silence: seconds of a pause that ends the turn; None: only a commit ends it.
    """

    threshold: float = 0.5
    prefix_padding: float = 0.3
    silence: float | None = 0.5


@dataclass(frozen=True, eq=False)
class Turn:
    """Audio of one turn. start, end: samples since the start of the session. speech_end: of the last speech in it."""

    start: int
    end: int
    samples: Samples
    speech_end: int

    @property
    def seconds(self) -> float:
        """Duration in seconds."""
        return len(self.samples) / SAMPLE_RATE


@dataclass(frozen=True)
class TurnStarted:
    """A turn begins, at so many samples since the start of the session."""

    start: int


@dataclass(frozen=True)
class TurnEnded:
    """A turn ends."""

    turn: Turn


@dataclass
class _Buffer:
    """The latest audio. start: of its first sample, in samples since the start of the session."""

    start: int = 0
    _blocks: list[Samples] = field(default_factory=list)

    def append(self, samples: Samples) -> None:
        self._blocks.append(samples)

    def between(self, start: int, end: int) -> Samples:
        self._blocks = [np.concatenate(self._blocks)] if self._blocks else [np.zeros(0, np.float32)]
        return self._blocks[0][start - self.start : end - self.start].copy()

    def forget_before(self, position: int) -> None:
        while self._blocks and self.start + len(self._blocks[0]) <= position:
            self.start += len(self._blocks.pop(0))


class TurnDetector:
    """The audio of one session since the last turn. It is not thread-safe: its owner locks."""

    def __init__(self, settings: TurnSettings) -> None:
        """Start in a pause, at the first sample of a session."""
        self.settings = settings
        self._vad, self._buffer = StreamingVad(), _Buffer()
        self._heard = self._received = 0  # samples that the detector has heard, and that it has received
        self._free = 0  # samples before it belong to earlier turns
        self._start: int | None = None
        self._speech_end = 0
        self._frames_in_row = 0
        self._probabilities: list[float] = []  # of the frames since the start of the turn

    @property
    def received(self) -> int:
        """Samples since the start of the session."""
        return self._received

    @property
    def uncommitted(self) -> int:
        """Samples since the end of the last turn, speech or not."""
        return self._received - self._free

    @property
    def is_speaking(self) -> bool:
        """Whether a turn goes on."""
        return self._start is not None

    def current(self) -> Turn | None:
        """Return the turn that goes on, up to now; None in a pause."""
        return None if self._start is None else self._turn(self._start, self._received)

    def feed(self, samples: Samples) -> Iterator[TurnStarted | TurnEnded]:
        """Yield what happens in more samples at 16 kHz."""
        self._buffer.append(samples)
        self._received += len(samples)
        for probability in self._vad.feed(samples).tolist():
            self._heard += FRAME
            if self._start is None:
                yield from self._listen(probability)
            else:
                yield from self._follow(self._start, probability)
        if self._start is None:
            padding = round(self.settings.prefix_padding * SAMPLE_RATE) + _MIN_SPEECH_FRAMES * FRAME
            self._buffer.forget_before(self._heard - padding)

    def commit(self) -> Turn:
        """End the turn now, and return it. In a pause, it is a turn without samples."""
        turn = self.current() or Turn(self._received, self._received, np.zeros(0, np.float32), 0)
        self.clear()
        return turn

    def clear(self) -> None:
        """Forget the audio since the last turn."""
        self._begin_pause(self._received)

    def _listen(self, probability: float) -> Iterator[TurnStarted]:
        """Wait for speech."""
        self._frames_in_row = self._frames_in_row + 1 if probability >= self.settings.threshold else 0
        self._probabilities = [*self._probabilities[-_MIN_SPEECH_FRAMES:], probability]
        if self._frames_in_row >= _MIN_SPEECH_FRAMES:
            padding = round(self.settings.prefix_padding * SAMPLE_RATE)
            first = self._heard - self._frames_in_row * FRAME - padding
            self._begin_turn(max(first, self._free, self._buffer.start))
            yield TurnStarted(self._start or 0)

    def _follow(self, start: int, probability: float) -> Iterator[TurnStarted | TurnEnded]:
        """Wait for the end of the turn."""
        self._probabilities.append(probability)
        if probability >= self.settings.threshold - _HYSTERESIS:
            self._speech_end = self._heard
        silence = self.settings.silence
        if silence is not None and self._heard - self._speech_end >= silence * SAMPLE_RATE:
            yield TurnEnded(self._turn(start, self._heard))
            self._begin_pause(self._heard)
        elif self._heard - start >= MAX_TURN_SECONDS * SAMPLE_RATE:
            yield from self._cut(start)

    def _cut(self, start: int) -> Iterator[TurnStarted | TurnEnded]:
        """End a turn at its longest pause; the rest is another turn if there is speech in it."""
        activity = SpeechActivity(np.array(self._probabilities, np.float32))
        pause = activity.longest_pause(_MIN_CUT_SECONDS, MAX_TURN_SECONDS)
        end = start + round(pause * SAMPLE_RATE)
        yield TurnEnded(self._turn(start, end))
        rest, speech_end = self._probabilities[round(pause * SAMPLE_RATE / FRAME) :], self._speech_end
        self._begin_pause(end)
        if speech_end > end:
            self._begin_turn(end)
            self._speech_end, self._probabilities = speech_end, rest
            yield TurnStarted(end)

    def _begin_turn(self, start: int) -> None:
        self._start, self._speech_end = start, self._heard
        self._probabilities = [0.0] * ((self._heard - start) // FRAME - self._frames_in_row) + self._probabilities[
            -self._frames_in_row :
        ]

    def _begin_pause(self, end: int) -> None:
        self._start, self._free, self._frames_in_row, self._probabilities = None, end, 0, []
        self._buffer.forget_before(end)

    def _turn(self, start: int, end: int) -> Turn:
        return Turn(start, end, self._buffer.between(start, end), min(self._speech_end, end))
