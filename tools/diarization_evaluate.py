"""Evaluate the demo diarization on voices outside its training data: `python -m tools.diarization_evaluate`.

The recordings are conversations of one to four speakers, scored with collar 0 and overlap (pyannote.metrics). Use the
validation voices during development, and the test voices for the final result.
"""

import random
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from pyannote.core import Segment

from benchmarks.scores import annotation, strict_der, true_turns
from benchmarks.truth import Truth
from tools.model_card import parse_options, report
from tools.samples import add_noise, make_conversation, random_voices
from tools.speakers import DIARIZATION_VARIANTS
from tools.voices import Synthesizer, VoiceSplit
from transcription.audio import SAMPLE_RATE, Audio, Samples
from transcription.config import InferenceConfig, ModelSettings
from transcription.diarization.pyannote import Diarizer


@dataclass
class Results:
    """Error rates over many conversations, with the speaker count given and not given."""

    der_given: Any = field(default_factory=strict_der)
    der_not_given: Any = field(default_factory=strict_der)
    count_correct: list[bool] = field(default_factory=list)


def conversations(split: VoiceSplit, count: int, seed: str) -> Iterator[tuple[Samples, Truth]]:
    """Yield conversations of 1 to 4 speakers, 60 to 120 s, with noise at 15 to 40 dB SNR."""
    synthesizer = Synthesizer()
    for index in range(count):
        rng = random.Random(f"{seed} {split} {index}")
        voices = random_voices(rng, DIARIZATION_VARIANTS[split], index % 4 + 1)
        channels, truth = make_conversation(rng, synthesizer, voices, rng.uniform(60, 120))
        yield add_noise(channels.sum(0), rng.uniform(15, 40), index), truth


def measure(diarizer: Diarizer, split: VoiceSplit, count: int, seed: str) -> Results:
    """Return DER and speaker counts over `count` conversations."""
    results = Results()
    for samples, truth in conversations(split, count, seed):
        reference = annotation(true_turns(truth))
        region = Segment(0, len(samples) / SAMPLE_RATE)
        audio = Audio(np.ascontiguousarray(samples, dtype=np.float32))
        true_count = len({speaker for speaker, _, _ in truth.turns})
        for metric, num_speakers in ((results.der_given, true_count), (results.der_not_given, None)):
            turns = diarizer.diarize(audio, InferenceConfig(num_speakers=num_speakers)).turns
            metric(reference, annotation(turns), uem=region)
            if num_speakers is None:
                results.count_correct.append(len({turn.speaker for turn in turns}) == true_count)
    return results


def rows_of(results: Results) -> list[tuple[str, str, str]]:
    """Return rows of (measure, target, reached)."""

    def errors(metric: Any) -> str:
        total = metric.accumulated_["total"]
        names = {"missed detection": "missed", "false alarm": "false alarm", "confusion": "confused"}
        parts = ", ".join(f"{name} {metric.accumulated_[key] / total:.1%}" for key, name in names.items())
        return f"{abs(metric):.1%} ({parts})"

    return [
        ("DER, count of speakers given", "≤ 10 %", errors(results.der_given)),
        ("DER, count not given", "≤ 15 %", errors(results.der_not_given)),
        ("count found right", "≥ 80 %", f"{np.mean(results.count_correct):.0%}"),
    ]


def main() -> None:
    """Run the command."""
    options = parse_options(__doc__, "demo-diarization", 48, "conversations")
    diarizer = Diarizer(ModelSettings.from_environment(asr_model="none", diarization_model=options.model))
    results = measure(diarizer, options.split, options.count, options.seed)
    voices = ", ".join(DIARIZATION_VARIANTS[options.split])
    conditions = f"{options.count} conversations of 1 to 4 voices ({voices}), 60 to 120 s each"
    report(options, f"{conditions}; collar 0, overlap scored", rows_of(results))


if __name__ == "__main__":
    main()
