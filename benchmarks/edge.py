"""Measure ENGINE=onnx beside this repository's int8 and faster-whisper's, greedy, on one thread.

python -m benchmarks.edge --model MODEL --exported DIR --exported-int8 DIR --recordings MANIFEST [--ct2 DIR]

Each contender runs in a process of its own, so that its peak memory (VmHWM, with the audio) is its own. The time is
that of the processor, after one recording of warm-up. The language is detected, the texts have segments with times.
"""

import argparse
import json
import os
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from benchmarks.speech.recordings import Recording, read_manifest
from transcription.audio import SAMPLE_RATE, Audio, Samples

CONTENDERS = {
    "onnx float32": ("exported", "onnx", {}),
    "onnx int8": ("exported_int8", "onnx", {}),
    "batching float32": ("model", "batching", {"dtype": "float32"}),
    "batching int8": ("model", "batching", {"dtype": "float32", "quantization": "int8"}),
    "faster-whisper int8": ("ct2", "", {}),
}  # fmt: skip
"""Name → the option with its weights, ENGINE and settings."""


def load(name: str, options: argparse.Namespace) -> Callable[[Samples], str]:
    """Load a contender; it returns the text of samples."""
    folder, engine, settings = CONTENDERS[name]
    weights = str(getattr(options, folder))
    if not engine:
        from faster_whisper import WhisperModel

        model: Any = WhisperModel(weights, device="cpu", compute_type="int8", cpu_threads=1)
        return lambda samples: "".join(one.text for one in model.transcribe(samples, beam_size=1, temperature=0.0)[0])
    from transcription.config import InferenceConfig, ModelSettings
    from transcription.transcriber import Transcriber

    transcriber = Transcriber(ModelSettings.from_environment(asr_model=weights, engine=engine, **settings))
    return lambda samples: transcriber.transcribe(Audio(samples), InferenceConfig(beam_size=1)).text


def measure(name: str, options: argparse.Namespace) -> dict[str, Any]:
    """Return the texts of a contender, its seconds of processor time, and its peak memory in MB."""
    recordings = chosen(options)
    transcribe = load(name, options)
    transcribe(recordings[0].load())
    texts: dict[str, str] = {}
    seconds = audio_seconds = 0.0
    for recording in recordings:
        samples = recording.load()
        began = time.process_time()
        texts[recording.file] = transcribe(samples)
        seconds += time.process_time() - began
        audio_seconds += len(samples) / SAMPLE_RATE
    status = Path("/proc/self/status").read_text()
    peak = next(int(line.split()[1]) / 1000 for line in status.splitlines() if line.startswith("VmHWM"))
    return {"texts": texts, "seconds": seconds, "audio_seconds": audio_seconds, "peak": peak}


def chosen(options: argparse.Namespace) -> list[Recording]:
    """Return every n-th recording with a text, up to --max-bytes each."""
    found = [one for one in read_manifest(options.recordings) if one.text and isinstance(one.samples, Path)]
    return [one for one in found if Path(str(one.samples)).stat().st_size <= options.max_bytes][:: options.every]


def report(results: dict[str, dict[str, Any]], options: argparse.Namespace) -> None:
    """Print the table."""
    from benchmarks.speech.scoring import Errors, recording_errors

    baseline = results.get("batching float32")
    print("| | error rate | other texts than batching float32 | processor time | peak memory |\n|---|---|---|---|---|")
    for name, result in results.items():
        errors, other = Errors(), 0
        for recording in chosen(options):
            text = result["texts"][recording.file]
            errors += recording_errors(recording, text) or Errors()
            other += baseline is not None and text != baseline["texts"][recording.file]
        count = "–" if baseline is None or result is baseline else f"{other} of {len(result['texts'])}"
        print(f"| {name} | {errors.rate or 0:.2%} | {count} | {result['seconds']:.1f} s | {result['peak']:.0f} MB |")


def parser() -> argparse.ArgumentParser:
    """Return the parser of the command line."""
    command = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    for name in ("model", "exported", "exported-int8", "recordings"):
        command.add_argument(f"--{name}", type=Path, required=True)
    command.add_argument("--ct2", type=Path, help="the weights for faster-whisper; without: leave it out")
    command.add_argument("--output", type=Path, help="keep the results in this folder, and do not measure them again")
    command.add_argument("--every", type=int, default=3, help="take every n-th recording (default: 3)")
    command.add_argument("--max-bytes", type=int, default=1_000_000, help="of a recording (default: 1,000,000)")
    command.add_argument("--contenders", nargs="+", choices=CONTENDERS, default=list(CONTENDERS))
    command.add_argument("--child", choices=CONTENDERS, help=argparse.SUPPRESS)
    return command


def main() -> None:
    """Run the command."""
    options = parser().parse_args()
    if options.child:
        print(json.dumps(measure(options.child, options)))
        return
    results: dict[str, dict[str, Any]] = {}
    for name in options.contenders:
        if name == "faster-whisper int8" and options.ct2 is None:
            continue
        kept = None if options.output is None else options.output / f"{name}.json"
        if kept is None or not kept.exists():
            command = [sys.executable, "-m", "benchmarks.edge", *sys.argv[1:], "--child", name]
            done = subprocess.run(
                command, stdout=subprocess.PIPE, text=True, check=True, env=os.environ | {"OMP_NUM_THREADS": "1"}
            )
            results[name] = json.loads(done.stdout.splitlines()[-1])
            if kept is not None:
                kept.parent.mkdir(parents=True, exist_ok=True)
                kept.write_text(json.dumps(results[name]))
        else:
            results[name] = json.loads(kept.read_text())
    report(results, options)


if __name__ == "__main__":
    main()
