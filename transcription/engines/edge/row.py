"""Row: a window while it is decoded."""

import zlib
from dataclasses import dataclass, field

from transcription.engines.batching.window import Window
from transcription.engines.edge.network import Array
from transcription.engines.edge.rules import State
from transcription.whisper.decoding_result import DecodingResult


@dataclass(eq=False)
class Row:
    """A window and its tokens so far.

    states: of the encoder (1, frames, width). attempt: index of its temperature. attention: of the alignment heads
    (heads, frames), one for each token. result: None until a temperature was good enough.
    """

    window: Window
    states: Array
    language: str | None = None
    language_probability: float | None = None
    no_speech_prob: float = 0.0
    prompt: list[int] = field(default_factory=list)
    attempt: int = 0
    tokens: list[int] = field(default_factory=list)
    logprobs: list[float] = field(default_factory=list)
    attention: list[Array] = field(default_factory=list)
    state: State = field(default_factory=lambda: State(timed=True))
    has_ended: bool = False
    result: DecodingResult | None = None

    @property
    def temperature(self) -> float:
        """Temperature of this attempt."""
        return self.window.request.config.temperature[self.attempt]

    @property
    def has_next_attempt(self) -> bool:
        """Whether another temperature is left."""
        return self.attempt + 1 < len(self.window.request.config.temperature)

    def begin(self) -> None:
        """Forget the tokens of the attempt before."""
        self.tokens, self.logprobs, self.attention, self.has_ended = [], [], [], False
        self.state = State(timed=self.window.request.config.timestamps != "none")

    def key(self) -> int:
        """Return what the next sampled token depends on: the audio, the request, and the position."""
        seed = zlib.crc32(self.window.samples.tobytes(), self.window.request.config.seed + self.attempt)
        return seed * 1_000_003 + len(self.prompt) + len(self.tokens) - 1
