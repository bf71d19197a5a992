"""Compare our assignment of speakers to words with that of the original handler: `python -m benchmarks.merge`.

The input is a simulated conversation in which the true speaker of every word is known. "wrong": share of words with
another speaker than the true one. "lost": share of words that are missing from the result.
"""

import argparse
import random
import statistics
from collections.abc import Callable, Sequence
from functools import partial
from itertools import groupby

import numpy as np

from benchmarks.timing import alternate
from transcription.diarization.assign import assign_speakers
from transcription.formats import merge_by_speaker
from transcription.transcript import Segment, SpeakerTurn, Transcript, Word

SIZES = ((900, 120), (9_000, 1_200), (100_000, 20_000))
Assignment = list[tuple[str, int]]
"""Speaker and index of every word in the result."""


def conversation(words: int, turns: int, seed: int = 0) -> tuple[Transcript, list[SpeakerTurn], list[str]]:
    """Return a transcript, its detected turns, and the true speaker of each word.

    Pauses separate the turns, and a tenth of them overlaps the next. Detected boundaries are off by up to 0.1 s.
    """
    rng = random.Random(seed)
    spoken: list[Word] = []
    detected: list[SpeakerTurn] = []
    speakers: list[str] = []
    now = 0.0
    words_per_turn = words / turns
    for number in range(turns):
        speaker = f"SPEAKER_{rng.randrange(4):02}"
        start = now
        for _ in range(round(words_per_turn * (number + 1)) - round(words_per_turn * number)):
            length = rng.uniform(0.1, 0.5)
            spoken.append(Word(f" w{len(spoken)}", now, now + length))
            speakers.append(speaker)
            now += length + rng.uniform(0, 0.1)
        if now > start:
            detected.append(SpeakerTurn(speaker, max(start + rng.uniform(-0.1, 0.1), 0), now + rng.uniform(-0.1, 0.1)))
        now += rng.uniform(0.1, 2.0) if rng.random() < 0.9 else -0.2
    segments = [
        Segment("".join(word.word for word in part), part[0].start, part[-1].end, tuple(part))
        for part in (spoken[first : first + 12] for first in range(0, len(spoken), 12))
    ]
    return Transcript(tuple(segments), duration=now), detected, speakers


def ours(transcript: Transcript, turns: Sequence[SpeakerTurn]) -> Assignment:
    """Assign speakers as this repository does."""
    labelled = assign_speakers(transcript, turns)
    assert len(merge_by_speaker(labelled)) > 0
    return [(str(word.speaker), index) for index, word in enumerate(labelled.words)]


def argmin(transcript: Transcript, turns: Sequence[SpeakerTurn]) -> Assignment:
    """Assign speakers as the original handler did: a turn gets all words up to the one that ends nearest to its end."""
    words = transcript.words
    ends, done, result = np.array([word.end for word in words]), 0, []
    for speaker, group in groupby(turns, key=lambda turn: turn.speaker):
        if done == len(words):
            break
        last = done + int(np.argmin(np.abs(ends[done:] - list(group)[-1].end)))
        result += [(speaker, index) for index in range(done, last + 1)]
        done = last + 1
    return result


CONTENDERS: dict[str, Callable[[Transcript, Sequence[SpeakerTurn]], Assignment]] = {"ours": ours, "argmin": argmin}


def main() -> None:
    """Run the command."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=5, help="rounds over all contenders (default: %(default)s)")
    options = parser.parse_args()
    print("| words × turns | merge | median of rounds | µs a word | wrong | lost |\n|---|---|---|---|---|---|")
    for words, turn_count in SIZES:
        transcript, turns, speakers = conversation(words, turn_count)
        times = alternate(options.rounds, *(partial(merge, transcript, turns) for merge in CONTENDERS.values()))
        for (name, merge), seconds in zip(CONTENDERS.items(), times, strict=True):
            assignment = merge(transcript, turns)
            wrong = sum(speakers[index] != speaker for speaker, index in assignment) / len(speakers)
            lost = 1 - len(assignment) / len(speakers)
            median = statistics.median(seconds)
            print(
                f"| {words:,} × {turn_count:,} | {name} | {median:.3f} s | {median / words * 1e6:.1f} "
                f"| {wrong:.1%} | {lost:.1%} |"
            )


if __name__ == "__main__":
    main()
