"""Measure a GPU: `python -m benchmarks.gpu --model DIR --recordings manifest.jsonl`.

Models of the sizes of large-v3-turbo and large-v3 have random weights and write the same hundred tokens in every
window, as in `benchmarks.base_size`. Real weights, if there are any, show that the text is that of the CPU. Each
contender runs in a process of its own; what fails or takes too long is a line of the table. `--device cpu --tiny` tries
it anywhere.
"""

import argparse
import json
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from dataclasses import asdict
from pathlib import Path

import torch

from benchmarks.engines import ROOT
from benchmarks.gpu.accuracy import accuracy_table, load_recordings
from benchmarks.gpu.contenders import CONTENDERS, Setup
from benchmarks.gpu.measure import Measurement, measure
from benchmarks.gpu.shapes import LARGE_V3, LARGE_V3_TURBO, TINY, Shape, make_models

TOKENS = 100  # of a window
_WITHOUT_ASSISTANT = tuple(name for name in CONTENDERS if "assistant" not in name)


def options_of(arguments: Sequence[str] | None) -> argparse.Namespace:
    """Return the options of the command."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--device", default="cuda", help="default: %(default)s")
    parser.add_argument("--dtype", default="bfloat16", help="default: %(default)s")
    parser.add_argument("--batches", default="1,8,32,128", help="batch sizes (default: %(default)s)")
    parser.add_argument(
        "--rounds",
        type=int,
        default=3,
        help="the fastest of so many rounds counts; the first ones warm up (default: %(default)s)",
    )
    parser.add_argument("--minutes", type=float, default=9.0, help="stop after so many (default: %(default)s)")
    parser.add_argument("--tiny", action="store_true", help="small shapes and batches, in this process")
    parser.add_argument("--model", type=Path, help="folder of real weights, for example whisper-base")
    parser.add_argument("--recordings", type=Path, help="manifest of recordings for --model")
    parser.add_argument("--limit", type=int, default=6, help="recordings of each group (default: %(default)s)")
    parser.add_argument("--contender", nargs=2, metavar=("NAME", "FOLDER"), help=argparse.SUPPRESS)
    return parser.parse_args(arguments)


def main(arguments: Sequence[str] | None = None) -> None:
    """Run the command."""
    options = options_of(arguments)
    batches = [1] if options.tiny else [int(batch) for batch in options.batches.split(",")]
    if options.contender:
        name, folder = options.contender
        setup = Setup(Path(folder), options.device, options.dtype, max(batches))
        for one in measure(name, setup, batches, options.rounds):
            print(json.dumps(asdict(one)), flush=True)
        return
    deadline = time.monotonic() + 60 * options.minutes
    print(f"{device_name(options.device)}, torch {torch.__version__}, {options.dtype}", flush=True)
    if options.model is not None:
        recordings = load_recordings(options.recordings, options.limit)
        print(f"\n{accuracy_table(options.model, recordings, options.device, options.dtype)}", flush=True)
    for shape in [TINY] if options.tiny else [LARGE_V3_TURBO, LARGE_V3]:
        with tempfile.TemporaryDirectory() as folder:
            make_models(shape, Path(folder), options.device)
            setup = Setup(Path(folder), options.device, options.dtype, max(batches))
            names = tuple(CONTENDERS) if shape.assistant_layers else _WITHOUT_ASSISTANT
            print(f"\n{table_head(shape)}", flush=True)
            for name in names:
                run = run_here if options.tiny else run_process
                for one in run(name, setup, batches, options.rounds, deadline):
                    print(table_row(shape, one), flush=True)


def device_name(device: str) -> str:
    """Return the name of a GPU, or that of the device."""
    return torch.cuda.get_device_name(device) if device.startswith("cuda") else device


def run_here(name: str, setup: Setup, batches: Sequence[int], rounds: int, deadline: float) -> Iterator[Measurement]:
    """Measure a contender in this process."""
    if time.monotonic() < deadline:
        yield from measure(name, setup, batches, rounds)


def run_process(name: str, setup: Setup, batches: Sequence[int], rounds: int, deadline: float) -> list[Measurement]:
    """Measure a contender in a process of its own, and return what it measured before it failed or the time was up."""
    command = [
        sys.executable, "-m", "benchmarks.gpu", "--contender", name, str(setup.folder), "--device", setup.device,
        "--dtype", setup.dtype, "--batches", ",".join(map(str, batches)), "--rounds", str(rounds),
    ]  # fmt: skip
    failure = ""
    with tempfile.TemporaryFile("w+") as output, tempfile.TemporaryFile("w+") as errors:
        try:
            left = max(deadline - time.monotonic(), 0.0)
            process = subprocess.run(command, stdout=output, stderr=errors, cwd=ROOT, timeout=left, check=False)
            if process.returncode:
                errors.seek(0)
                failure = (errors.read().strip().splitlines() or ["no message"])[-1]
        except subprocess.TimeoutExpired:
            failure = "the time was up"
        output.seek(0)
        found = [Measurement(**json.loads(line)) for line in output if line.startswith("{")]
    return (
        found
        if not failure
        else [*found, Measurement(name, batches[min(len(found), len(batches) - 1)], failure=failure)]
    )


def table_head(shape: Shape) -> str:
    """Return the head of the table of a shape."""
    names = (
        shape.name, "batch", "clips of 7 s a second", "long recording", "windows", "× real time",
        "limit of an H100", "acceptance", "GB",
    )  # fmt: skip
    return f"| {' | '.join(names)} |\n{'|---' * len(names)}|"


def table_row(shape: Shape, one: Measurement) -> str:
    """Return the row of a measurement."""
    if one.failure:
        return f"| {one.contender} | {one.batch} | {one.failure.replace('|', '/')} | | | | | | |"
    acceptance = "" if one.acceptance is None else f"{one.acceptance:.2f}"
    return (
        f"| {one.contender} | {one.batch} | {one.batch / one.clips_seconds:.2f} | {one.audio_seconds / 60:.0f} min "
        f"| {one.windows} | {one.audio_seconds / one.long_seconds:.0f} | {shape.bound(one.batch, TOKENS):.0f} "
        f"| {acceptance} | {one.memory:.1f} |"
    )


if __name__ == "__main__":
    main()
