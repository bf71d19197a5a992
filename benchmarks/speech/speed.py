"""Time on real weights and real speech: `python -m benchmarks.speech.speed --model DIR --recordings MANIFEST.jsonl`.

Three shapes: one short clip, one conversation, and the English conversations put together. Each contender runs in a
process of its own, in rounds that alternate. The language is detected and nothing is set but what the name says. A time
is the fastest of several calls after a warm-up, and its median over rounds. Results are kept in the output folder; what
is there is not measured again.
"""

import argparse
import json
import statistics
import subprocess
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.engines import peak_memory
from benchmarks.speech.contenders import Checkpoints, Transcribe, faster_whisper, ours
from benchmarks.speech.recordings import Recording, read_manifest
from benchmarks.speech.scoring import recording_errors
from benchmarks.timing import ratio, seconds_of
from transcription.audio import SAMPLE_RATE

FLOAT32, INT8 = {"dtype": "float32"}, {"dtype": "float32", "quantization": "int8"}
CONTENDERS: dict[str, Callable[[Checkpoints], Transcribe]] = {
    "ours": lambda of: ours(of.model),
    "ours, greedy": lambda of: ours(of.model, beam_size=1),
    "ours, float32": lambda of: ours(of.model, FLOAT32),
    "ours, float32, greedy": lambda of: ours(of.model, FLOAT32, beam_size=1),
    "ours, int8": lambda of: ours(of.model, INT8),
    "ours, int8, greedy": lambda of: ours(of.model, INT8, beam_size=1),
    "faster-whisper, float32, 5 beams": faster_whisper,
    "faster-whisper, float32, batched": lambda of: faster_whisper(of, batched=True, batch_size=8),
    "faster-whisper, int8, 5 beams": lambda of: faster_whisper(of, precision="int8"),
    "faster-whisper, int8, 1 beam": lambda of: faster_whisper(of, precision="int8", beam_size=1),
    "faster-whisper, int8, batched": lambda of: faster_whisper(of, batched=True, precision="int8", batch_size=8),
    "faster-whisper, int8, batched, 1 beam": lambda of: faster_whisper(
        of, batched=True, precision="int8", batch_size=8, beam_size=1
    ),
}
"""Each loads itself. "ours" has the precision that DTYPE=auto takes, and five beams."""


@dataclass(frozen=True)
class Shape:
    """The recordings that are put together, and how often each is transcribed in a process."""

    files: tuple[str, ...]
    calls: int


SHAPES = {
    "short": Shape(("jfk-whisper.flac",), 5),
    "telephone": Shape(("derived-phone-conv-2spk-1688-1998.flac",), 2),
    "13 minutes": Shape(
        (
            "long-libri-4spk-roundrobin.flac", "conv-2spk-1688-1998.flac", "conv-2spk-2033-2414.flac",
            "conv-2spk-367-533.flac", "conv-2spk-short-turns.flac", "derived-phone-conv-2spk-1688-1998.flac",
            "derived-noise10dB-conv-2spk-1688-1998.flac",
        ),
        1,
    ),
}  # fmt: skip


def put_together(shape: Shape, manifest: Path) -> Recording:
    """Return the recordings of a shape as one, without turns."""
    by_file = {recording.file: recording for recording in read_manifest(manifest)}
    parts = [by_file[file] for file in shape.files]
    samples = np.concatenate([part.load() for part in parts])
    return replace(parts[0], samples=samples, text=" ".join(part.text or "" for part in parts), turns=())


def measure(contender: str, shape: Shape, checkpoints: Checkpoints, manifest: Path) -> dict[str, float]:
    """Measure one contender on one shape, in this process."""
    recording = put_together(shape, manifest)
    samples = recording.load()
    transcribe = CONTENDERS[contender](checkpoints)
    transcribe(samples[: 5 * SAMPLE_RATE], False)
    results: list[Any] = []
    seconds = min(seconds_of(lambda: results.append(transcribe(samples, False))) for _ in range(shape.calls))
    errors = recording_errors(recording, results[-1].text)
    assert errors is not None
    return {
        "seconds": seconds, "audio": len(samples) / SAMPLE_RATE, "rate": errors.rate or 0.0, "memory": peak_memory(),
    }  # fmt: skip


def measure_missing(options: argparse.Namespace) -> None:
    """Add a line to the results for each contender, shape and round that is not there."""
    path = options.output / "speed.jsonl"
    options.output.mkdir(parents=True, exist_ok=True)
    done = {(line["shape"], line["round"], line["contender"]) for line in read_lines(path)}
    for number in range(options.rounds):
        for shape in options.shapes:
            for contender in options.contenders:
                if (shape, number, contender) in done:
                    continue
                command = [sys.executable, "-m", "benchmarks.speech.speed", *sys.argv[1:], "--child", contender, shape]
                child = subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True)
                measured = json.loads(child.stdout.splitlines()[-1])
                line = {"contender": contender, "shape": shape, "round": number, **measured}
                with path.open("a") as file:
                    file.write(json.dumps(line) + "\n")


def read_lines(path: Path) -> list[dict[str, Any]]:
    """Return the results so far."""
    return [json.loads(line) for line in path.read_text().splitlines()] if path.exists() else []


def report(lines: Sequence[dict[str, Any]]) -> str:
    """Return a table of each shape. The ratio is our default's time over the contender's, in the same rounds."""
    tables = []
    for shape in SHAPES:
        of_shape = [line for line in lines if line["shape"] == shape]
        ours_by_round = {line["round"]: line["seconds"] for line in of_shape if line["contender"] == "ours"}
        if not ours_by_round:
            continue
        rows = [f"| {shape}, {of_shape[0]['audio']:.0f} s | time | ours ÷ this | × real time | WER | peak MB |"]
        rows.append("|---|---|---|---|---|---|")
        for contender in CONTENDERS:
            rounds = [line for line in of_shape if line["contender"] == contender and line["round"] in ours_by_round]
            if rounds:
                rows.append(_row(contender, rounds, [ours_by_round[line["round"]] for line in rounds]))
        tables.append("\n".join(rows))
    return "\n\n".join(tables)


def _row(contender: str, rounds: Sequence[dict[str, Any]], baseline: Sequence[float]) -> str:
    times = [line["seconds"] for line in rounds]
    middle = statistics.median(times)
    last = rounds[-1]
    return (
        f"| {contender} | {middle:.2f} s | {ratio(baseline, times):.2f} | {last['audio'] / middle:.0f} "
        f"| {last['rate']:.1%} | {max(line['memory'] for line in rounds):.0f} |"
    )


def main() -> None:
    """Run the command."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--model", type=Path, required=True, help="folder of a Whisper checkpoint (transformers)")
    parser.add_argument("--recordings", type=Path, required=True, help="manifest, a JSON line for each recording")
    parser.add_argument(
        "--ct2", type=Path, required=True, help="the model for faster-whisper; absent there: convert it"
    )
    parser.add_argument("--output", type=Path, required=True, help="folder of the results")
    parser.add_argument("--rounds", type=int, default=3, help="rounds over all contenders (default: %(default)s)")
    parser.add_argument("--shapes", nargs="+", choices=SHAPES, default=list(SHAPES))
    parser.add_argument("--contenders", nargs="+", choices=CONTENDERS, default=list(CONTENDERS))
    parser.add_argument("--child", nargs=2, metavar=("CONTENDER", "SHAPE"), help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.child:
        contender, shape = options.child
        checkpoints = Checkpoints(options.model, options.ct2, options.output / "original.pt")
        print(json.dumps(measure(contender, SHAPES[shape], checkpoints, options.recordings)))
        return
    measure_missing(options)
    print(report(read_lines(options.output / "speed.jsonl")))


if __name__ == "__main__":
    main()
