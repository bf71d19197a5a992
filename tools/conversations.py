"""How people talk to each other: who says what when, with gaps, interruptions, overlap and asides.

The same plan is rendered as sound for measurements and samples, and as mel power for training.
"""

import random
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Generic, TypeVar

Utterance = TypeVar("Utterance")


@dataclass(frozen=True)
class Placed(Generic[Utterance]):
    """One utterance on the time line. start: seconds; level: gain in dB."""

    speaker: int
    what: Utterance
    start: float
    seconds: float
    level: float = 0.0

    @property
    def end(self) -> float:
        return self.start + self.seconds


@dataclass(frozen=True)
class Manner:
    """How lively a conversation is; shares are probabilities.

    overlap: the next speaker starts before the last has ended. aside: someone throws in a word while
    another talks. pause: longest gap between turns, in seconds; a long silence is three times that.
    """

    overlap: float = 0.25
    aside: float = 0.2
    pause: float = 1.0
    silence: float = 0.05
    level: float = 4.0  # dB between speakers


def converse(
    rng: random.Random,
    speakers: int,
    seconds: float,
    manner: Manner,
    say: Callable[[int], Utterance],
    aside: Callable[[int], Utterance],
    length: Callable[[Utterance], float],
) -> list[Placed[Utterance]]:
    """A conversation of about `seconds`; `say` and `aside` give speaker n something to say."""
    levels = [rng.uniform(-manner.level, manner.level) / 2 for _ in range(speakers)]
    placed: list[Placed[Utterance]] = []
    at, who = rng.uniform(0.1, 1.0), rng.randrange(speakers)

    def place(speaker: int, what: Utterance, start: float) -> Placed[Utterance]:
        one = Placed(speaker, what, start, length(what), levels[speaker])
        placed.append(one)
        return one

    while at < seconds:
        end = at
        for _ in range(rng.choice((1, 1, 1, 2, 2, 3))):
            said = place(who, say(who), at)
            end = said.end
            if speakers > 1 and said.seconds > 1.5 and rng.random() < manner.aside:
                other = rng.choice([one for one in range(speakers) if one != who])
                word = aside(other)
                if length(word) < said.seconds - 0.6:
                    place(other, word, rng.uniform(said.start + 0.3, said.end - length(word) - 0.3))
            at = end + rng.uniform(0.05, 0.6)
        who = rng.choice([one for one in range(speakers) if one != who] or [who])
        chance = rng.random()
        if speakers > 1 and chance < manner.overlap:
            at = max(end - rng.uniform(0.15, 1.2), 0.0)
        elif chance < manner.overlap + manner.silence:
            at = end + rng.uniform(manner.pause, 3 * manner.pause)
        else:
            at = end + rng.uniform(0.05, manner.pause)
    return sorted(_in_turn(placed), key=lambda one: one.start)


def _in_turn(placed: Sequence[Placed[Utterance]]) -> list[Placed[Utterance]]:
    """Without utterances in which a speaker would talk over himself."""
    kept: list[Placed[Utterance]] = []
    for one in placed:
        if all(other.speaker != one.speaker or other.end <= one.start or one.end <= other.start for other in kept):
            kept.append(one)
    return kept
