"""What goes to a replica, and what comes back. A refusal comes back as a value: it is an answer, no failure."""

from dataclasses import dataclass

from transcription.audio import Samples
from transcription.config import InferenceConfig
from transcription.engines.batching.jobs import Heard


@dataclass(frozen=True, eq=False)
class WindowRequest:
    """One window of a request.

    request: a name of its own for each request. language: None where this window is to tell it. owed: seconds of
    audio for which this window stands: its own, and its share of what waits behind it, at the door too.
    """

    request: str
    number: int
    samples: Samples
    config: InferenceConfig
    language: str | None
    brief: bool
    owed: float


@dataclass(frozen=True)
class WindowResponse:
    """What a window says, and what it tells of the request's language (see engines.slots.jobs.Job)."""

    heard: Heard
    language: str | None
    guess: str | None
    language_probability: float | None
    replica: str
