"""Measures the demo model on voices and sentences that it never met: `python -m training.evaluate`.

Prints a table, and writes it into the model card with `--card`. Development looks at the validation
voices (`--cast validation`); the test voices are for the final word.
"""

import argparse
import random
import re
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

import jiwer
import numpy as np

from tools.samples import Truth, recording, with_noise
from tools.sentences import Language, words_of
from tools.voices import VARIANTS, Cast, Synthesizer
from transcription.audio import SAMPLE_RATE, Audio, Samples
from transcription.config import InferenceConfig, ModelSettings
from transcription.transcriber import Transcriber
from transcription.transcript import Transcript

MODELS = Path(__file__).parent.parent / "models"


@dataclass
class Tally:
    """Counts over many recordings."""

    said: list[str] = field(default_factory=list)
    heard: list[str] = field(default_factory=list)
    languages: list[bool] = field(default_factory=list)
    boundaries: list[float] = field(default_factory=list)
    word_starts: list[float] = field(default_factory=list)

    def add(self, truth: Truth, transcript: Transcript, wanted: str) -> None:
        """One recording's transcript against what should stand there."""
        self.said.append(" ".join(words_of(wanted)))
        self.heard.append(" ".join(words_of(transcript.text)))
        self.languages.append(transcript.language == truth.language)

    @property
    def wer(self) -> float:
        return float(jiwer.wer(self.said, self.heard))


def boundary_errors(truth: Truth, transcript: Transcript) -> list[float]:
    """For every true segment the distance, in seconds, of its start and its end to the nearest found."""
    if not transcript.segments:
        return [transcript.duration] * (2 * len(truth.segments))
    starts = np.array([segment.start for segment in transcript.segments])
    ends = np.array([segment.end for segment in transcript.segments])
    errors = [float(np.abs(starts - start).min()) for start, _, _ in truth.segments]
    return errors + [float(np.abs(ends - end).min()) for _, end, _ in truth.segments]


def word_start_errors(truth: Truth, transcript: Transcript) -> list[float]:
    """|found − true start| of every correctly heard word, in seconds."""
    found = [word for word in transcript.words if words_of(word.word)]
    if not found:
        return []
    pairs = jiwer.process_words(
        " ".join(word.word for word in truth.words), " ".join(words_of(word.word)[0] for word in found)
    ).alignments[0]
    errors = []
    for chunk in pairs:
        if chunk.type == "equal":
            for step in range(chunk.ref_end_idx - chunk.ref_start_idx):
                true, heard = truth.words[chunk.ref_start_idx + step], found[chunk.hyp_start_idx + step]
                errors.append(abs(true.start - heard.start))
    return errors


def silences(rng: np.random.Generator) -> list[Samples]:
    """Ten recordings in which nobody speaks: zeros, white noise and hum of several strengths."""
    time = np.arange(10 * SAMPLE_RATE) / SAMPLE_RATE
    quiet = [np.zeros_like(time)]
    quiet += [rng.standard_normal(len(time)) * level for level in (1e-4, 1e-3, 0.01, 0.05, 0.2)]
    quiet += [level * np.sin(2 * np.pi * 50 * time) for level in (0.01, 0.2)]
    quiet += [0.1 * np.sin(2 * np.pi * (220 + 40 * np.floor(2 * time) % 5) * time) for _ in range(2)]
    return [np.asarray(sound, dtype=np.float32) for sound in quiet]


def measure(transcriber: Transcriber, cast: Cast, count: int, seed: str) -> list[tuple[str, str, str]]:
    """Rows of (what, target, reached) over `count` recordings of about 20 s for each condition."""
    speaker = Synthesizer()
    config = InferenceConfig(timestamps="word")

    def condition(
        language: Language, change: Callable[[Samples, int], Samples], task: str = "transcribe", timed: bool = False
    ) -> Tally:
        tally = Tally()
        for index in range(count):
            rng = random.Random(f"{seed} {language} {index}")
            samples, truth = recording(rng, speaker, language, 18, rng.randint(1, 2), VARIANTS[cast])
            transcript = transcriber.transcribe(Audio(change(samples, index)), config.model_copy(update={"task": task}))
            tally.add(truth, transcript, truth.english if task == "translate" else truth.text)
            if timed:
                segments = transcriber.transcribe(Audio(samples), InferenceConfig())
                tally.boundaries += boundary_errors(truth, segments)
                tally.word_starts += word_start_errors(truth, transcript)
        return tally

    clean = condition("en", lambda samples, _: samples, timed=True)
    noisy = condition("en", lambda samples, index: with_noise(samples, 10, index))
    german = condition("de", lambda samples, _: samples, timed=True)
    translated = condition("de", lambda samples, _: samples, "translate")
    invented = sum(
        len(transcriber.transcribe(Audio(sound), config).text.split()) for sound in silences(np.random.default_rng(0))
    )
    languages = clean.languages + german.languages
    boundaries = np.array(clean.boundaries + german.boundaries)
    starts = np.array(clean.word_starts + german.word_starts)
    return [
        ("WER, English, clean", "≤ 5 %", f"{clean.wer:.1%}"),
        ("WER, English, white noise at 10 dB SNR", "≤ 12 %", f"{noisy.wer:.1%}"),
        ("WER, German, clean", "≤ 10 %", f"{german.wer:.1%}"),
        ("WER of the translation German → English", "none set", f"{translated.wer:.1%}"),
        ("segment starts and ends within 0.2 s", "≥ 95 %", f"{np.mean(boundaries <= 0.2):.1%}"),
        ("word starts within 0.15 s", "≥ 90 %", f"{np.mean(starts <= 0.15):.1%}"),
        ("language detected right", "≥ 98 %", f"{np.mean(languages):.1%}"),
        ("words invented in 10 recordings of silence, noise, hum", "0", str(invented)),
    ]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--model", default=str(MODELS / "demo-whisper"))
    parser.add_argument("--cast", choices=("validation", "test"), default="validation")
    parser.add_argument("--count", type=int, default=60, help="recordings of each condition")
    parser.add_argument("--seed", default="look")
    parser.add_argument("--card", action="store_true", help="write the table into the model card")
    options = parser.parse_args()
    transcriber = Transcriber(ModelSettings.from_environment(asr_model=options.model))
    rows = measure(transcriber, options.cast, options.count, options.seed)
    table = "\n".join(["| | target | reached |", "|---|---|---|", *(f"| {' | '.join(row)} |" for row in rows)])
    print(table)
    if options.card:
        card = Path(options.model, "README.md")
        told = (
            f"{options.count} recordings of about 20 s for each condition, voices: {', '.join(VARIANTS[options.cast])}"
        )
        text = re.sub(
            r"<!-- measured -->.*?<!-- end -->",
            f"<!-- measured -->\n{told}.\n\n{table}\n<!-- end -->",
            card.read_text(), flags=re.DOTALL,
        )  # fmt: skip
        card.write_text(text)


if __name__ == "__main__":
    main()
