"""Compare our engines with other libraries on the demo model: `python -m benchmarks.engines`.

All use the same weights, audio and number of threads. Each contender runs in a process of its own, in rounds that
alternate between the contenders. A time is the median over rounds of the fastest of several calls after a warm-up.
Memory is the peak of the process above its memory with the model loaded.
"""

import argparse
import json
import statistics
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import Any

import jiwer
import numpy as np

from benchmarks.peers import Contender, Result, convert, faster_whisper, ours, transformers_pipeline
from benchmarks.scores import words_of
from benchmarks.timing import ratio, seconds_of
from transcription.audio import SAMPLE_RATE, Samples, read_file

ROOT = Path(__file__).parent.parent
MODEL = ROOT / "models" / "demo-whisper"
LONG_SECONDS = 600
NO_PREVIOUS_TEXT = {"condition_on_previous_text": False}
"""Decode each window without the text of the windows before it."""


def short() -> tuple[Samples, str]:
    """Return the 7 s sample and its text."""
    return _sample("short.wav")


def long() -> tuple[Samples, str]:
    """Return ten minutes of audio and its text: the sample long.mp3 repeated."""
    samples, text = _sample("long.mp3")
    times = round(LONG_SECONDS * SAMPLE_RATE / len(samples))
    return np.tile(samples, times), " ".join([text] * times)


def _sample(name: str) -> tuple[Samples, str]:
    path = ROOT / "samples" / name
    return read_file(path).samples, json.loads(path.with_suffix(".json").read_text())["text"]


CONTENDERS: dict[str, Callable[[Path], Contender]] = {
    "ours": lambda _: ours(MODEL),
    "ours, int8": lambda _: ours(MODEL, quantization="int8"),
    "ours, transformers engine": lambda _: ours(MODEL, engine="transformers"),
    "pipeline, as called (5 beams by default)": lambda _: transformers_pipeline(MODEL, None),
    "pipeline, num_beams=1": lambda _: transformers_pipeline(MODEL, 1),
    "faster-whisper": lambda folder: faster_whisper(folder, "float32"),
    "faster-whisper, int8": lambda folder: faster_whisper(folder, "int8"),
    "faster-whisper, no previous text": lambda folder: faster_whisper(folder, "float32", **NO_PREVIOUS_TEXT),
    "faster-whisper, int8, no previous text": lambda folder: faster_whisper(folder, "int8", **NO_PREVIOUS_TEXT),
    "faster-whisper, batch 8": lambda folder: faster_whisper(folder, "float32", 8),
    "faster-whisper, int8, batch 8": lambda folder: faster_whisper(folder, "int8", 8),
}
"""Functions that load a contender, given the folder of the converted models."""
CALLS = {"short": 10, "10 minutes": 2}
FILES = {"short": short, "10 minutes": long}


def measure(contender: str, file: str, folder: str) -> dict[str, float]:
    """Measure one contender on one file, in this process."""
    samples, truth = FILES[file]()
    transcribe = CONTENDERS[contender](Path(folder))
    loaded = peak_memory()
    seconds, result = fastest(transcribe, samples, CALLS[file])
    reference, hypothesis = words_of(truth), words_of(result.text)
    return {
        "seconds": seconds,
        "speed": len(samples) / SAMPLE_RATE / seconds,
        "memory": peak_memory() - loaded,
        "words": len(hypothesis),
        "true_words": len(reference),
        "wer": float(jiwer.wer(" ".join(reference), " ".join(hypothesis))),
    }


def fastest(transcribe: Contender, samples: Samples, calls: int) -> tuple[float, Result]:
    """Return the seconds of the fastest of several calls, and the result of the warm-up call."""
    result = transcribe(samples)
    return min(seconds_of(lambda: transcribe(samples)) for _ in range(calls)), result


def run_processes(module: str, names: Iterable[str], rounds: int, *arguments: str) -> dict[str, list[Any]]:
    """Run `module --contender NAME ARGUMENTS` for each name and round, and return the JSON that each process prints."""
    results: dict[str, list[Any]] = {name: [] for name in names}
    for _ in range(rounds):
        for name, measured in results.items():
            command = [sys.executable, "-m", module, "--contender", name, *arguments]
            process = subprocess.run(command, check=False, capture_output=True, text=True, cwd=ROOT)
            if process.returncode:
                raise SystemExit(f"{name}:\n{process.stderr}")
            measured.append(json.loads(process.stdout.splitlines()[-1]))
    return results


def peak_memory() -> float:
    """Return the peak memory of this process in MB; getrusage would count its parent's as well."""
    status = Path("/proc/self/status").read_text()
    return int(status.split("VmHWM:")[1].split()[0]) / 1024


def medians(results: list[dict[str, float]], baseline: list[dict[str, float]]) -> dict[str, float]:
    """Return the median of each measure over rounds, and `ratio`: the time of the baseline over that of the results."""
    times, base_times = ([round_["seconds"] for round_ in rounds] for rounds in (results, baseline))
    row = {key: statistics.median(round_[key] for round_ in results) for key in results[0]}
    return row | {"ratio": ratio(base_times, times)}


def main() -> None:
    """Run the command."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=3, help="rounds over all contenders (default: %(default)s)")
    parser.add_argument("--contender", nargs=3, metavar=("NAME", "FILE", "FOLDER"), help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.contender:
        print(json.dumps(measure(*options.contender)))
        return
    with tempfile.TemporaryDirectory() as folder:
        convert(MODEL, Path(folder))
        for file in FILES:
            print_table(file, run_processes("benchmarks.engines", CONTENDERS, options.rounds, file, folder))


def print_table(file: str, results: Mapping[str, list[dict[str, float]]]) -> None:
    """Print the results of all contenders on one file."""
    print(f"\n| {file} | time | our time ÷ this | × real time | peak MB over the model | words (true) | WER |")
    print("|---|---|---|---|---|---|---|")
    for name, rounds in results.items():
        row = medians(rounds, results["ours"])
        print(
            f"| {name} | {row['seconds']:.2f} s | {row['ratio']:.2f} | {row['speed']:.0f} | {row['memory']:.0f} "
            f"| {row['words']:.0f} ({row['true_words']:.0f}) | {row['wer']:.1%} |"
        )


if __name__ == "__main__":
    main()
