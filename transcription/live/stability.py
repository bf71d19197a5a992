"""Stable words: what has been decoded of a turn so far and is not taken back.

Local agreement (Macháček et al. 2023, "Turning Whisper into a Real-Time Transcription System"): a word is stable if two
successive decodings of the growing turn agree on it and on all words before it. A word that ends well before the audio
does is stable at once: what follows it is heard already, and where decodings are rare a second one would come late.
"""

from collections.abc import Sequence
from itertools import takewhile, zip_longest

from transcription.transcript import Word

SETTLED_SECONDS = 0.5
"""Audio behind a word, after which one decoding is enough."""
_MIN_PROBABILITY = 0.8  # of such a word


class StableWords:
    """The stable words of one turn."""

    def __init__(self) -> None:
        """Start without words."""
        self.words: tuple[Word, ...] = ()
        self._unstable: tuple[Word, ...] = ()

    def add(self, decoded: Sequence[Word], heard: float) -> tuple[Word, ...]:
        """Return the words that are stable from now on.

        decoded: all words of the turn up to now. heard: the end of the audio, in seconds as the words have them.
        """
        rest = self.rest(decoded)
        pairs = zip_longest(rest, self._unstable[: len(rest)])
        agreed = sum(1 for _ in takewhile(lambda pair: _is_stable(*pair, heard), pairs))
        new, self._unstable = rest[:agreed], rest[agreed:]
        self.words += new
        return new

    def rest(self, decoded: Sequence[Word]) -> tuple[Word, ...]:
        """Return what is decoded behind the stable words, although some of these may be decoded otherwise now."""
        stable, others = [comparable(word) for word in self.words], [comparable(word) for word in decoded]
        return tuple(decoded[best_prefix(stable, others) :])


def _is_stable(word: Word, before: Word | None, heard: float) -> bool:
    """Return whether a word is stable. before: what the last decoding had in its place."""
    if before is not None and comparable(word) == comparable(before):
        return True
    return word.end <= heard - SETTLED_SECONDS and (word.probability or 0.0) >= _MIN_PROBABILITY


def comparable(word: Word) -> str:
    """Return a word without case and punctuation; punctuation alone stays."""
    text = word.word.strip().casefold()
    return "".join(character for character in text if character.isalnum()) or text


def best_prefix(stable: Sequence[str], decoded: Sequence[str]) -> int:
    """Return how many of the decoded words have the least edit distance from the stable ones, all of them."""
    distances = list(range(len(decoded) + 1))
    for row, word in enumerate(stable, 1):
        before, distances[0] = distances[0], row
        for column, other in enumerate(decoded, 1):
            changed = before + (word != other)
            before = distances[column]
            distances[column] = min(changed, before + 1, distances[column - 1] + 1)
    return min(range(len(distances)), key=lambda count: (distances[count], abs(count - len(stable))))
