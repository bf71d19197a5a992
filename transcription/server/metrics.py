"""Metrics: counters and histograms of the service, for Prometheus."""

from collections.abc import Callable

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, generate_latest
from prometheus_client.core import CounterMetricFamily
from prometheus_client.registry import Collector

_SECOND_BUCKETS = (0.01, 0.03, 0.1, 0.3, 1, 3, 10, 30, 100, 300, 1000)
_FACTOR_BUCKETS = (0.0003, 0.001, 0.003, 0.01, 0.03, 0.1, 0.3, 1, 2)


class Metrics:
    """The metrics of one server, in a registry of its own: a process may have several servers."""

    def __init__(
        self,
        running: Callable[[], float],
        waiting: Callable[[], float],
        out_of_memory: Callable[[], float],
        sessions: Callable[[], float] = lambda: 0,
    ) -> None:
        self.registry = registry = CollectorRegistry()
        self.requests = Counter(
            "transcription_requests", "Responses by route and status", ["route", "status"], registry=registry
        )
        self.seconds = Histogram(
            "transcription_request_seconds",
            "Seconds from the first byte to the last",
            ["route"],
            buckets=_SECOND_BUCKETS,
            registry=registry,
        )
        self.stages = Histogram(
            "transcription_stage_seconds", "Seconds of upload, queue, decode and transcribe", ["stage"],
            buckets=_SECOND_BUCKETS, registry=registry,
        )  # fmt: skip
        self.first_delta = Histogram(
            "transcription_first_delta_seconds",
            "Seconds until the first text of a stream",
            buckets=_SECOND_BUCKETS,
            registry=registry,
        )
        self.audio = Counter("transcription_audio_seconds", "Seconds of audio transcribed", registry=registry)
        self.real_time_factor = Histogram(
            "transcription_real_time_factor", "Seconds of transcription per second of audio",
            buckets=_FACTOR_BUCKETS, registry=registry,
        )  # fmt: skip
        self.refusals = Counter("transcription_refusals", "Refused requests by reason", ["reason"], registry=registry)
        for name, text, value in (
            ("transcription_requests_running", "Requests that run", running),
            ("transcription_requests_waiting", "Requests that wait", waiting),
            ("transcription_live_sessions", "Live sessions", sessions),
            ("vllm:num_requests_running", "As vLLM's production-stack router reads it", running),
            ("vllm:num_requests_waiting", "As vLLM's production-stack router reads it", waiting),
        ):
            Gauge(name, text, registry=registry).set_function(value)
        registry.register(_OutOfMemory(out_of_memory))

    def text(self) -> bytes:
        """Return all metrics in the text format of Prometheus."""
        return generate_latest(self.registry)


class _OutOfMemory(Collector):
    """A counter whose value the engine keeps."""

    def __init__(self, count: Callable[[], float]) -> None:
        self._count = count

    def collect(self) -> list[CounterMetricFamily]:
        family = CounterMetricFamily("transcription_out_of_memory", "Times that the memory of the device ran out")
        family.add_metric([], self._count())
        return [family]
