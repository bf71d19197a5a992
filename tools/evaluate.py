"""Evaluate the demo Whisper on voices and sentences outside its training data: `python -m tools.evaluate`.

Use the validation voices during development, and the test voices for the final result.
"""

import random
from collections.abc import Callable
from dataclasses import dataclass, field

import jiwer
import numpy as np

from benchmarks.scores import word_start_errors, words_of
from benchmarks.truth import Truth
from tools.model_card import parse_options, report
from tools.samples import add_noise, make_recording
from tools.sentences import Language
from tools.voices import VARIANTS, Synthesizer, VoiceSplit
from transcription.audio import SAMPLE_RATE, Audio, Samples
from transcription.config import InferenceConfig, ModelSettings, Task
from transcription.transcriber import Transcriber
from transcription.transcript import Transcript


@dataclass
class Results:
    """Texts and errors over many recordings. boundary_errors, word_start_errors: seconds."""

    references: list[str] = field(default_factory=list)
    hypotheses: list[str] = field(default_factory=list)
    language_correct: list[bool] = field(default_factory=list)
    boundary_errors: list[float] = field(default_factory=list)
    word_start_errors: list[float] = field(default_factory=list)

    def add(self, truth: Truth, transcript: Transcript, reference: str) -> None:
        """Add a recording's transcript and its reference text."""
        self.references.append(" ".join(words_of(reference)))
        self.hypotheses.append(" ".join(words_of(transcript.text)))
        self.language_correct.append(transcript.language == truth.language)

    @property
    def wer(self) -> float:
        """Word error rate over all recordings."""
        return float(jiwer.wer(self.references, self.hypotheses))


def boundary_errors(truth: Truth, transcript: Transcript) -> list[float]:
    """Return the distance from each true segment start and end to the nearest one in the transcript, in seconds."""
    if not transcript.segments:
        return [transcript.duration] * (2 * len(truth.segments))
    starts = np.array([segment.start for segment in transcript.segments])
    ends = np.array([segment.end for segment in transcript.segments])
    errors = [float(np.abs(starts - start).min()) for start, _, _ in truth.segments]
    return errors + [float(np.abs(ends - end).min()) for _, end, _ in truth.segments]


def recordings_without_speech(rng: np.random.Generator) -> list[Samples]:
    """Return ten recordings of 10 s: digital silence, white noise and hum of several levels, melodies."""
    time = np.arange(10 * SAMPLE_RATE) / SAMPLE_RATE
    sounds = [np.zeros_like(time)]
    sounds += [rng.standard_normal(len(time)) * level for level in (1e-4, 1e-3, 0.01, 0.05, 0.2)]
    sounds += [level * np.sin(2 * np.pi * 50 * time) for level in (0.01, 0.2)]
    sounds += [0.1 * np.sin(2 * np.pi * (220 + 40 * np.floor(2 * time) % 5) * time) for _ in range(2)]
    return [np.asarray(sound, dtype=np.float32) for sound in sounds]


@dataclass(frozen=True)
class Evaluation:
    """A transcriber with the recordings to evaluate it on: `count` of about 18 s for each condition."""

    transcriber: Transcriber
    split: VoiceSplit
    count: int
    seed: str
    synthesizer: Synthesizer

    def measure(
        self, language: Language, change: Callable[[Samples, int], Samples] = lambda samples, _: samples,
        task: Task = "transcribe", timed: bool = False,
    ) -> Results:  # fmt: skip
        """Return the results on recordings changed by `change(samples, index)`; timed: measure the times as well."""
        results = Results()
        for index in range(self.count):
            rng = random.Random(f"{self.seed} {language} {index}")
            speakers = rng.randint(1, 2)
            samples, truth = make_recording(rng, self.synthesizer, language, 18, speakers, VARIANTS[self.split])
            config = InferenceConfig(timestamps="word", task=task)
            transcript = self.transcriber.transcribe(Audio(change(samples, index)), config)
            results.add(truth, transcript, truth.english if task == "translate" else truth.text)
            if timed:
                segments = self.transcriber.transcribe(Audio(samples), InferenceConfig())
                results.boundary_errors += boundary_errors(truth, segments)
                results.word_start_errors += word_start_errors(truth, transcript)
        return results

    def words_without_speech(self) -> int:
        """Return the number of words transcribed in recordings without speech."""
        config = InferenceConfig(timestamps="word")
        sounds = recordings_without_speech(np.random.default_rng(0))
        return sum(len(self.transcriber.transcribe(Audio(sound), config).text.split()) for sound in sounds)


def rows_of(evaluation: Evaluation) -> list[tuple[str, str, str]]:
    """Run the evaluation and return rows of (measure, target, reached)."""
    clean = evaluation.measure("en", timed=True)
    noisy = evaluation.measure("en", lambda samples, index: add_noise(samples, 10, index))
    german = evaluation.measure("de", timed=True)
    translated = evaluation.measure("de", task="translate")
    boundaries = np.array(clean.boundary_errors + german.boundary_errors)
    starts = np.array(clean.word_start_errors + german.word_start_errors)
    return [
        ("WER, English, clean", "≤ 5 %", f"{clean.wer:.1%}"),
        ("WER, English, white noise at 10 dB SNR", "≤ 12 %", f"{noisy.wer:.1%}"),
        ("WER, German, clean", "≤ 10 %", f"{german.wer:.1%}"),
        ("WER of the translation German → English", "none set", f"{translated.wer:.1%}"),
        ("segment starts and ends within 0.2 s", "≥ 95 %", f"{np.mean(boundaries <= 0.2):.1%}"),
        ("word starts within 0.15 s", "≥ 90 %", f"{np.mean(starts <= 0.15):.1%}"),
        ("language detected right", "≥ 98 %", f"{np.mean(clean.language_correct + german.language_correct):.1%}"),
        ("words invented in 10 recordings of silence, noise, hum", "0", str(evaluation.words_without_speech())),
    ]


def main() -> None:
    """Run the command."""
    options = parse_options(__doc__, "demo-whisper", 60, "recordings of each condition")
    transcriber = Transcriber(ModelSettings.from_environment(asr_model=options.model))
    evaluation = Evaluation(transcriber, options.split, options.count, options.seed, Synthesizer())
    voices = ", ".join(VARIANTS[options.split])
    conditions = f"{options.count} recordings of about 20 s for each condition, voices: {voices}"
    report(options, conditions, rows_of(evaluation))


if __name__ == "__main__":
    main()
