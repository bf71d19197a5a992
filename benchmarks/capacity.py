"""What a cluster of many GPUs serves, on paper: `python -m benchmarks.capacity`; capacity.md says how it is meant.

Every number of this machine below comes from `python -m benchmarks.cluster`. How fast a GPU is, is an assumption.
"""

import math
from dataclasses import dataclass

WINDOW = 30.0  # seconds
SAMPLES = 64_000  # bytes of a second of audio, as it goes to a recogniser


@dataclass(frozen=True)
class AdmissionController:
    """What one core of a door computes, in seconds.

    second: for each second of audio, to decode it and to cut it. window: to send one and to get its answer. request:
    for each request, the proxy's part included.
    """

    second: float
    window: float
    request: float

    def audio(self, length: float) -> float:
        """Seconds of audio in a second of a core, in requests of this length."""
        windows = math.ceil(length / WINDOW)
        return length / (length * self.second + windows * self.window + self.request)


@dataclass(frozen=True)
class Plan:
    """What so many GPUs take."""

    gpus: int
    audio: float  # seconds of it in a second
    doors: int
    gigabits: float  # a second, between doors and recognisers
    calls: float  # a second
    cost: float  # of 1,000 hours of audio


def plan(
    gpus: int, speed: float, length: float, door: AdmissionController, gpu_price: float, core_price: float
) -> Plan:
    """speed: seconds of audio that a GPU transcribes in a second. length: of a request, in seconds. Prices an hour."""
    audio = gpus * speed
    doors = math.ceil(audio / door.audio(length))
    hourly = gpus * gpu_price + doors * core_price
    calls = audio / min(length, WINDOW)
    return Plan(gpus, audio, doors, 8 * audio * SAMPLES / 1e9, calls, 1000 * hourly / audio)


MEASURED = AdmissionController(second=0.0029, window=0.0062, request=0.008)
GPU_PRICE, CORE_PRICE = 3.0, 0.05  # dollars


def main() -> None:
    for length, told in ((7.0, "7 s"), (600.0, "10 minutes")):
        print(f"\n| requests of {told} | a GPU, × real time | hours an hour | doors | Gbit/s | calls/s | $ a 1,000 h |")
        print("|---|---|---|---|---|---|---|")
        for gpus in (10, 100, 1000):
            for speed in (50.0, 200.0):
                found = plan(gpus, speed, length, MEASURED, GPU_PRICE, CORE_PRICE)
                print(
                    f"| {gpus:,} GPUs | {speed:.0f} | {found.audio:,.0f} | {found.doors:,} | {found.gigabits:.1f} "
                    f"| {found.calls:,.0f} | {found.cost:.2f} |"
                )


if __name__ == "__main__":
    main()
