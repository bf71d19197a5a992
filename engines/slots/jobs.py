"""What the loop works on: requests, their windows, and what each window says."""

from collections import deque
from dataclasses import dataclass, field
from queue import SimpleQueue

from torch import Tensor

from audio import Samples
from config import InferenceConfig
from engines.whisper import Decoded

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
    """What one window says.

    chances: the probability of each of its tokens and of the end. attention: where the model looked for each
    of them (heads, tokens, frames), None unless word times are wanted.
    """

    number: int
    decoded: Decoded
    language: str | None
    chances: list[float]
    attention: Tensor | None


@dataclass(eq=False)
class Job:
    """One request.

    brief: it is short, and goes before others. eager: its first words are waited for; its windows enter a few at
    first, and more for each that is answered, so that the first does not wait until the last is encoded.
    language: None until it is known; `guess` is that of a window that may be silent. answers: each window's
    Answer, None when one has entered, or what went wrong.
    """

    config: InferenceConfig
    language: str | None
    brief: bool
    eager: bool = False
    guess: str | None = None
    language_probability: float | None = None
    answers: SimpleQueue[Answer | Exception | None] = field(default_factory=SimpleQueue)
    waiting: deque[Window] = field(default_factory=deque)
    running: int = 0
    answered: int = 0
    cancelled: bool = False
