"""LanguageDetector: the language of each window, and where the language changes inside a window.

Both read the encoder states that the window is decoded from: nothing is encoded twice.
"""

from collections.abc import Mapping, Sequence
from itertools import pairwise
from typing import TYPE_CHECKING

from transcription.engines.batching.window import Window
from transcription.whisper.checkpoint import SPEECH_BELOW, Whisper

if TYPE_CHECKING:
    from torch import Tensor

    from transcription.engines.batching.row import Row
    from transcription.engines.batching.slots import Slots

MIN_SWITCH_PROBABILITY = 0.5
"""Another language needs this probability to replace the one of the request."""
MIN_SWITCH_ODDS = 10.0
"""It must also be so many times as probable: Whisper takes quiet English for Welsh, at odds of up to 3."""
_MIN_SWITCH_SECONDS = 3.0  # a shorter window keeps the language of the request
_UNCERTAIN_BELOW = 0.97  # the parts of a window are looked at if its language is less probable than this
_PART_SECONDS = 6.0
_MIN_PART_PROBABILITY = 0.8  # a part counts if its language is so probable
FRAMES_PER_SECOND = 50
"""Frames of the encoder."""

Part = tuple[str, float]
"""The language of a part of a window, and its probability."""


class LanguageDetector:
    """Detects the languages of windows that enter the slots."""

    def __init__(self, whisper: Whisper, slots: "Slots") -> None:
        """Use the decoder of the slots."""
        self._whisper, self._slots = whisper, slots

    def detects(self, row: "Row") -> bool:
        """Return whether the language of a window is to be detected."""
        return self._whisper.detects_language and row.config.detects_language

    def detect(self, first: int, entering: Sequence["Row"], states: Sequence["Tensor"]) -> None:
        """Set the languages of the windows in the slots from `first` on; others have theirs from the request.

        states: of the encoder for each window, (1, frames, width).
        """
        rows = slice(first, first + len(entering))
        logits = self._first_logits(rows)
        for number, (row, silence) in enumerate(zip(entering, self._whisper.no_speech_probs(logits), strict=True)):
            if self.detects(row):
                probabilities = self._whisper.language_probabilities(logits[number], row.config)
                row.language, row.language_probability = decide_language(row.window, probabilities, silence)
                if may_be_mixed(row.window, row.language_probability, silence):
                    row.language_changes = self._changes(first + number, row, states[number])

    def _changes(self, index: int, row: "Row", states: "Tensor") -> tuple[float, ...]:
        """Return the seconds at which the language of a window changes."""
        count, length = split_evenly(row.window.seconds, states.shape[1])
        slot = slice(index, index + 1)
        parts: list[Part] = []
        for start in range(0, count * length, length):
            # The decoder reads all frames of a slot: a part that is repeated until they are full is read as if alone.
            part = states[:, start : start + length].repeat(1, -(-states.shape[1] // length), 1)
            self._slots.write_cross_kv(slot, part[:, : states.shape[1]])
            probabilities = self._whisper.language_probabilities(self._first_logits(slot)[0], row.config)
            parts.append(max(probabilities.items(), key=lambda item: item[1]))
        self._slots.write_cross_kv(slot, states)
        return language_changes(parts, length / FRAMES_PER_SECOND)

    def _first_logits(self, rows: slice) -> "Tensor":
        """Return logits (rows, vocabulary) after the start token."""
        start = [[self._whisper.vocabulary.start]] * (rows.stop - rows.start)
        return self._slots.decoder.logits(self._slots.prefill(rows, start)[:, 0])


def decide_language(window: Window, probabilities: Mapping[str, float], silence: float) -> Part:
    """Return the language of a window. The first window with speech also decides for its request.

    silence: its no-speech probability.
    """
    request, config = window.request, window.request.config
    has_speech = silence < SPEECH_BELOW
    may_switch = has_speech and window.seconds >= _MIN_SWITCH_SECONDS
    odds = 1.0 if config.is_multilingual else MIN_SWITCH_ODDS
    language = choose_language(probabilities, window.options.language or request.language, may_switch, odds)
    probability = probabilities.get(language, 0.0)
    if request.language is None:
        request.language_guess, request.language_probability = language, probability
        if has_speech and not config.is_multilingual:
            request.language = language
    return language, probability


def may_be_mixed(window: Window, probability: float, silence: float) -> bool:
    """Return whether to look for changes of language in a window whose language has this probability."""
    config = window.request.config
    is_uncertain = config.is_multilingual or probability < _UNCERTAIN_BELOW
    is_long = window.seconds >= 2 * _PART_SECONDS
    return is_uncertain and is_long and silence < SPEECH_BELOW and not config.sequential


def split_evenly(seconds: float, frames: int) -> tuple[int, int]:
    """Return how many parts a window has in which languages are looked for, and their frames, of `frames` encoded."""
    count = int(seconds / _PART_SECONDS)
    return count, min(round(seconds * FRAMES_PER_SECOND), frames) // count


def choose_language(probabilities: Mapping[str, float], kept: str | None, may_switch: bool, min_odds: float) -> str:
    """Return the language of a window: `kept`, unless another one is much more probable.

    kept: the language of the request, or of the window that this one was a part of; None if it is not known yet.
    """
    best = max(probabilities, key=lambda code: probabilities[code])
    if kept is None:
        return best
    probability = probabilities[best]
    is_better = probability >= max(MIN_SWITCH_PROBABILITY, min_odds * probabilities.get(kept, 0.0))
    return best if may_switch and is_better else kept


def language_changes(parts: Sequence[Part], seconds: float) -> tuple[float, ...]:
    """Return the times at which the language changes, for parts of so many seconds each.

    A part whose language is not clear counts half to its left and half to its right neighbour.
    """
    clear = [(number, part[0]) for number, part in enumerate(parts) if part[1] >= _MIN_PART_PROBABILITY]
    return tuple(
        (before + 1 + after) / 2 * seconds for (before, one), (after, other) in pairwise(clear) if one != other
    )
