"""Measure the service over HTTP: `python -m benchmarks.serving`.

Latency of a request compared with the same call in the process; requests per second and latency by number of clients;
the first words of a stream compared with its end; latency of /health beside 16 requests. The server runs in this
process, on loopback. Calls alternate; times are medians, and ratios are medians over rounds.
"""

import argparse
import statistics
import threading
import time
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import partial

import httpx

from benchmarks.engines import MODEL, long, short
from benchmarks.timing import alternate, ratio, seconds_of
from tests.clients import TRANSCRIPTIONS, events
from tests.serving import Running, serving, until
from tests.test_audio import wav
from transcription.audio import SAMPLE_RATE, load_audio
from transcription.config import InferenceConfig, ModelSettings
from transcription.transcriber import Transcriber

BUSY_REQUESTS = 16
HEALTH_CHECKS = 200


def main() -> None:
    """Run the command."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=21, help="rounds of the first table (default: %(default)s)")
    parser.add_argument("--requests", type=int, default=64, help="for each number of clients (default: %(default)s)")
    options = parser.parse_args()
    transcriber = Transcriber(ModelSettings.from_environment(asr_model=str(MODEL)))
    with serving(transcriber) as server, httpx.Client(base_url=server.url, timeout=600) as client:
        print_overhead(transcriber, client, options.rounds)
        print_throughput(client, options.requests)
        print_streaming(client)
        print_health(server, client)


def print_overhead(transcriber: Transcriber, client: httpx.Client, rounds: int) -> None:
    """Compare a request over HTTP with decoding and transcribing the same file in the process."""
    print("\n| file | in the process | over HTTP | difference | ratio |\n|---|---|---|---|---|")
    config = InferenceConfig(language="en", timestamps="segment", diarize=False)
    for name, samples in (("7 s", short()[0]), ("60 s", long()[0][: 60 * SAMPLE_RATE])):
        file = wav(samples)
        in_process, over_http = alternate(
            rounds,
            partial(transcribe_in_process, transcriber, file, config),
            partial(transcribe_over_http, client, file),
        )
        difference = statistics.median(b - a for a, b in zip(in_process, over_http, strict=True))
        print(
            f"| {name} | {_ms(statistics.median(in_process))} | {_ms(statistics.median(over_http))} "
            f"| {_ms(difference)} | {ratio(over_http, in_process):.3f} |"
        )


def print_throughput(client: httpx.Client, requests: int) -> None:
    """Send the same clip from several clients; each sends its next request when the last one is answered."""
    print("\n| clients | requests of 7 s per second | p50 | p95 |\n|---|---|---|---|")
    file = wav(short()[0])
    for clients in (1, 4, 16, 32):
        with ThreadPoolExecutor(clients) as pool:
            started = time.perf_counter()
            latencies = list(
                pool.map(lambda _: seconds_of(partial(transcribe_over_http, client, file)), range(requests))
            )
            rate = requests / (time.perf_counter() - started)
        print(f"| {clients} | {rate:.1f} | {statistics.median(latencies):.2f} s | {_percentile_95(latencies):.2f} s |")


def print_streaming(client: httpx.Client, rounds: int = 3) -> None:
    """Measure when the first words of a stream arrive, and when it ends."""
    first_words, ends = [], []
    for _ in range(rounds):
        started = time.perf_counter()
        files = {"file": ("long.wav", wav(long()[0]))}
        with client.stream("POST", TRANSCRIPTIONS, files=files, data={"language": "en", "stream": "true"}) as response:
            stream = events(response)
            next(stream)
            first_words.append(time.perf_counter() - started)
            assert list(stream)[-1]["type"] == "transcript.text.done"
        ends.append(time.perf_counter() - started)
    print("\n| 10 minutes, streamed | time |\n|---|---|")
    for name, times in (("first words", first_words), ("end", ends)):
        print(f"| {name} | {statistics.median(times):.2f} s |")


def print_health(server: Running, client: httpx.Client) -> None:
    """Measure the latency of /health while the server is idle and while it is busy."""
    print("\n| /health | p50 | p95 | slowest |\n|---|---|---|---|")
    file, admission = wav(long()[0][: 60 * SAMPLE_RATE]), server.service.admission
    stop = threading.Event()

    def check_health() -> object:
        return client.get("/health").raise_for_status()

    def send_requests() -> None:
        while not stop.is_set():
            transcribe_over_http(client, file)

    print(f"| idle | {_summary([seconds_of(check_health) for _ in range(HEALTH_CHECKS)])} |")
    with ThreadPoolExecutor(BUSY_REQUESTS) as pool:
        workers = [pool.submit(send_requests) for _ in range(BUSY_REQUESTS)]
        until(lambda: admission.running == BUSY_REQUESTS)
        latencies = [seconds_of(check_health) for _ in range(HEALTH_CHECKS)]
        stop.set()
    for worker in workers:
        worker.result()
    print(f"| beside {BUSY_REQUESTS} requests | {_summary(latencies)} |")


def transcribe_over_http(client: httpx.Client, file: bytes) -> str:
    """Return the text of a file from the service."""
    response = client.post(TRANSCRIPTIONS, files={"file": ("audio.wav", file)}, data={"language": "en"})
    return str(response.raise_for_status().json()["text"])


def transcribe_in_process(transcriber: Transcriber, file: bytes, config: InferenceConfig) -> str:
    """Return the text of a file without the service."""
    return transcriber.transcribe(load_audio(file, transcriber.limits), config).text


def _percentile_95(times: Sequence[float]) -> float:
    return statistics.quantiles(times, n=20, method="inclusive")[-1]


def _summary(times: Sequence[float]) -> str:
    """Return median, 95th percentile and maximum as cells of a table."""
    return " | ".join(_ms(seconds) for seconds in (statistics.median(times), _percentile_95(times), max(times)))


def _ms(seconds: float) -> str:
    return f"{1000 * seconds:.1f} ms"


if __name__ == "__main__":
    main()
