"""Measures the demo diarization on voices it never met: `python -m training.diarization_evaluate`.

Conversations of one to four people; collar 0, overlap scored (pyannote.metrics). Development looks at the
validation voices; the test voices are for the final word. `--card` writes the table into the model card.
"""

import argparse
import random
import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from pyannote.core import Segment

from tools.diarization_export import FOLDER
from tools.samples import Truth, cast_of, conversation, with_noise
from tools.scores import annotation, strict_der, true_turns
from tools.speakers import SIDES, Side
from tools.voices import Synthesizer
from transcription.audio import SAMPLE_RATE, Audio, Samples
from transcription.config import InferenceConfig, ModelSettings
from transcription.diarization.pyannote import Diarizer


@dataclass
class Tally:
    """What came out over many conversations, with the count given and without."""

    given: Any = field(default_factory=strict_der)
    free: Any = field(default_factory=strict_der)
    counted: list[bool] = field(default_factory=list)


def talks(side: Side, count: int, seed: str) -> Iterator[tuple[Samples, Truth]]:
    """Conversations of 1 to 4 speakers, 60 to 120 s, over noise 15 to 40 dB down."""
    synthesizer = Synthesizer()
    for index in range(count):
        rng = random.Random(f"{seed} {side} {index}")
        speakers = index % 4 + 1
        rows, truth = conversation(rng, synthesizer, cast_of(rng, SIDES[side], speakers), rng.uniform(60, 120))
        yield with_noise(rows.sum(0), rng.uniform(15, 40), index), truth


def measure(diarizer: Diarizer, side: Side, count: int, seed: str) -> Tally:
    """DER and speaker counts over `count` conversations."""
    tally = Tally()
    for samples, truth in talks(side, count, seed):
        reference = annotation(true_turns(truth))
        region = Segment(0, len(samples) / SAMPLE_RATE)
        audio = Audio(np.ascontiguousarray(samples, dtype=np.float32))
        present = len({speaker for speaker, _, _ in truth.turns})
        for metric, hint in ((tally.given, present), (tally.free, None)):
            found = diarizer.diarize(audio, InferenceConfig(num_speakers=hint))
            metric(reference, annotation(found.turns), uem=region)
            if hint is None:
                tally.counted.append(len({turn.speaker for turn in found.turns}) == present)
    return tally


def rows_of(tally: Tally) -> list[tuple[str, str, str]]:
    """Rows of (what, target, reached)."""

    def parts(metric: Any) -> str:
        total = metric.accumulated_["total"]
        named = {"missed detection": "missed", "false alarm": "false alarm", "confusion": "confused"}
        return ", ".join(f"{name} {metric.accumulated_[key] / total:.1%}" for key, name in named.items())

    return [
        ("DER, count of speakers given", "≤ 10 %", f"{abs(tally.given):.1%} ({parts(tally.given)})"),
        ("DER, count not given", "≤ 15 %", f"{abs(tally.free):.1%} ({parts(tally.free)})"),
        ("count found right", "≥ 80 %", f"{np.mean(tally.counted):.0%}"),
    ]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--model", default=str(FOLDER))
    parser.add_argument("--side", choices=("validation", "test"), default="validation")
    parser.add_argument("--count", type=int, default=48, help="conversations")
    parser.add_argument("--seed", default="look")
    parser.add_argument("--card", action="store_true", help="write the table into the model card")
    options = parser.parse_args()
    diarizer = Diarizer(ModelSettings.from_environment(asr_model="none", diarization_model=options.model))
    rows = rows_of(measure(diarizer, options.side, options.count, options.seed))
    table = "\n".join(["| | target | reached |", "|---|---|---|", *(f"| {' | '.join(row)} |" for row in rows)])
    print(table)
    if options.card:
        card = Path(options.model, "README.md")
        told = f"{options.count} conversations of 1 to 4 voices ({', '.join(SIDES[options.side])}), 60 to 120 s each"
        block = f"<!-- measured -->\n{told}; collar 0, overlap scored.\n\n{table}\n<!-- end -->"
        card.write_text(re.sub(r"<!-- measured -->.*?<!-- end -->", block, card.read_text(), flags=re.DOTALL))


if __name__ == "__main__":
    main()
