"""What the service over HTTP costs, and what it bears: `python -m benchmarks.serving`.

A request through the door against the same call in the process; requests per second and how long each takes, by
clients; a stream's first words against its last; how soon /health answers beside sixteen requests. The server runs in
this process, on loopback. Contenders take turns; times are medians, ratios are medians of neighbouring runs.
"""

import argparse
import statistics
import threading
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import partial

import httpx

from benchmarks.engines import MODEL, long, short
from benchmarks.slots import ratio, turns
from tests.clients import TRANSCRIPTIONS, events
from tests.serving import Running, serving, until
from tests.test_audio import wav
from transcription.audio import SAMPLE_RATE, load_audio
from transcription.config import InferenceConfig, ModelSettings
from transcription.transcriber import Transcriber

BESIDE = 16  # requests
ASKED = 200  # times, how it is


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=21)
    parser.add_argument("--requests", type=int, default=64, help="for each number of clients")
    options = parser.parse_args()
    transcriber = Transcriber(ModelSettings.from_environment(asr_model=str(MODEL)))
    with serving(transcriber) as server, httpx.Client(base_url=server.url, timeout=600) as client:
        cost_of_the_door(transcriber, client, options.rounds)
        by_clients(client, options.requests)
        first_words(client)
        health_beside(server, client)


def cost_of_the_door(transcriber: Transcriber, client: httpx.Client, rounds: int) -> None:
    """A request over HTTP, and what it is made of without HTTP: the file decoded and transcribed."""
    print("\n| file | in the process | over HTTP | difference | ratio |\n|---|---|---|---|---|")
    config = InferenceConfig(language="en", timestamps="segment", diarize=False)
    for name, samples in (("7 s", short()[0]), ("60 s", long()[0][: 60 * SAMPLE_RATE])):
        file = wav(samples)
        inside, outside = turns(
            rounds,
            partial(inside_the_process, transcriber, file, config),
            partial(transcribed, client, file),
        )
        more = statistics.median(b - a for a, b in zip(inside, outside, strict=True))
        print(
            f"| {name} | {_ms(statistics.median(inside))} | {_ms(statistics.median(outside))} | {_ms(more)} "
            f"| {ratio(outside, inside):.3f} |"
        )


def by_clients(client: httpx.Client, requests: int) -> None:
    """The same clip from more and more clients, each of whom sends the next when the last is answered."""
    print("\n| clients | requests of 7 s per second | p50 | p95 |\n|---|---|---|---|")
    file = wav(short()[0])
    for clients in (1, 4, 16, 32):
        with ThreadPoolExecutor(clients) as pool:
            began = time.perf_counter()
            each = list(pool.map(lambda _: _seconds(partial(transcribed, client, file)), range(requests)))
            rate = requests / (time.perf_counter() - began)
        print(f"| {clients} | {rate:.1f} | {statistics.median(each):.2f} s | {_nearly_all(each):.2f} s |")


def first_words(client: httpx.Client, rounds: int = 3) -> None:
    """When a stream's first words have come, and when it has ended."""
    firsts, wholes = [], []
    for _ in range(rounds):
        began = time.perf_counter()
        sent = {"file": ("long.wav", wav(long()[0]))}
        with client.stream("POST", TRANSCRIPTIONS, files=sent, data={"language": "en", "stream": "true"}) as answer:
            coming = events(answer)
            next(coming)
            firsts.append(time.perf_counter() - began)
            assert list(coming)[-1]["type"] == "transcript.text.done"
        wholes.append(time.perf_counter() - began)
    print("\n| 10 minutes, streamed | time |\n|---|---|")
    for name, times in (("first words", firsts), ("all", wholes)):
        print(f"| {name} | {statistics.median(times):.2f} s |")


def health_beside(server: Running, client: httpx.Client) -> None:
    """How soon /health answers while nothing, and while much is being decoded."""
    print("\n| /health | p50 | p95 | slowest |\n|---|---|---|---|")
    file, door = wav(long()[0][: 60 * SAMPLE_RATE]), server.service.admission
    stopped = threading.Event()

    def healthy() -> object:
        return client.get("/health").raise_for_status()

    def work() -> None:
        while not stopped.is_set():
            transcribed(client, file)

    print(f"| beside nothing | {_spread([_seconds(healthy) for _ in range(ASKED)])} |")
    with ThreadPoolExecutor(BESIDE) as pool:
        working = [pool.submit(work) for _ in range(BESIDE)]
        until(lambda: door.running == BESIDE)
        found = [_seconds(healthy) for _ in range(ASKED)]
        stopped.set()
    for one in working:
        one.result()
    print(f"| beside {BESIDE} requests | {_spread(found)} |")


def transcribed(client: httpx.Client, file: bytes) -> str:
    """The text that the service hears in a file."""
    answer = client.post(TRANSCRIPTIONS, files={"file": ("audio.wav", file)}, data={"language": "en"})
    return str(answer.raise_for_status().json()["text"])


def inside_the_process(transcriber: Transcriber, file: bytes, config: InferenceConfig) -> str:
    """The same without the service."""
    return transcriber.transcribe(load_audio(file, transcriber.limits), config).text


def _seconds(call: Callable[[], object]) -> float:
    began = time.perf_counter()
    call()
    return time.perf_counter() - began


def _nearly_all(times: Sequence[float]) -> float:
    """What 95 of 100 stay under."""
    return statistics.quantiles(times, n=20, method="inclusive")[-1]


def _spread(times: Sequence[float]) -> str:
    return " | ".join(_ms(one) for one in (statistics.median(times), _nearly_all(times), max(times)))


def _ms(seconds: float) -> str:
    return f"{1000 * seconds:.1f} ms"


if __name__ == "__main__":
    main()
