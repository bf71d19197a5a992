"""Compare the cluster with one process on the same two cores: `python -m benchmarks.cluster`.

The server in one process with two threads is compared with a cluster of one engine with two threads, and of two engines
with one thread each. They take turns. The benchmark measures requests per second by number of clients, a recording of
ten minutes, the cost of a request that does nothing, and what an HTTP server computes per second of audio. Times are
medians, ratios are medians of neighbouring runs.
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

from benchmarks.encoding import encoded
from benchmarks.engines import MODEL, long, short
from benchmarks.serving import transcribe_over_http
from benchmarks.timing import alternate, ratio
from tests.conftest import ROOT
from tests.test_audio import wav
from transcription.audio import SAMPLE_RATE, load_audio
from transcription.cluster.app import app
from transcription.cluster.arguments import ClusterArguments
from transcription.cluster.messages import WindowRequest
from transcription.cluster.replica_client import ReplicaClient
from transcription.config import InferenceConfig
from transcription.vad.chunking import windows

CALLS = 256


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--requests", type=int, default=64, help="per number of clients")
    options = parser.parse_args()
    os.environ["ASR_MODEL"] = str(MODEL)
    ray.init(num_cpus=8, include_dashboard=False, log_to_driver=False, logging_level=logging.ERROR)
    with one_process() as server, cluster() as servers:
        for engines in (1, 2):
            arguments = ClusterArguments(min_engines=engines, max_engines=engines, engine_cpus=2 / engines)
            serve.run(app(arguments), name="transcription", route_prefix="/")
            print(f"\n{engines} engines")
            compare(server, servers, options.rounds, options.requests)
        measure_calls(options.rounds)
    measure_server()


@contextlib.contextmanager
def one_process() -> Iterator[httpx.Client]:
    """Start the server in a process of its own, and yield a client of it."""
    port = free_port()
    process = subprocess.Popen(
        [sys.executable, "-m", "transcription.cli.serve"],
        cwd=ROOT, env=os.environ | {"PORT": str(port)}, stderr=subprocess.DEVNULL,
    )  # fmt: skip
    try:
        with httpx.Client(base_url=f"http://127.0.0.1:{port}", timeout=600) as client:
            wait_until_ready(client)
            yield client
    finally:
        process.terminate()
        process.wait()


@contextlib.contextmanager
def cluster() -> Iterator[httpx.Client]:
    """Start Ray Serve without an application, and yield a client of it."""
    port = free_port()
    serve.start(http_options={"host": "127.0.0.1", "port": port})
    with httpx.Client(base_url=f"http://127.0.0.1:{port}", timeout=600) as client:
        yield client
    serve.shutdown()  # type: ignore[no-untyped-call]


def free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as free:
        return int(free.getsockname()[1])


def wait_until_ready(client: httpx.Client) -> None:
    """Wait until the server has loaded its models."""
    while True:
        with contextlib.suppress(httpx.TransportError):
            if client.get("/ready").is_success:
                return
        time.sleep(0.5)


def compare(server: httpx.Client, cluster: httpx.Client, rounds: int, requests: int) -> None:
    """Print the times of one process and of the cluster, which take turns."""
    wait_until_ready(cluster)
    clip, talk = wav(short()[0]), encoded(long()[0], "flac")
    workloads: dict[str, tuple[int, Callable[..., object]]] = {
        "a request that does nothing": (5 * rounds, lambda client: client.get("/ready")),
        "7 s": (5 * rounds, partial(transcribe_over_http, file=clip)),
        "10 minutes": (rounds, partial(transcribe_over_http, file=talk)),
        f"{requests} × 7 s, 1 client": (1, partial(transcribe_all, file=clip, requests=requests, clients=1)),
        f"{requests} × 7 s, 4 clients": (rounds, partial(transcribe_all, file=clip, requests=requests, clients=4)),
        f"{requests} × 7 s, 16 clients": (rounds, partial(transcribe_all, file=clip, requests=requests, clients=16)),
    }
    print("| | one process | cluster | cluster ÷ one process |\n|---|---|---|---|")
    for name, (repeats, run) in workloads.items():
        server_times, cluster_times = alternate(repeats, partial(run, server), partial(run, cluster))
        medians = [f"{1000 * statistics.median(times):.1f} ms" for times in (server_times, cluster_times)]
        print(f"| {name} | {' | '.join(medians)} | {ratio(cluster_times, server_times):.2f} |", flush=True)


def transcribe_all(client: httpx.Client, file: bytes, requests: int, clients: int) -> None:
    """Transcribe a clip `requests` times, from several clients."""
    with ThreadPoolExecutor(clients) as pool:
        list(pool.map(lambda _: transcribe_over_http(client, file), range(requests)))


class Echo:
    """A replica that does nothing."""

    async def decode_window(self, request: WindowRequest) -> int:
        return len(request.samples)


def measure_calls(rounds: int) -> None:
    """Print the time to send a window of 30 s to a replica and to get an answer, one and 64 at a time."""
    client = ReplicaClient(
        serve.run(serve.deployment(max_ongoing_requests=1024)(Echo).bind(), name="echo", route_prefix=None)
    )
    request = WindowRequest("name", np.zeros(30 * SAMPLE_RATE, np.float32), InferenceConfig(), "en", False, 30.0)

    async def call_all(together: int) -> None:
        for _ in range(0, CALLS, together):
            await asyncio.gather(*(client.call("decode_window", request) for _ in range(together)))

    print("\n| call of a replica with a window of 30 s | ms each |\n|---|---|")
    for together in (1, 64):
        (times,) = alternate(rounds, lambda together=together: client.begin(call_all(together)).result())  # type: ignore[misc]
        print(f"| {together} at a time | {1000 * statistics.median(times) / CALLS:.1f} |")


def measure_server() -> None:
    """Print what an HTTP server computes and sends per second of audio, with one thread."""
    file, config = encoded(long()[0], "flac"), InferenceConfig()
    audio = load_audio(file)
    chunks = list(windows(audio.samples, config))
    requests = [WindowRequest("name", chunk.of(audio.samples), config, "en", False, 30.0) for chunk in chunks]
    pickled = [pickle.dumps(request, protocol=5) for request in requests]
    steps = {
        "decoding a flac": lambda: load_audio(file),
        "cutting at pauses": lambda: list(windows(audio.samples, config)),
        "pickling the windows": lambda: [pickle.dumps(request, protocol=5) for request in requests],
    }
    rate = sum(map(len, pickled)) / audio.duration / 1000
    print(f"\n{audio.duration:.0f} s of audio: {len(chunks)} windows, {rate:.0f} kB per second")
    print("| HTTP server, one thread | ms per second of audio |\n|---|---|")
    for name, call in steps.items():
        (times,) = alternate(5, call)
        print(f"| {name} | {1000 * statistics.median(times) / audio.duration:.3f} |")


if __name__ == "__main__":
    main()
