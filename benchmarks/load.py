"""Measure under load: `python -m benchmarks.load PART`, on any model and real clips.

busy: the server and the handler beside another process on the same cores, with OpenMP threads that wait passively (as
this package sets) or spin. clients: 16 clients of our server, and of faster-whisper's batched pipeline behind a lock.
long: a clip beside a long recording, and alone. soak: the memory of the server after each 100 requests.
Each contender runs in a process of its own.
"""

import argparse
import contextlib
import ctypes
import gc
import json
import os
import statistics
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path
from typing import Any

import httpx
import numpy as np

from benchmarks.engines import MODEL, ROOT, long, short
from benchmarks.speech.recordings import read_manifest
from benchmarks.timing import seconds_of
from tests.clients import TRANSCRIPTIONS
from tests.serving import serving
from tests.test_audio import wav
from transcription.audio import SAMPLE_RATE, Samples
from transcription.config import ModelSettings
from transcription.transcriber import Transcriber

CLIENTS, LONG_SECONDS = 16, 600
POLICIES = ("passive", "active")
BUSY = "while True: pass"
Send = Callable[[Samples], object]


def options_of(arguments: Sequence[str] | None) -> argparse.Namespace:
    """Return the options of the command."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("part", choices=("busy", "clients", "long", "soak"))
    parser.add_argument("--model", type=Path, default=MODEL, help="checkpoint (default: the demo)")
    parser.add_argument("--ct2", type=Path, help="the checkpoint for faster-whisper; without it, ours runs alone")
    parser.add_argument("--recordings", type=Path, help="manifest of clips (default: the sample of 7 s)")
    parser.add_argument("--longest", type=float, default=15.0, help="seconds of a clip (default: %(default)s)")
    parser.add_argument("--requests", type=int, help="default: 64 for clients, 20 for long, 5 for busy, 1000 for soak")
    parser.add_argument("--contender", choices=("server", "handler", "faster-whisper"), help=argparse.SUPPRESS)
    options = parser.parse_args(arguments)
    options.requests = options.requests or {"clients": 64, "long": 20, "busy": 5, "soak": 1000}[options.part]
    return options


def main(arguments: Sequence[str] | None = None) -> None:
    """Run the command."""
    options = options_of(arguments)
    if options.contender:
        print(json.dumps(CONTENDER_PARTS[options.part](options)))
    elif options.part == "busy":
        print_busy(options)
    elif options.part == "clients":
        print_clients(options)
    elif options.part == "long":
        print_long(options)
    else:
        soak(options)


def clips_of(options: argparse.Namespace) -> list[Samples]:
    """Return English clips of the manifest that are not too long, or the sample."""
    if options.recordings is None:
        return [short()[0]]
    chosen = [one for one in read_manifest(options.recordings) if one.group == "clean" and one.language == "en"]
    samples = (one.load() for one in chosen)
    return [one for one in samples if len(one) <= options.longest * SAMPLE_RATE]


@contextlib.contextmanager
def our_server(model: Path) -> Iterator[Send]:
    """Run our server in this process, its model loaded in a thread as always; yield a function that sends a clip."""
    settings = ModelSettings.from_environment(asr_model=str(model))
    with serving(lambda: Transcriber(settings)) as running, httpx.Client(base_url=running.url, timeout=3600) as client:

        def send(samples: Samples) -> str:
            response = client.post(TRANSCRIPTIONS, files={"file": ("audio.wav", wav(samples))}, data={"language": "en"})
            return str(response.raise_for_status().json()["text"])

        yield send


@contextlib.contextmanager
def our_handler(model: Path) -> Iterator[Send]:
    """Load the handler of an endpoint in the main thread."""
    from transcription.endpoint import EndpointHandler

    os.environ["ASR_MODEL"] = str(model)
    handler = EndpointHandler()
    yield lambda samples: handler({"inputs": wav(samples), "parameters": {"language": "en"}})


@contextlib.contextmanager
def locked_faster_whisper(ct2: Path) -> Iterator[Send]:
    """Load faster-whisper's batched pipeline, which one request at a time may use, without HTTP."""
    from faster_whisper import BatchedInferencePipeline, WhisperModel

    pipeline: Any = BatchedInferencePipeline(
        WhisperModel(str(ct2), device="cpu", compute_type="float32", cpu_threads=len(os.sched_getaffinity(0)))
    )
    lock = threading.Lock()

    def send(samples: Samples) -> str:
        with lock:
            return "".join(segment.text for segment in pipeline.transcribe(samples, language="en", batch_size=8)[0])

    yield send


def contender(options: argparse.Namespace) -> contextlib.AbstractContextManager[Send]:
    """Load the contender of this process."""
    if options.contender == "faster-whisper":
        return locked_faster_whisper(options.ct2)
    return {"server": our_server, "handler": our_handler}[options.contender](options.model)


def run(options: argparse.Namespace, name: str, **environment: str) -> dict[str, float]:
    """Measure a contender in a process of its own."""
    command = [sys.executable, "-m", "benchmarks.load", options.part, "--contender", name]
    for option in ("model", "ct2", "recordings", "longest", "requests"):
        value = getattr(options, option)
        command += [] if value is None else [f"--{option}", str(value)]
    process = subprocess.run(
        command, cwd=ROOT, env=os.environ | environment, stdout=subprocess.PIPE, text=True, check=True
    )
    result: dict[str, float] = json.loads(process.stdout.splitlines()[-1])
    return result


@contextlib.contextmanager
def busy_process() -> Iterator[None]:
    """Keep one core busy."""
    process = subprocess.Popen([sys.executable, "-c", BUSY])
    try:
        yield
    finally:
        process.kill()
        process.wait()


def measure_busy(options: argparse.Namespace) -> dict[str, float]:
    """Measure the first request and the later ones."""
    clip = clips_of(options)[0]
    with contender(options) as send:
        first = seconds_of(lambda: send(clip))
        later = statistics.median(seconds_of(lambda: send(clip)) for _ in range(options.requests))
    return {"first": first, "later": later}


def print_busy(options: argparse.Namespace) -> None:
    """Compare doors and policies, alone and beside a busy process."""
    heads = ("", "OMP_WAIT_POLICY", "first request", "later", "first, beside a busy process", "later")
    print(f"| {' | '.join(heads)} |\n{'|---' * len(heads)}|")
    for name in ("server", "handler"):
        for policy in POLICIES:
            alone = run(options, name, OMP_WAIT_POLICY=policy)
            with busy_process():
                beside = run(options, name, OMP_WAIT_POLICY=policy)
            cells = (f"{one[key]:.2f} s" for one in (alone, beside) for key in ("first", "later"))
            print(f"| {name} | {policy} | {' | '.join(cells)} |", flush=True)


def measure_clients(options: argparse.Namespace) -> dict[str, float]:
    """Let each of CLIENTS clients send its next clip when the last one is answered."""
    clips = clips_of(options)
    chosen = [clips[number % len(clips)] for number in range(options.requests)]
    with contender(options) as send, ThreadPoolExecutor(CLIENTS) as pool:
        send(clips[0])
        began = time.perf_counter()
        latencies = list(pool.map(lambda clip: seconds_of(lambda: send(clip)), chosen))
        seconds = time.perf_counter() - began
    audio = sum(map(len, chosen)) / SAMPLE_RATE
    return {"rate": len(chosen) / seconds, "speed": audio / seconds} | percentiles(latencies)


def percentiles(latencies: Sequence[float]) -> dict[str, float]:
    """Return the median and the 95th percentile."""
    return {"p50": statistics.median(latencies), "p95": statistics.quantiles(latencies, n=20, method="inclusive")[-1]}


def print_clients(options: argparse.Namespace) -> None:
    """Compare our server with faster-whisper."""
    print(f"| {CLIENTS} clients | requests per second | × real time | p50 | p95 |\n|---|---|---|---|---|")
    for name in ("server", "faster-whisper") if options.ct2 else ("server",):
        one = run(options, name)
        cells = f"{one['rate']:.2f} | {one['speed']:.1f} | {one['p50']:.2f} s | {one['p95']:.2f} s"
        print(f"| {name} | {cells} |", flush=True)


def print_long(options: argparse.Namespace) -> None:
    """Measure clips alone and beside a long recording, which starts again when it ends."""
    clips, stop = clips_of(options), threading.Event()
    chosen = [clips[number % len(clips)] for number in range(options.requests)]
    joined = np.concatenate(clips) if options.recordings else long()[0]
    recording = np.resize(joined, LONG_SECONDS * SAMPLE_RATE)
    with our_server(options.model) as send, ThreadPoolExecutor(1) as pool:
        send(chosen[0])
        alone = [seconds_of(partial(send, clip)) for clip in chosen]

        def send_recordings() -> None:
            while not stop.is_set():
                send(recording)

        background = pool.submit(send_recordings)
        time.sleep(3.0)  # until it is being decoded
        beside = [seconds_of(partial(send, clip)) for clip in chosen]
        stop.set()
        background.result()
    print("| clips | p50 | p95 |\n|---|---|---|")
    for name, times in (("alone", alone), (f"beside {LONG_SECONDS} s", beside)):
        one = percentiles(times)
        print(f"| {name} | {one['p50']:.2f} s | {one['p95']:.2f} s |")
    print(f"| ratio | {ratio(beside, alone, 'p50'):.2f} | {ratio(beside, alone, 'p95'):.2f} |")


def ratio(times: Sequence[float], baseline: Sequence[float], key: str) -> float:
    """Return the ratio of a percentile of two series."""
    return percentiles(times)[key] / percentiles(baseline)[key]


def soak(options: argparse.Namespace, step: int = 100) -> None:
    """Print the resident memory of the server after every 100 requests of CLIENTS clients."""
    clips = clips_of(options)
    step = min(step, options.requests)
    print("| requests | RSS, MB | after malloc_trim |\n|---|---|---|")
    with our_server(options.model) as send, ThreadPoolExecutor(CLIENTS) as pool:
        print(memory_row(0), flush=True)
        for done in range(0, options.requests, step):
            list(pool.map(send, [clips[(done + number) % len(clips)] for number in range(step)]))
            print(memory_row(done + step), flush=True)


def memory_row(requests: int) -> str:
    """Return a row: resident memory, and what is left when glibc returns the memory that nobody uses."""
    before = resident_memory()
    gc.collect()
    ctypes.CDLL("libc.so.6").malloc_trim(0)
    return f"| {requests} | {before:.0f} | {resident_memory():.0f} |"


def resident_memory() -> float:
    """Return the resident memory of this process in MB."""
    return int(Path("/proc/self/status").read_text().split("VmRSS:")[1].split()[0]) / 1024


CONTENDER_PARTS: dict[str, Callable[[argparse.Namespace], dict[str, float]]] = {
    "busy": measure_busy, "clients": measure_clients,
}  # fmt: skip


if __name__ == "__main__":
    main()
