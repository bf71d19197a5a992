"""Make the recordings in `samples/` from the test voices and held-out sentences: `python -m tools.samples`.

A JSON file beside each recording has its ground truth: text, language, and every word with its time and speaker.
"""

import json
import random
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path

import numpy as np

from benchmarks.encoding import BIT_RATE, encoded
from benchmarks.scores import words_of
from benchmarks.truth import TrueWord, Truth
from tools.conversations import ConversationStyle, simulate_conversation
from tools.sentences import BACKCHANNELS, Language, random_sentence, sentence_from_templates
from tools.speakers import random_speaker
from tools.voices import SAMPLE_RATE, TEST_VARIANTS, Synthesizer, Utterance, Voice

FOLDER = Path(__file__).parent.parent / "samples"
# Little overlap: the demo Whisper was not trained on simultaneous speakers.
CALM = ConversationStyle(overlap=0.08, backchannel=0.06)


def make_conversation(
    rng: random.Random,
    synthesizer: Synthesizer,
    voices: Sequence[Voice],
    seconds: float,
    style: ConversationStyle = ConversationStyle(),
) -> tuple[np.ndarray, Truth]:
    """Return about `seconds` of English conversation: samples (voices, time) and the ground truth."""

    def synthesize(text: str, speaker: int) -> tuple[str, Utterance]:
        utterance = synthesizer.synthesize(text, voices[speaker])
        return (text, utterance) if utterance.word_times else make_sentence(speaker)

    def make_sentence(speaker: int) -> tuple[str, Utterance]:
        return synthesize(random_sentence(rng, "en", "test").text, speaker)

    def make_backchannel(speaker: int) -> tuple[str, Utterance]:
        return synthesize(sentence_from_templates(rng, "en", BACKCHANNELS).text, speaker)

    scheduled = simulate_conversation(
        rng, len(voices), seconds, style, make_sentence, make_backchannel,
        lambda utterance: len(utterance[1].samples) / SAMPLE_RATE,
    )  # fmt: skip
    end = max(utterance.end for utterance in scheduled)
    channels = np.zeros((len(voices), int(end * SAMPLE_RATE) + SAMPLE_RATE // 2), np.float32)
    segments, words, turns = [], [], []
    for item in scheduled:
        (text, utterance), name = item.utterance, f"speaker {item.speaker + 1}"
        first = int(item.start * SAMPLE_RATE)
        channels[item.speaker, first : first + len(utterance.samples)] += utterance.samples * 10 ** (item.gain / 20)
        segments.append((round(item.start, 3), round(item.end, 3), text))
        turns.append((name, round(item.start, 3), round(item.end, 3)))
        words += _true_words(text, utterance, item.start, name)
    text = " ".join(text for _, _, text in segments)
    return channels, Truth(text, text, "en", channels.shape[1] / SAMPLE_RATE, segments, words, turns)


def _true_words(text: str, utterance: Utterance, start: float, speaker: str) -> list[TrueWord]:
    """Return the words of an utterance that starts at `start` seconds."""
    return [
        TrueWord(word, round(start + word_start, 3), round(start + word_end, 3), speaker)
        for word, (word_start, word_end) in zip(words_of(text), utterance.word_times, strict=True)
    ]


def random_voices(rng: random.Random, variants: Sequence[str], count: int) -> list[Voice]:
    """Return English voices with different variants."""
    return [random_speaker(rng, "en", variant) for variant in rng.sample(list(variants), count)]


def make_recording(
    rng: random.Random,
    synthesizer: Synthesizer,
    language: Language,
    seconds: float,
    speakers: int,
    variants: tuple[str, ...] = TEST_VARIANTS,
) -> tuple[np.ndarray, Truth]:
    """Return about `seconds` of speech without overlap, and its ground truth."""
    accents = ("en-us", "en", "en-gb-x-rp") if language == "en" else ("de",)
    voices = [
        Voice(f"{rng.choice(accents)}+{variant}", rng.randint(140, 185), rng.randint(35, 65))
        for variant in rng.sample(variants, speakers)
    ]
    parts, sentences, segments, words = [np.zeros(4_800, np.float32)], [], [], []
    now, speaker = 0.3, 0
    while now < seconds:
        speaker = (speaker + rng.randint(1, max(speakers - 1, 1))) % speakers
        for _ in range(rng.randint(1, 2)):
            sentence = random_sentence(rng, language, "test")
            utterance = synthesizer.synthesize(sentence.text, voices[speaker])
            words += _true_words(sentence.text, utterance, now, f"speaker {speaker + 1}")
            end = now + len(utterance.samples) / SAMPLE_RATE
            segments.append((round(now, 3), round(end, 3), sentence.text))
            sentences.append(sentence)
            gap = rng.uniform(0.25, 0.8)
            parts += [utterance.samples, np.zeros(int(gap * SAMPLE_RATE), np.float32)]
            now = sum(len(part) for part in parts) / SAMPLE_RATE
    samples = np.concatenate(parts)
    text = " ".join(sentence.text for sentence in sentences)
    english = " ".join(sentence.english for sentence in sentences)
    return samples, Truth(text, english, language, len(samples) / SAMPLE_RATE, segments, words)


def add_noise(samples: np.ndarray, snr: float, seed: int) -> np.ndarray:
    """Add white noise `snr` dB below the mean power of the samples that are not silent."""
    noise = np.random.default_rng(seed).standard_normal(len(samples))
    loud = samples[np.abs(samples) > 0.003]
    power = float(np.mean(np.square(loud)))
    return np.asarray(samples + noise * np.sqrt(power / 10 ** (snr / 10)), dtype=np.float32)


def main() -> None:
    """Make the samples that are missing."""
    FOLDER.mkdir(exist_ok=True)
    synthesizer = Synthesizer()
    recordings: list[tuple[str, Language, float, int, float | None]] = [
        ("meeting.flac", "en", 24, 3, None),
        ("short.wav", "en", 6, 1, None),
        ("german.ogg", "de", 18, 2, None),
        ("long.mp3", "en", 75, 2, None),
        ("noisy.wav", "en", 12, 1, 10.0),
    ]
    for name, language, seconds, speakers, snr in recordings:
        samples, truth = make_recording(random.Random(f"sample {name}"), synthesizer, language, seconds, speakers)
        if snr is not None:
            samples = add_noise(samples, snr, seed=1)
        _write(FOLDER / name, samples, truth)
    _write(FOLDER / "silence.m4a", np.zeros(5 * SAMPLE_RATE, np.float32), Truth("", "", "en", 5.0, [], []))
    lively = ConversationStyle()
    conversations = [
        ("conversation.flac", 60, 3, lively),
        ("discussion.ogg", 600, 4, CALM),
        ("call.flac", 30, 2, lively),
    ]
    for name, seconds, speakers, style in conversations:
        rng = random.Random(f"sample {name}")
        voices = random_voices(rng, TEST_VARIANTS, speakers)
        channels, truth = make_conversation(rng, synthesizer, voices, seconds, style)
        _write(FOLDER / name, channels if name == "call.flac" else add_noise(channels.sum(0), 30, seed=1), truth)


def _write(path: Path, samples: np.ndarray, truth: Truth) -> None:
    if path.exists():
        return
    path.write_bytes(encoded(samples, path.suffix[1:], 20_000 if len(samples) > 300 * SAMPLE_RATE else BIT_RATE))
    path.with_suffix(".json").write_text(json.dumps(asdict(truth), ensure_ascii=False, indent=1) + "\n")


if __name__ == "__main__":
    main()
