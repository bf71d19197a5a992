"""Row: a window while it is decoded."""

import zlib
from dataclasses import dataclass, field

from transcription.engines.batching.window import Window
from transcription.engines.edge.network import Array
from transcription.engines.edge.rules import State
from transcription.whisper.decoding_result import DecodingResult


@dataclass(frozen=True)
class Decoded:
    """A result, and the attention of the alignment heads for each of its tokens, as in Row."""

    result: DecodingResult
    attention: list[Array]


@dataclass(eq=False)
class Row:
    """A window and its tokens so far.

    states: of the encoder (1, frames, width). attempt: index of its temperature. context: tokens of the request's
    prompt. attention: of the alignment heads (heads, frames), one for each token. with_context: what was decoded with
    the prompt, if it was then left out. failed: attempts at lower temperatures. decoded: what the window says, None
    until it is known.
    """

    window: Window
    states: Array
    language: str | None = None
    language_probability: float | None = None
    no_speech_prob: float = 0.0
    context: list[int] = field(default_factory=list)
    prompt: list[int] = field(default_factory=list)
    attempt: int = 0
    tokens: list[int] = field(default_factory=list)
    logprobs: list[float] = field(default_factory=list)
    attention: list[Array] = field(default_factory=list)
    state: State = field(default_factory=lambda: State(timed=True))
    has_ended: bool = False
    with_context: "Decoded | None" = None
    failed: list["Decoded"] = field(default_factory=list)
    decoded: "Decoded | None" = None

    @property
    def temperature(self) -> float:
        """Temperature of this attempt."""
        return self.window.request.config.temperature[self.attempt]

    @property
    def has_next_temperature(self) -> bool:
        """Whether another temperature is left."""
        return self.attempt + 1 < len(self.window.request.config.temperature)

    @property
    def has_another_attempt(self) -> bool:
        """Whether the window can be decoded again: without its prompt, or at the next temperature."""
        return bool(self.context) or self.has_next_temperature

    def begin(self) -> None:
        """Forget the tokens of the attempt before."""
        self.tokens, self.logprobs, self.attention, self.has_ended = [], [], [], False
        self.state = State(timed=self.window.options.has_timestamps)

    def key(self) -> int:
        """Return what the next sampled token depends on: the audio, the request, and the position."""
        seed = zlib.crc32(self.window.samples.tobytes(), self.window.request.config.seed + self.attempt)
        return seed * 1_000_003 + len(self.prompt) + len(self.tokens) - 1
