"""Our engines and their peers on a short and a 10-minute file: `python -m benchmarks.engines`.

All run the same weights on the same audio with the same threads, as their users call them. Every contender runs
in a process of its own, in rounds that alternate between them, so that a drifting machine hits all alike. Time is
the median over rounds of the best of several calls after a first that warms up; memory is the peak of the whole
process over what it held with the model loaded.
"""

import argparse
import json
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

import jiwer
import numpy as np

from benchmarks.peers import Contender, WindowResponse, convert, faster_whisper, ours, plain
from tools.sentences import words_of
from transcription.audio import SAMPLE_RATE, Samples, read_file

ROOT = Path(__file__).parent.parent
MODEL = ROOT / "models" / "demo-whisper"
LONG_SECONDS = 600
APART = {"condition_on_previous_text": False}
"""Each window read without the text of those before it."""


def short() -> tuple[Samples, str]:
    """The shipped 7 s recording and its text."""
    return _sample("short.wav")


def long() -> tuple[Samples, str]:
    """Ten minutes: the shipped long recording again and again, whole sentences at the end."""
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
    "pipeline, as called (5 beams by default)": lambda _: plain(MODEL, None),
    "pipeline, num_beams=1": lambda _: plain(MODEL, 1),
    "faster-whisper": lambda folder: faster_whisper(folder, "float32"),
    "faster-whisper, int8": lambda folder: faster_whisper(folder, "int8"),
    "faster-whisper, without its former text": lambda folder: faster_whisper(folder, "float32", **APART),
    "faster-whisper, int8, without its former text": lambda folder: faster_whisper(folder, "int8", **APART),
    "faster-whisper, batch 8": lambda folder: faster_whisper(folder, "float32", 8),
    "faster-whisper, int8, batch 8": lambda folder: faster_whisper(folder, "int8", 8),
}
"""Each loads itself, given the folder of what was converted."""
CALLS = {"short": 10, "10 minutes": 2}
FILES = {"short": short, "10 minutes": long}


def measure(contender: str, file: str, folder: str) -> dict[str, float]:
    """One contender on one file, in this process."""
    samples, truth = FILES[file]()
    transcribe = CONTENDERS[contender](Path(folder))
    loaded = peak()
    seconds, said = best(transcribe, samples, CALLS[file])
    return {
        "seconds": seconds,
        "speed": len(samples) / SAMPLE_RATE / seconds,
        "memory": peak() - loaded,
        "words": len(words_of(said.text)),
        "said": len(words_of(truth)),
        "wer": float(jiwer.wer(" ".join(words_of(truth)), " ".join(words_of(said.text)))),
    }


def best(transcribe: Contender, samples: Samples, calls: int) -> tuple[float, WindowResponse]:
    """Seconds of the fastest of several calls after a first that warms up, and what was said."""
    said, seconds = transcribe(samples), float("inf")
    for _ in range(calls):
        began = time.perf_counter()
        said = transcribe(samples)
        seconds = min(seconds, time.perf_counter() - began)
    return seconds, said


def in_turn(module: str, names: Iterable[str], rounds: int, *arguments: str) -> dict[str, list[Any]]:
    """What `module` prints with `--one`, a name and the arguments, each in a process of its own, round by round."""
    found: dict[str, list[Any]] = {name: [] for name in names}
    for _ in range(rounds):
        for name, results in found.items():
            command = [sys.executable, "-m", module, "--one", name, *arguments]
            done = subprocess.run(command, check=False, capture_output=True, text=True, cwd=ROOT)
            if done.returncode:
                raise SystemExit(f"{name}:\n{done.stderr}")
            results.append(json.loads(done.stdout.splitlines()[-1]))
    return found


def peak() -> float:
    """The largest memory of this process so far, in MB (getrusage would count its parent's too)."""
    status = Path("/proc/self/status").read_text()
    return int(status.split("VmHWM:")[1].split()[0]) / 1024


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--one", nargs=3, metavar=("CONTENDER", "FILE", "FOLDER"), help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.one:
        print(json.dumps(measure(*options.one)))
        return
    with tempfile.TemporaryDirectory() as folder:
        convert(MODEL, Path(folder))
        for file in FILES:
            _print(file, in_turn("benchmarks.engines", CONTENDERS, options.rounds, file, folder))


def _print(file: str, found: dict[str, list[dict[str, float]]]) -> None:
    print(f"\n| {file} | time | our time ÷ this | × real time | peak MB over the model | words (said) | WER |")
    print("|---|---|---|---|---|---|---|")
    first = next(iter(found.values()))
    for name, results in found.items():
        row = {key: statistics.median(result[key] for result in results) for key in results[0]}
        ratio = statistics.median(our["seconds"] / their["seconds"] for our, their in zip(first, results, strict=True))
        print(
            f"| {name} | {row['seconds']:.2f} s | {ratio:.2f} | {row['speed']:.0f} | {row['memory']:.0f} "
            f"| {row['words']:.0f} ({row['said']:.0f}) | {row['wer']:.1%} |"
        )


if __name__ == "__main__":
    main()
