"""Fuzz the decoder: mutated recordings must give audio or one of the project's own errors.

    python -m benchmarks.audio_fuzz --cases 5000

Every batch of cases runs in a process of its own, so a crash or a hang is the failure of one case. A case is a number:
the same number always makes the same file, and --save writes it.
"""

import argparse
import io
import os
import subprocess
import sys
import time
import wave
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path

import numpy as np

from benchmarks.recordings import KINDS, SAMPLE_RATE, FloatArray, recording, sphere
from transcription.audio import AudioLimits, decode_audio
from transcription.errors import TranscriptionError

BATCH = 250
SECONDS_PER_CASE = 0.5  # on average over a batch, on a busy machine
START_SECONDS = 30.0
LIMITS = AudioLimits(max_seconds=120)


@dataclass
class Result:
    """What the cases gave: how many were decoded, how many were refused, and the failures by number."""

    decoded: int = 0
    refused: int = 0
    failures: dict[int, str] = field(default_factory=dict)


VIDEOS = ("mp4", "mkv", "flv", "ts", "wmv")
NAMES = (*KINDS, "sphere", "gsm", "stereo", "9 channels", *(f"{kind} with video" for kind in VIDEOS))


@cache
def original(name: str) -> bytes:
    """Return an undamaged recording: one of NAMES."""
    times = np.arange(SAMPLE_RATE) / SAMPLE_RATE
    mono = (0.4 * np.sin(2 * np.pi * (200 + 100 * times) * times)).astype(np.float32)
    made: dict[str, Callable[[], bytes]] = {
        "sphere": lambda: sphere(mono),
        "gsm": lambda: (b"\xd0" + bytes(range(32))) * 100,
        "stereo": lambda: recording(np.stack([mono, -mono]), "wav"),
        "9 channels": lambda: _wav(np.stack([mono] * 9)),
    }
    if name in made:
        return made[name]()
    if name.endswith(" with video"):
        return recording(mono, name.split(maxsplit=1)[0], offset=0.5, gaps={0.4: 1.0}, video_seconds=3.0)
    return recording(mono, name)


def _wav(samples: FloatArray) -> bytes:
    """Return a wav file of samples (channel, time)."""
    file = io.BytesIO()
    with wave.open(file, "wb") as out:
        out.setparams((len(samples), 2, SAMPLE_RATE, 0, "NONE", "not compressed"))
        out.writeframes((samples.T * 32767).astype("<i2").tobytes())
    return file.getvalue()


def case(number: int) -> tuple[str, bytes]:
    """Return the name and the bytes of a case: one to four mutations of a recording."""
    rng = np.random.default_rng(number)
    name = NAMES[number % len(NAMES)]
    data = original(name)
    for _ in range(int(rng.integers(1, 5))):
        data = MUTATIONS[int(rng.integers(len(MUTATIONS)))](rng, data)
    return name, data


def change_bytes(rng: np.random.Generator, data: bytes) -> bytes:
    """Overwrite up to 20 bytes, half of the time in the header."""
    changed = bytearray(data)
    end = min(len(data), 200) if rng.random() < 0.5 else len(data)
    for position in rng.integers(max(end, 1), size=int(rng.integers(1, 21))):
        if position < len(changed):
            changed[position] = int(rng.choice([0, 0x7F, 0x80, 0xFF, int(rng.integers(256))]))
    return bytes(changed)


def overwrite(rng: np.random.Generator, data: bytes) -> bytes:
    """Overwrite a range with random bytes."""
    start, length = int(rng.integers(len(data) + 1)), int(rng.integers(1, 1_000))
    return data[:start] + rng.bytes(len(data[start : start + length])) + data[start + length :]


def cut(rng: np.random.Generator, data: bytes) -> bytes:
    """Leave out a range, or everything after a position."""
    start, length = int(rng.integers(len(data) + 1)), int(rng.integers(1, 2_000))
    return data[:start] if rng.random() < 0.3 else data[:start] + data[start + length :]


def insert(rng: np.random.Generator, data: bytes) -> bytes:
    """Insert random bytes, or a range of the file once more."""
    start, length = int(rng.integers(len(data) + 1)), int(rng.integers(1, 2_000))
    other = int(rng.integers(len(data) + 1))
    inserted = rng.bytes(length) if rng.random() < 0.5 else data[other : other + length]
    return data[:start] + inserted + data[start:]


def join(rng: np.random.Generator, data: bytes) -> bytes:
    """Append another recording."""
    return data + original(NAMES[int(rng.integers(len(NAMES)))])


MUTATIONS: list[Callable[[np.random.Generator, bytes], bytes]] = [change_bytes, overwrite, cut, insert, join]


def decode_cases(start: int, stop: int, crash: int | None = None) -> None:
    """Decode cases in this process, and print a line before and after each. End the process at the case `crash`."""
    for number in range(start, stop):
        name, data = case(number)
        print("case", number, name, flush=True)
        if number == crash:
            os._exit(139)
        try:
            audio = decode_audio(data, LIMITS)
            is_audio = type(audio.duration) is float and bool(np.abs(audio.samples).max(initial=0.0) <= 1)
            print("decoded" if is_audio else "failed: samples or duration are not valid", flush=True)
        except TranscriptionError:
            print("refused", flush=True)
        except Exception as error:
            print(f"failed: {type(error).__name__}: {error}", flush=True)


def run_batch(start: int, stop: int, result: Result, *options: str) -> int:
    """Decode cases in another process, add what they gave, and return the number of the next case."""
    command = [sys.executable, "-m", "benchmarks.audio_fuzz", "--first", str(start), "--cases", str(stop - start)]
    timeout = START_SECONDS + SECONDS_PER_CASE * (stop - start)
    root = Path(__file__).parent.parent
    try:
        done = subprocess.run(
            [*command, "--here", *options], cwd=root, capture_output=True, text=True, timeout=timeout, check=False
        )
        output, cause = done.stdout, f"the process ended with {done.returncode}: {done.stderr[-500:]}"
    except subprocess.TimeoutExpired as error:
        output = error.stdout.decode() if isinstance(error.stdout, bytes) else error.stdout or ""
        cause = f"no answer within {timeout:g} s"
    lines = output.splitlines()
    number, name = start, "before the first case"
    for line in lines:
        if line.startswith("case "):
            number, name = int(line.split()[1]), line.split(maxsplit=2)[2]
        elif line.startswith("failed: "):
            result.failures[number] = f"{name}: {line.removeprefix('failed: ')}"
    result.decoded += lines.count("decoded")
    result.refused += lines.count("refused")
    if number == stop - 1 and not lines[-1].startswith("case "):
        return stop
    result.failures[number] = f"{name}: {cause}"
    return number + 1


def run(first: int, cases: int, *options: str) -> Result:
    """Decode cases, a batch in a process, with more options for that process."""
    result, number, stop = Result(), first, first + cases
    while number < stop:
        number = run_batch(number, min(number + BATCH, stop), result, *options)
    return result


def main() -> None:
    """Run the fuzz and exit with 1 if a case failed."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--cases", type=int, default=5_000, help="number of cases")
    parser.add_argument("--first", type=int, default=0, help="number of the first case")
    parser.add_argument("--save", type=Path, help="write the file of the first case to this path, and do no more")
    parser.add_argument("--here", action="store_true", help="decode in this process")
    parser.add_argument("--crash", type=int, help="end the process at this case, to test the report")
    options = parser.parse_args()
    if options.save:
        options.save.write_bytes(case(options.first)[1])
        return
    if options.here:
        decode_cases(options.first, options.first + options.cases, options.crash)
        return
    started = time.perf_counter()
    result = run(options.first, options.cases)
    for number, failure in result.failures.items():
        print(f"case {number}: {failure}")
    print(
        f"{options.cases} cases in {time.perf_counter() - started:.0f} s: {result.decoded} decoded, "
        f"{result.refused} refused, {len(result.failures)} failed"
    )
    sys.exit(1 if result.failures else 0)


if __name__ == "__main__":
    main()
