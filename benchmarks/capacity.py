"""Estimate what a cluster of many GPUs transcribes: `python -m benchmarks.capacity`. See capacity.md.

The costs of an HTTP server were measured with `python -m benchmarks.cluster`. The speed of a GPU is an assumption.
"""

import math
from dataclasses import dataclass

WINDOW = 30.0  # seconds
BYTES_PER_SECOND = 64_000  # of audio, as it is sent to an engine: float32 at 16 kHz


@dataclass(frozen=True)
class ServerCost:
    """Seconds that one core of an HTTP server computes.

    per_second: per second of audio, to decode it and to cut it into windows. per_window: to send a window and to
    receive its text. per_request: for each request, including Ray's proxy.
    """

    per_second: float
    per_window: float
    per_request: float

    def throughput(self, length: float) -> float:
        """Return the seconds of audio per second of one core, for requests of `length` seconds."""
        windows = math.ceil(length / WINDOW)
        return length / (length * self.per_second + windows * self.per_window + self.per_request)


@dataclass(frozen=True)
class Plan:
    """A cluster for a number of GPUs.

    throughput: seconds of audio per second. gigabits: per second, between servers and engines. calls: of engines, per
    second. cost: dollars for 1,000 hours of audio.
    """

    gpus: int
    throughput: float
    servers: int
    gigabits: float
    calls: float
    cost: float


def plan(gpus: int, speed: float, length: float, server: ServerCost, gpu_price: float, core_price: float) -> Plan:
    """Return the plan for a number of GPUs.

    speed: seconds of audio per second of a GPU. length: of a request, in seconds. gpu_price, core_price: dollars per
    hour.
    """
    throughput = gpus * speed
    servers = math.ceil(throughput / server.throughput(length))
    hourly = gpus * gpu_price + servers * core_price
    calls = throughput / min(length, WINDOW)
    return Plan(gpus, throughput, servers, 8 * throughput * BYTES_PER_SECOND / 1e9, calls, 1000 * hourly / throughput)


MEASURED = ServerCost(per_second=0.0029, per_window=0.0062, per_request=0.008)
GPU_PRICE, CORE_PRICE = 3.0, 0.05  # dollars per hour


def main() -> None:
    for length, name in ((7.0, "7 s"), (600.0, "10 minutes")):
        heads = ("GPU speed, × real time", "hours per hour", "servers", "Gbit/s", "calls/s", "$ per 1,000 h")
        print(f"\n| requests of {name} | {' | '.join(heads)} |")
        print("|---|---|---|---|---|---|---|")
        for gpus in (10, 100, 1000):
            for speed in (50.0, 200.0):
                result = plan(gpus, speed, length, MEASURED, GPU_PRICE, CORE_PRICE)
                print(
                    f"| {gpus:,} GPUs | {speed:.0f} | {result.throughput:,.0f} | {result.servers:,} "
                    f"| {result.gigabits:.1f} | {result.calls:,.0f} | {result.cost:.2f} |"
                )


if __name__ == "__main__":
    main()
