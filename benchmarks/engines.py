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
from collections.abc import Callable
from pathlib import Path
from typing import Any

import jiwer
import numpy as np
import torch

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


def ours(**settings: Any) -> Callable[[Samples], str]:
    """Transcriber, as a request that says nothing but the language gets it."""
    from audio import Audio
    from transcribe import Transcriber

    transcriber = Transcriber(ModelSettings.from_environment(asr_model=str(MODEL), **settings))
    return lambda samples: transcriber.transcribe(Audio(samples), InferenceConfig(language="en")).text


def plain(beams: int | None) -> Callable[[Samples], str]:
    """transformers' pipeline with batches of 24 windows of 30 s and time stamps."""
    from transformers import pipeline, utils

    utils.logging.set_verbosity_error()
    call: Any = pipeline("automatic-speech-recognition", model=str(MODEL), dtype="float32")
    options: dict[str, Any] = {"task": "transcribe"} | ({"num_beams": beams} if beams else {})

    def transcribe(samples: Samples) -> str:
        answer = call(
            {"raw": samples, "sampling_rate": SAMPLE_RATE}, chunk_length_s=30, batch_size=24,
            return_timestamps=True, generate_kwargs=options,
        )  # fmt: skip
        return str(answer["text"])

    return transcribe


def faster_whisper(kind: str, batch: int | None = None) -> Callable[[Samples], str]:
    """CTranslate2's engine on the converted model, greedy; its batched pipeline where a batch is given."""
    from ctranslate2.converters import TransformersConverter
    from faster_whisper import BatchedInferencePipeline, WhisperModel

    folder = Path(tempfile.gettempdir()) / f"demo-whisper-ct2-{kind}"
    if not folder.exists():
        files = ["tokenizer.json", "preprocessor_config.json"]
        TransformersConverter(str(MODEL), copy_files=files).convert(str(folder), quantization=kind)
    model = WhisperModel(str(folder), device="cpu", compute_type=kind, cpu_threads=torch.get_num_threads())
    call: Any = BatchedInferencePipeline(model) if batch else model
    options = {"batch_size": batch} if batch else {}

    def transcribe(samples: Samples) -> str:
        segments, _ = call.transcribe(samples, language="en", beam_size=1, **options)
        return " ".join(segment.text for segment in segments)

    return transcribe


CONTENDERS: dict[str, Callable[[], Callable[[Samples], str]]] = {
    "ours": ours,
    "ours, int8": lambda: ours(quantization="int8"),
    "ours, transformers engine": lambda: ours(engine="transformers"),
    "pipeline, as called (5 beams by default)": lambda: plain(None),
    "pipeline, num_beams=1": lambda: plain(1),
    "faster-whisper": lambda: faster_whisper("float32"),
    "faster-whisper, int8": lambda: faster_whisper("int8"),
    "faster-whisper, batch 8": lambda: faster_whisper("float32", 8),
    "faster-whisper, int8, batch 8": lambda: faster_whisper("int8", 8),
}
CALLS = {"short": 10, "10 minutes": 2}
FILES = {"short": short, "10 minutes": long}


def measure(contender: str, file: str) -> dict[str, float]:
    """One contender on one file, in this process."""
    samples, truth = FILES[file]()
    transcribe = CONTENDERS[contender]()
    loaded = peak()
    transcribe(samples)
    seconds = float("inf")
    for _ in range(CALLS[file]):
        began = time.perf_counter()
        text = transcribe(samples)
        seconds = min(seconds, time.perf_counter() - began)
    return {
        "seconds": seconds,
        "speed": len(samples) / SAMPLE_RATE / seconds,
        "memory": peak() - loaded,
        "words": len(words_of(text)),
        "said": len(words_of(truth)),
        "wer": float(jiwer.wer(" ".join(words_of(truth)), " ".join(words_of(text)))),
    }


def peak() -> float:
    """The largest memory of this process so far, in MB (getrusage would count its parent's too)."""
    status = Path("/proc/self/status").read_text()
    return int(status.split("VmHWM:")[1].split()[0]) / 1024


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
