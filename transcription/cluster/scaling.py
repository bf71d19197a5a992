"""AudioSecondsPolicy: the number of engines, by the audio that is pending."""

from typing import Any


class AudioSecondsPolicy:
    """A Ray Serve autoscaling policy: one engine for each `seconds_per_engine` of pending audio.

    The number of requests says little about the work: a request has five seconds of audio, or five hours. A window
    therefore counts for its own audio and for a share of the audio that waits behind it, in its request and in requests
    that wait for admission (`WindowRequest`). Engines report the sum.
    """

    def __init__(self, seconds_per_engine: float) -> None:
        self.seconds_per_engine = seconds_per_engine

    def __call__(self, context: Any) -> tuple[float, dict[str, Any]]:
        """Return the number of engines; Ray applies the bounds and delays. context: AutoscalingContext."""
        reported = context.aggregated_metrics.get("audio_seconds", {})
        return sum(reported.values()) / self.seconds_per_engine, {}
