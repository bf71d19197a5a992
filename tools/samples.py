"""Makes the recordings in `samples/` from the test voices and held-out sentences: `python -m training.samples`.

Beside each stands its truth: text, language, and every word with its time and speaker.
"""

import json
import random
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path

import numpy as np

from tools.conversations import Manner, converse
from tools.encoding import BIT_RATE, encoded
from tools.sentences import BACKCHANNELS, Language, sentence, spoken, words_of
from tools.speakers import random_speaker
from tools.voices import SAMPLE_RATE, TEST_VARIANTS, Synthesizer, Utterance, Voice

FOLDER = Path(__file__).parent.parent / "samples"
CALM = Manner(overlap=0.08, aside=0.06)  # the demo Whisper never heard two voices at once


@dataclass(frozen=True)
class TrueWord:
    word: str
    start: float
    end: float
    speaker: str


@dataclass(frozen=True)
class Truth:
    """What is said in a recording. `english` is what it means, sentence by sentence.

    turns: (speaker, start, end), where they may overlap.
    """

    text: str
    english: str
    language: Language
    duration: float
    segments: list[tuple[float, float, str]]
    words: list[TrueWord]
    turns: list[tuple[str, float, float]] = field(default_factory=list)


def read_truth(path: Path) -> Truth:
    """What stands beside a recording."""
    told = json.loads(path.with_suffix(".json").read_text())
    return Truth(**{**told, "words": [TrueWord(**word) for word in told["words"]]})


def conversation(
    rng: random.Random, synthesizer: Synthesizer, voices: Sequence[Voice], seconds: float, manner: Manner = Manner()
) -> tuple[np.ndarray, Truth]:
    """About `seconds` of English talk between these voices: a row of samples for each, and the truth."""

    def say(who: int) -> tuple[str, Utterance]:
        return heard(sentence(rng, "en", "test").text, who)

    def aside(who: int) -> tuple[str, Utterance]:
        return heard(spoken(rng, "en", BACKCHANNELS).text, who)

    def heard(text: str, who: int) -> tuple[str, Utterance]:
        uttered = synthesizer.say(text, voices[who])
        return (text, uttered) if uttered.word_times else heard(sentence(rng, "en", "test").text, who)

    placed = converse(rng, len(voices), seconds, manner, say, aside, lambda one: len(one[1].samples) / SAMPLE_RATE)
    rows = np.zeros((len(voices), int(max(one.end for one in placed) * SAMPLE_RATE) + SAMPLE_RATE // 2), np.float32)
    segments, words, turns = [], [], []
    for one in placed:
        (text, uttered), name = one.what, f"speaker {one.speaker + 1}"
        first = int(one.start * SAMPLE_RATE)
        rows[one.speaker, first : first + len(uttered.samples)] += uttered.samples * 10 ** (one.level / 20)
        segments.append((round(one.start, 3), round(one.end, 3), text))
        turns.append((name, round(one.start, 3), round(one.end, 3)))
        words += [
            TrueWord(word, round(one.start + start, 3), round(one.start + end, 3), name)
            for word, (start, end) in zip(words_of(text), uttered.word_times, strict=True)
        ]
    text = " ".join(text for _, _, text in segments)
    return rows, Truth(text, text, "en", rows.shape[1] / SAMPLE_RATE, segments, words, turns)


def cast_of(rng: random.Random, variants: Sequence[str], count: int) -> list[Voice]:
    """So many different voices, none sharing a variant."""
    return [random_speaker(rng, "en", variant) for variant in rng.sample(list(variants), count)]


def recording(
    rng: random.Random, speaker: Synthesizer, language: Language, seconds: float, speakers: int,
    cast: tuple[str, ...] = TEST_VARIANTS,
) -> tuple[np.ndarray, Truth]:  # fmt: skip
    """About `seconds` of talk by so many voices, and its truth."""
    accents = ("en-us", "en", "en-gb-x-rp") if language == "en" else ("de",)
    variants = rng.sample(cast, speakers)
    voices = [
        Voice(f"{rng.choice(accents)}+{variant}", rng.randint(140, 185), rng.randint(35, 65)) for variant in variants
    ]
    parts, texts, english, segments, words = [np.zeros(4_800, np.float32)], [], [], [], []
    at, turn = 0.3, 0
    while at < seconds:
        turn = (turn + rng.randint(1, max(speakers - 1, 1))) % speakers
        for _ in range(rng.randint(1, 2)):
            said = sentence(rng, language, "test")
            uttered = speaker.say(said.text, voices[turn])
            for word, (start, end) in zip(words_of(said.text), uttered.word_times, strict=True):
                words.append(TrueWord(word, round(at + start, 3), round(at + end, 3), f"speaker {turn + 1}"))
            length = len(uttered.samples) / SAMPLE_RATE
            segments.append((round(at, 3), round(at + length, 3), said.text))
            texts.append(said.text)
            english.append(said.english)
            gap = rng.uniform(0.25, 0.8)
            parts += [uttered.samples, np.zeros(int(gap * SAMPLE_RATE), np.float32)]
            at = sum(len(part) for part in parts) / SAMPLE_RATE
    samples = np.concatenate(parts)
    truth = Truth(" ".join(texts), " ".join(english), language, len(samples) / SAMPLE_RATE, segments, words)
    return samples, truth


def with_noise(samples: np.ndarray, snr: float, seed: int) -> np.ndarray:
    """White noise added, `snr` dB below the speech (its mean power where it is not silent)."""
    noise = np.random.default_rng(seed).standard_normal(len(samples))
    loud = samples[np.abs(samples) > 0.003]
    power = float(np.mean(np.square(loud)))
    return np.asarray(samples + noise * np.sqrt(power / 10 ** (snr / 10)), dtype=np.float32)


def main() -> None:
    """Makes what is not there yet."""
    FOLDER.mkdir(exist_ok=True)
    speaker = Synthesizer()
    plan: list[tuple[str, Language, float, int, float | None]] = [
        ("meeting.flac", "en", 24, 3, None),
        ("short.wav", "en", 6, 1, None),
        ("german.ogg", "de", 18, 2, None),
        ("long.mp3", "en", 75, 2, None),
        ("noisy.wav", "en", 12, 1, 10.0),
    ]
    for name, language, seconds, speakers, snr in plan:
        samples, truth = recording(random.Random(f"sample {name}"), speaker, language, seconds, speakers)
        if snr is not None:
            samples = with_noise(samples, snr, seed=1)
        _write(FOLDER / name, samples, truth)
    _write(FOLDER / "silence.m4a", np.zeros(5 * SAMPLE_RATE, np.float32), Truth("", "", "en", 5.0, [], []))
    talks = [("conversation.flac", 60, 3, Manner()), ("discussion.ogg", 600, 4, CALM), ("call.flac", 30, 2, Manner())]
    for name, seconds, speakers, manner in talks:
        rng = random.Random(f"sample {name}")
        rows, truth = conversation(rng, speaker, cast_of(rng, TEST_VARIANTS, speakers), seconds, manner)
        _write(FOLDER / name, rows if name == "call.flac" else with_noise(rows.sum(0), 30, seed=1), truth)


def _write(path: Path, samples: np.ndarray, truth: Truth) -> None:
    if path.exists():
        return
    path.write_bytes(encoded(samples, path.suffix[1:], 20_000 if len(samples) > 300 * SAMPLE_RATE else BIT_RATE))
    path.with_suffix(".json").write_text(json.dumps(asdict(truth), ensure_ascii=False, indent=1) + "\n")


if __name__ == "__main__":
    main()
