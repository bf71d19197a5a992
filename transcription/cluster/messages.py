"""Messages between the HTTP servers and the engine replicas.

A refusal comes back as a value, because it is an answer and no failure of the replica.
"""

from dataclasses import dataclass

from transcription.audio import Samples
from transcription.config import InferenceConfig
from transcription.engines.batching.window import DEFAULT_OPTIONS, WindowOptions, WindowResult


@dataclass(frozen=True, eq=False)
class WindowRequest:
    """One window of a request.

    request: the name of the request, the same for all of its windows. language: None if this window is to tell it.
    audio_seconds: of audio that this window stands for: its own, its share of what its request has not sent yet, and
    of requests that wait for a place. Replicas are scaled by their sum. is_live: see window.DecodingRequest.
    """

    request: str
    samples: Samples
    config: InferenceConfig
    language: str | None
    is_short: bool
    audio_seconds: float
    is_live: bool = False
    options: WindowOptions = DEFAULT_OPTIONS


@dataclass(frozen=True)
class WindowResponse:
    """The result of a window, and the language of its request (see window.DecodingRequest)."""

    result: WindowResult
    language: str | None
    language_guess: str | None
    language_probability: float | None
    replica: str
