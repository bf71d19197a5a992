"""Our engine and the plain pipeline(...) call, on a short and a 10-minute file: `python -m benchmarks.engines`.

Every contender runs in a process of its own, in rounds that alternate between them, so that a drifting
machine hits all alike. Time is the median over rounds of the second of two calls (the first warms up);
memory is the peak of the whole process over what it held with the model loaded.
"""

import argparse
import json
import resource
import statistics
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import jiwer
import numpy as np

from audio import SAMPLE_RATE, Samples, read_file
from config import InferenceConfig, ModelSettings
from training.sentences import words_of

ROOT = Path(__file__).parent.parent
MODEL = ROOT / "models" / "demo-whisper"
LONG_SECONDS = 600


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


def ours() -> Callable[[Samples], str]:
    """Transcriber with the engine on transformers."""
    from audio import Audio
    from transcribe import Transcriber

    transcriber = Transcriber(ModelSettings.from_environment(asr_model=str(MODEL)))
    return lambda samples: transcriber.transcribe(Audio(samples), InferenceConfig()).text


def plain(beams: int | None) -> Callable[[Samples], str]:
    """The call of the original handler: batches of 24 windows of 30 s with timestamps."""
    from transformers import pipeline

    call: Any = pipeline("automatic-speech-recognition", model=str(MODEL), dtype="float32")
    options: dict[str, Any] = {"task": "transcribe"} | ({"num_beams": beams} if beams else {})

    def transcribe(samples: Samples) -> str:
        answer = call(
            {"raw": samples, "sampling_rate": SAMPLE_RATE}, chunk_length_s=30, batch_size=24,
            return_timestamps=True, generate_kwargs=options,
        )  # fmt: skip
        return str(answer["text"])

    return transcribe


CONTENDERS: dict[str, Callable[[], Callable[[Samples], str]]] = {
    "ours (generate engine)": ours,
    "pipeline, as called (5 beams by default)": lambda: plain(None),
    "pipeline, num_beams=1": lambda: plain(1),
}
FILES = {"short": short, "10 minutes": long}


def measure(contender: str, file: str) -> dict[str, float]:
    """One contender on one file, in this process."""
    samples, truth = FILES[file]()
    transcribe = CONTENDERS[contender]()
    loaded = _peak()
    transcribe(samples)
    began = time.perf_counter()
    text = transcribe(samples)
    seconds = time.perf_counter() - began
    return {
        "seconds": seconds,
        "speed": len(samples) / SAMPLE_RATE / seconds,
        "memory": _peak() - loaded,
        "words": len(words_of(text)),
        "said": len(words_of(truth)),
        "wer": float(jiwer.wer(" ".join(words_of(truth)), " ".join(words_of(text)))),
    }


def _peak() -> float:
    """The largest memory of this process so far, in MB."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--one", nargs=2, metavar=("CONTENDER", "FILE"), help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.one:
        print(json.dumps(measure(*options.one)))
        return
    for file in FILES:
        found: dict[str, list[dict[str, float]]] = {name: [] for name in CONTENDERS}
        for _ in range(options.rounds):
            for name, results in found.items():
                command = [sys.executable, "-m", "benchmarks.engines", "--one", name, file]
                done = subprocess.run(command, capture_output=True, text=True, check=True, cwd=ROOT)
                results.append(json.loads(done.stdout.splitlines()[-1]))
        _print(file, found)


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
