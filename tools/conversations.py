"""Simulated conversations: who says what and when, with gaps, interruptions, overlap and backchannels.

Samples and evaluations render a simulated conversation as audio, training renders it as mel power.
"""

import random
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Generic, TypeVar

Utterance = TypeVar("Utterance")


@dataclass(frozen=True)
class ScheduledUtterance(Generic[Utterance]):
    """One utterance on the time line. start, duration: seconds; gain: dB."""

    speaker: int
    utterance: Utterance
    start: float
    duration: float
    gain: float = 0.0

    @property
    def end(self) -> float:
        """End in seconds."""
        return self.start + self.duration


@dataclass(frozen=True)
class ConversationStyle:
    """Probabilities and limits of a conversation.

    overlap: probability that the next speaker starts before the current one ends.
    backchannel: probability of a short utterance by another speaker during a sentence.
    max_gap: longest gap between two turns, in seconds; a long silence lasts up to three times as long.
    silence: probability of such a long silence. gain_range: dB between the quietest and the loudest speaker.
    """

    overlap: float = 0.25
    backchannel: float = 0.2
    max_gap: float = 1.0
    silence: float = 0.05
    gain_range: float = 4.0


def simulate_conversation(
    rng: random.Random,
    speakers: int,
    seconds: float,
    style: ConversationStyle,
    make_sentence: Callable[[int], Utterance],
    make_backchannel: Callable[[int], Utterance],
    duration_of: Callable[[Utterance], float],
) -> list[ScheduledUtterance[Utterance]]:
    """Return the utterances of a conversation of about `seconds`, sorted by start.

    make_sentence and make_backchannel return an utterance of the given speaker; duration_of returns its seconds.
    """
    gains = [rng.uniform(-style.gain_range, style.gain_range) / 2 for _ in range(speakers)]
    scheduled: list[ScheduledUtterance[Utterance]] = []
    now, speaker = rng.uniform(0.1, 1.0), rng.randrange(speakers)

    def schedule(who: int, utterance: Utterance, start: float) -> ScheduledUtterance[Utterance]:
        scheduled.append(ScheduledUtterance(who, utterance, start, duration_of(utterance), gains[who]))
        return scheduled[-1]

    while now < seconds:
        end = now
        for _ in range(rng.choice((1, 1, 1, 2, 2, 3))):
            sentence = schedule(speaker, make_sentence(speaker), now)
            end = sentence.end
            if speakers > 1 and sentence.duration > 1.5 and rng.random() < style.backchannel:
                listener = rng.choice([other for other in range(speakers) if other != speaker])
                backchannel = make_backchannel(listener)
                duration = duration_of(backchannel)
                if duration < sentence.duration - 0.6:
                    schedule(listener, backchannel, rng.uniform(sentence.start + 0.3, end - duration - 0.3))
            now = end + rng.uniform(0.05, 0.6)
        speaker = rng.choice([other for other in range(speakers) if other != speaker] or [speaker])
        now = _next_turn(rng, style, end, can_overlap=speakers > 1)
    return sorted(_without_self_overlap(scheduled), key=lambda utterance: utterance.start)


def _next_turn(rng: random.Random, style: ConversationStyle, end: float, can_overlap: bool) -> float:
    """Return the start of the turn after one that ends at `end`, in seconds."""
    draw = rng.random()
    if can_overlap and draw < style.overlap:
        return max(end - rng.uniform(0.15, 1.2), 0.0)
    if draw < style.overlap + style.silence:
        return end + rng.uniform(style.max_gap, 3 * style.max_gap)
    return end + rng.uniform(0.05, style.max_gap)


def _without_self_overlap(
    scheduled: Sequence[ScheduledUtterance[Utterance]],
) -> list[ScheduledUtterance[Utterance]]:
    """Drop each utterance that overlaps an earlier one of the same speaker."""
    kept: list[ScheduledUtterance[Utterance]] = []
    for new in scheduled:
        if all(old.speaker != new.speaker or old.end <= new.start or new.end <= old.start for old in kept):
            kept.append(new)
    return kept
