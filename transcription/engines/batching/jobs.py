"""What is worked on: requests, their windows, and what each window says."""

from collections import deque
from dataclasses import dataclass, field
from queue import SimpleQueue
from typing import TYPE_CHECKING

from transcription.audio import Samples
from transcription.config import InferenceConfig
from transcription.transcript import Segment

if TYPE_CHECKING:  # a cluster's doors know jobs and load no model: they start sooner without what models need
    from torch import Tensor

    from transcription.whisper.checkpoint import DecodingResult

BRIEF = 2
"""Windows up to which a request counts as short."""


@dataclass(eq=False)
class Window:
    """A stretch of one request's audio, on its way through a slot."""

    job: "Job"
    number: int
    samples: Samples
    language: str | None = None
    prompt: list[int] = field(default_factory=list)
    no_speech_prob: float = 0.0
    attempt: int = 0  # on the temperature ladder

    @property
    def temperature(self) -> float:
        return self.job.config.temperature[self.attempt]


@dataclass(frozen=True)
class Answer:
    """A window's tokens.

    attention: where the model looked for each of them and for the end (heads, tokens, frames), None unless word
    times are wanted.
    """

    number: int
    decoded: "DecodingResult"
    language: str | None
    attention: "Tensor | None"


@dataclass(frozen=True)
class Heard:
    """What one window says, with times from its own start. resume: where in it the next one begins, None at its end."""

    number: int
    segments: tuple[Segment, ...]
    resume: float | None = None


@dataclass(eq=False)
class Share:
    """How many windows of one request are worked on."""

    running: int = 0


@dataclass(eq=False)
class Job:
    """One request, or a part of one: the parts of a request have one `share` together.

    brief: it is short, and goes before others. eager: its first words are waited for; its windows enter a few at
    first, and more for each that is answered, so that the first does not wait until the last is encoded.
    seconds: of its audio. language: None until it is known; `guess` is that of a window that may be silent.
    answers: what each window says, None when one has entered, or what went wrong.
    """

    config: InferenceConfig
    language: str | None
    brief: bool
    eager: bool = False
    seconds: float = 0.0
    share: Share = field(default_factory=Share)
    guess: str | None = None
    language_probability: float | None = None
    answers: SimpleQueue[Answer | Heard | Exception | None] = field(default_factory=SimpleQueue)
    waiting: deque[Window] = field(default_factory=deque)
    answered: int = 0
    cancelled: bool = False

    @property
    def running(self) -> int:
        """How many windows of the request are worked on."""
        return self.share.running

    @running.setter
    def running(self, count: int) -> None:
        self.share.running = count

    def may_enter(self, most: int, first: int, tells_language: bool) -> bool:
        """Whether its next window may be worked on beside those that are, `most` together.

        first: how many an eager one begins with. tells_language: a window says which language the others are in.
        """
        if not self.waiting or self.cancelled or self.running >= most:
            return False
        if self.language is None and tells_language and self.running:
            return False
        return not self.eager or self.running < first * (1 + self.answered)
