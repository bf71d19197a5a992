"""How many recognisers there should be: by the audio that waits, not by the requests."""

from typing import Any


class ByAudio:
    """A policy of Ray Serve: so many replicas that each has `seconds` of audio before it, at most.

    A request says little of the work it brings: five seconds or five hours. Its windows carry the audio that waits
    behind them, its own and that of requests which still wait at the door (replicas/wire.py); recognisers report the
    sum.
    """

    def __init__(self, seconds: float) -> None:
        self.seconds = seconds

    def __call__(self, context: Any) -> tuple[float, dict[str, Any]]:
        """context: ray.serve.config.AutoscalingContext. The wanted count; Ray keeps it within bounds and delays."""
        reported = context.aggregated_metrics.get("audio_seconds", {})
        return sum(reported.values()) / self.seconds, {}
