"""Words and turns put together: our sweep and the original handler's, on the same input: `python -m benchmarks.merge`.

Conversations of random turns whose true speaker of every word is known. "Wrong" counts words with another
speaker than the true one, "lost" words that are in no turn of the answer.
"""

import argparse
import random
import statistics
import time
from collections.abc import Callable, Sequence
from itertools import groupby

import numpy as np

from transcription.diarization.assign import assign_speakers
from transcription.formats import merge_by_speaker
from transcription.transcript import Segment, SpeakerTurn, Transcript, Word

SIZES = ((900, 120), (9_000, 1_200), (100_000, 20_000))
Attributed = list[tuple[str, int]]  # of every word kept, in order: its speaker, its place


def conversation(words: int, turns: int, seed: int = 0) -> tuple[Transcript, list[SpeakerTurn], list[str]]:
    """A transcript of so many words, the turns found in it, and each word's true speaker.

    Turns follow on each other with pauses, a tenth overlap the next; found borders are off by up to 0.1 s.
    """
    rng = random.Random(seed)
    made: list[Word] = []
    found: list[SpeakerTurn] = []
    true: list[str] = []
    at = 0.0
    share = words / turns
    for number in range(turns):
        speaker = f"SPEAKER_{rng.randrange(4):02}"
        start = at
        for _ in range(round(share * (number + 1)) - round(share * number)):
            length = rng.uniform(0.1, 0.5)
            made.append(Word(f" w{len(made)}", at, at + length))
            true.append(speaker)
            at += length + rng.uniform(0, 0.1)
        if at > start:
            found.append(SpeakerTurn(speaker, max(start + rng.uniform(-0.1, 0.1), 0), at + rng.uniform(-0.1, 0.1)))
        at += rng.uniform(0.1, 2.0) if rng.random() < 0.9 else -0.2
    segments = [
        Segment("".join(word.word for word in part), part[0].start, part[-1].end, tuple(part))
        for part in (made[first : first + 12] for first in range(0, len(made), 12))
    ]
    return Transcript(tuple(segments), duration=at), found, true


def ours(transcript: Transcript, turns: Sequence[SpeakerTurn]) -> Attributed:
    """The sweep of `merge.py`."""
    labelled = assign_speakers(transcript, turns)
    assert len(merge_by_speaker(labelled)) > 0
    return [(str(word.speaker), place) for place, word in enumerate(labelled.words)]


def argmin(transcript: Transcript, turns: Sequence[SpeakerTurn]) -> Attributed:
    """The original handler's rule: a turn takes all words up to the one that ends nearest to the turn's end."""
    words = transcript.words
    ends, done, kept = np.array([word.end for word in words]), 0, []
    for speaker, group in groupby(turns, key=lambda turn: turn.speaker):
        if done == len(words):
            break
        upto = done + int(np.argmin(np.abs(ends[done:] - list(group)[-1].end)))
        kept += [(speaker, place) for place in range(done, upto + 1)]
        done = upto + 1
    return kept


CONTENDERS: dict[str, Callable[[Transcript, Sequence[SpeakerTurn]], Attributed]] = {"ours": ours, "argmin": argmin}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=5)
    options = parser.parse_args()
    print("| words × turns | merge | median of rounds | µs a word | wrong | lost |\n|---|---|---|---|---|---|")
    for size in SIZES:
        transcript, turns, true = conversation(*size)
        seconds: dict[str, list[float]] = {name: [] for name in CONTENDERS}
        for _ in range(options.rounds):
            for name, merge in CONTENDERS.items():
                began = time.perf_counter()
                merge(transcript, turns)
                seconds[name].append(time.perf_counter() - began)
        for name, merge in CONTENDERS.items():
            kept = merge(transcript, turns)
            wrong = sum(true[place] != speaker for speaker, place in kept) / len(true)
            lost = 1 - len(kept) / len(true)
            median = statistics.median(seconds[name])
            print(
                f"| {size[0]:,} × {size[1]:,} | {name} | {median:.3f} s | {median / size[0] * 1e6:.1f} "
                f"| {wrong:.1%} | {lost:.1%} |"
            )


if __name__ == "__main__":
    main()
