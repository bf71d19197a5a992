"""What a cluster costs and brings, beside one process: `python -m benchmarks.cluster`.

server.py in one process with two threads; the same on Ray with one recogniser of two threads, then with two of one
thread each: always the same two cores. All run at the same time and take turns. Requests per second by clients, a
recording of ten minutes, the cost of a request that does nothing, and what the door itself computes for each second of
audio. Times are medians, ratios are medians of neighbouring runs.
"""

import argparse
import asyncio
import contextlib
import logging
import os
import pickle
import socket
import statistics
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from functools import partial

import httpx
import numpy as np
import ray
from ray import serve

from benchmarks.engines import MODEL, long, short
from benchmarks.serving import transcribed
from benchmarks.timing import alternate as turns
from benchmarks.timing import ratio
from tests.conftest import ROOT
from tests.test_audio import wav
from tools.encoding import encoded
from transcription.audio import SAMPLE_RATE, load_audio
from transcription.cluster.app import Cluster, app
from transcription.cluster.messages import WindowRequest
from transcription.cluster.replica_client import ReplicaClient
from transcription.config import InferenceConfig
from transcription.vad.chunking import windows

CALLS = 256


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--requests", type=int, default=64, help="for each number of clients")
    options = parser.parse_args()
    os.environ["ASR_MODEL"] = str(MODEL)
    ray.init(num_cpus=8, include_dashboard=False, log_to_driver=False, logging_level=logging.ERROR)
    with one_process() as alone, cluster() as many:
        for recognisers in (1, 2):
            size = Cluster(min_recognisers=recognisers, max_recognisers=recognisers, recogniser_cpus=2 / recognisers)
            serve.run(app(size), name="transcription", route_prefix="/")
            print(f"\n{recognisers} recognisers")
            beside(alone, many, options.rounds, options.requests)
        of_a_call(options.rounds)
    of_the_door()


@contextlib.contextmanager
def one_process() -> Iterator[httpx.Client]:
    """server.py."""
    port = free_port()
    process = subprocess.Popen(
        [sys.executable, "-m", "transcription.cli.serve"],
        cwd=ROOT, env=os.environ | {"PORT": str(port)}, stderr=subprocess.DEVNULL,
    )  # fmt: skip
    try:
        with httpx.Client(base_url=f"http://127.0.0.1:{port}", timeout=600) as client:
            ready(client)
            yield client
    finally:
        process.terminate()
        process.wait()


@contextlib.contextmanager
def cluster() -> Iterator[httpx.Client]:
    """Ray Serve, before anything is deployed."""
    port = free_port()
    serve.start(http_options={"host": "127.0.0.1", "port": port})
    with httpx.Client(base_url=f"http://127.0.0.1:{port}", timeout=600) as client:
        yield client
    serve.shutdown()  # type: ignore[no-untyped-call]


def free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as free:
        return int(free.getsockname()[1])


def ready(client: httpx.Client) -> None:
    """Waits until it answers."""
    while True:
        with contextlib.suppress(httpx.TransportError):
            if client.get("/ready").is_success:
                return
        time.sleep(0.5)


def beside(alone: httpx.Client, many: httpx.Client, rounds: int, requests: int) -> None:
    """One process and the cluster, in turns."""
    ready(many)
    clip, talk = wav(short()[0]), encoded(long()[0], "flac")
    asked: dict[str, tuple[int, Callable[..., object]]] = {
        "a request that does nothing": (5 * rounds, lambda client: client.get("/ready")),
        "7 s": (5 * rounds, partial(transcribed, file=clip)),
        "10 minutes": (rounds, partial(transcribed, file=talk)),
        f"{requests} × 7 s, 1 client": (1, partial(all_of, file=clip, requests=requests, clients=1)),
        f"{requests} × 7 s, 4 clients": (rounds, partial(all_of, file=clip, requests=requests, clients=4)),
        f"{requests} × 7 s, 16 clients": (rounds, partial(all_of, file=clip, requests=requests, clients=16)),
    }
    print("| | one process | cluster | cluster ÷ one process |\n|---|---|---|---|")
    for name, (times, ask) in asked.items():
        one, other = turns(times, partial(ask, alone), partial(ask, many))
        shown = [f"{1000 * statistics.median(found):.1f} ms" for found in (one, other)]
        print(f"| {name} | {' | '.join(shown)} | {ratio(other, one):.2f} |", flush=True)


def all_of(client: httpx.Client, file: bytes, requests: int, clients: int) -> None:
    """So many clips from so many clients."""
    with ThreadPoolExecutor(clients) as pool:
        list(pool.map(lambda _: transcribed(client, file), range(requests)))


class Echo:
    """A replica that has nothing to do."""

    async def decode_window(self, message: WindowRequest) -> int:
        return len(message.samples)


def of_a_call(rounds: int) -> None:
    """What it costs to send a window of 30 s to a replica, one at a time and 64 at once."""
    calls = ReplicaClient(
        serve.run(serve.deployment(max_ongoing_requests=1024)(Echo).bind(), name="echo", route_prefix=None)
    )
    part = WindowRequest("name", np.zeros(30 * SAMPLE_RATE, np.float32), InferenceConfig(), "en", False, 30.0)

    async def many(together: int) -> None:
        for _ in range(0, CALLS, together):
            await asyncio.gather(*(calls.call("decode_window", part) for _ in range(together)))

    print("\n| a window's way to a replica and back | ms each |\n|---|---|")
    for together in (1, 64):
        (times,) = turns(rounds, lambda together=together: calls.begin(many(together)).result())  # type: ignore[misc]
        print(f"| {together} at a time | {1000 * statistics.median(times) / CALLS:.1f} |")


def of_the_door() -> None:
    """What a door does for each second of audio, on one core, and what it sends."""
    file, config = encoded(long()[0], "flac"), InferenceConfig()
    audio = load_audio(file)
    cuts = list(windows(audio.samples, config))
    parts = [WindowRequest("name", cut.of(audio.samples), config, "en", False, 30.0) for cut in cuts]
    wire = [pickle.dumps(part, protocol=5) for part in parts]
    work = {
        "decoding a flac": lambda: load_audio(file),
        "cutting at pauses": lambda: list(windows(audio.samples, config)),
        "pickling the windows": lambda: [pickle.dumps(part, protocol=5) for part in parts],
    }
    rate = sum(map(len, wire)) / audio.duration / 1000
    print(f"\n{audio.duration:.0f} s of audio: {len(cuts)} windows, {rate:.0f} kB for each second")
    print("| the door's work | ms for each second of audio |\n|---|---|")
    for name, call in work.items():
        (times,) = turns(5, call)
        print(f"| {name} | {1000 * statistics.median(times) / audio.duration:.3f} |")


if __name__ == "__main__":
    main()
