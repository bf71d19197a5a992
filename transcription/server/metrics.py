"""Metrics: what Prometheus may know of the service."""

from collections.abc import Callable

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, generate_latest
from prometheus_client.core import CounterMetricFamily
from prometheus_client.registry import Collector

_SECONDS = (0.01, 0.03, 0.1, 0.3, 1, 3, 10, 30, 100, 300, 1000)
_FACTORS = (0.0003, 0.001, 0.003, 0.01, 0.03, 0.1, 0.3, 1, 2)


class Metrics:
    """One registry a server, so that several can live in one process."""

    def __init__(
        self, running: Callable[[], float], waiting: Callable[[], float], out_of_memory: Callable[[], float]
    ) -> None:
        self.registry = registry = CollectorRegistry()
        self.requests = Counter(
            "transcription_requests", "Answers by route and status", ["route", "status"], registry=registry
        )
        self.seconds = Histogram(
            "transcription_request_seconds", "First byte to last", ["route"], buckets=_SECONDS, registry=registry
        )
        self.stages = Histogram(
            "transcription_stage_seconds", "upload, queue, decode, transcribe", ["stage"],
            buckets=_SECONDS, registry=registry,
        )  # fmt: skip
        self.first_delta = Histogram(
            "transcription_first_delta_seconds", "Until a stream's first words", buckets=_SECONDS, registry=registry
        )
        self.audio = Counter("transcription_audio_seconds", "Seconds of audio transcribed", registry=registry)
        self.real_time_factor = Histogram(
            "transcription_real_time_factor", "Seconds of work per second of audio, of each request",
            buckets=_FACTORS, registry=registry,
        )  # fmt: skip
        self.refusals = Counter("transcription_refusals", "Requests refused", ["reason"], registry=registry)
        for name, text, value in (
            ("transcription_requests_running", "Requests worked on", running),
            ("transcription_requests_waiting", "Requests that wait for a place", waiting),
            ("vllm:num_requests_running", "As vLLM's production-stack router reads it", running),
            ("vllm:num_requests_waiting", "As vLLM's production-stack router reads it", waiting),
        ):
            Gauge(name, text, registry=registry).set_function(value)
        registry.register(_OutOfMemory(out_of_memory))

    def text(self) -> bytes:
        """In Prometheus' text format."""
        return generate_latest(self.registry)


class _OutOfMemory(Collector):
    """A counter that the engine keeps."""

    def __init__(self, count: Callable[[], float]) -> None:
        self._count = count

    def collect(self) -> list[CounterMetricFamily]:
        family = CounterMetricFamily("transcription_out_of_memory", "Times that the device's memory has run out")
        family.add_metric([], self._count())
        return [family]
