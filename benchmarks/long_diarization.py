"""Measure the memory of diarization: `python -m benchmarks.long_diarization --diarization-model DIR --recording FILE`.

The recording is repeated up to each length. Each length runs in a process of its own, in stretches and in one call of
the pipeline, and prints the peak of the resident memory above that before the call, and the CPU time.
The samples are there before it.
"""

import argparse
import resource
import subprocess
import sys
import time
import warnings
from pathlib import Path

import numpy as np
import torch

from transcription.audio import Audio, read_file
from transcription.config import InferenceConfig, ModelSettings
from transcription.diarization.pyannote import Diarizer, read_output
from transcription.diarization.result import Diarization


def main() -> None:
    """Print a line for each length and each way."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--diarization-model", required=True)
    parser.add_argument("--recording", type=Path, required=True)
    parser.add_argument("--minutes", type=float, nargs="+", default=[10, 60, 240])
    parser.add_argument("--ways", nargs="+", choices=["stretches", "whole"], default=["stretches", "whole"])
    parser.add_argument("--one", action="store_true", help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.one:
        print_one(options.diarization_model, options.recording, options.minutes[0], options.ways[0])
        return
    print("| minutes | way | memory of the call | CPU time | turns | speakers |\n|---|---|---|---|---|---|", flush=True)
    for minutes in options.minutes:
        for way in options.ways:
            arguments = ["--diarization-model", options.diarization_model, "--recording", str(options.recording)]
            arguments += ["--minutes", str(minutes), "--ways", way, "--one"]
            subprocess.run(
                [sys.executable, "-W", "ignore", "-m", "benchmarks.long_diarization", *arguments], check=True
            )


def print_one(model: str, recording: Path, minutes: float, way: str) -> None:
    """Print the line of one length and one way."""
    torch.set_num_threads(1)
    diarizer = Diarizer(ModelSettings(asr_model="none", diarization_model=model))
    once = read_file(recording).samples
    audio = Audio(np.resize(once, int(minutes * 60 * 16_000)))
    diarize(diarizer, Audio(once[: 60 * 16_000]), way)  # libraries are loaded by the first call
    before, started = resident_megabytes(), time.process_time()
    found = diarize(diarizer, audio, way)
    seconds, speakers = time.process_time() - started, len({turn.speaker for turn in found.turns})
    memory = peak_megabytes() - before
    print(f"| {minutes:g} | {way} | {memory:.0f} MB | {seconds:.0f} s | {len(found.turns)} | {speakers} |", flush=True)


def diarize(diarizer: Diarizer, audio: Audio, way: str) -> Diarization:
    """Return the diarization in stretches, or of one call of the pipeline."""
    if way == "stretches":
        return diarizer.diarize(audio, InferenceConfig())
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        file = {"waveform": torch.from_numpy(audio.samples)[None], "sample_rate": audio.sample_rate, "uri": "audio"}
        return read_output(diarizer.pipeline(file), {})


def resident_megabytes() -> float:
    """Return the resident memory of this process."""
    return int(Path("/proc/self/statm").read_text().split()[1]) * resource.getpagesize() / 1024**2


def peak_megabytes() -> float:
    """Return the peak of the resident memory of this process."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


if __name__ == "__main__":
    main()
