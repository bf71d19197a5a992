"""Row: a window while it is in a slot, and what comes out of the slot."""

import zlib
from dataclasses import dataclass, field

from torch import Tensor

from transcription.config import InferenceConfig
from transcription.engines.batching.beam_search import Beams
from transcription.engines.batching.window import Window, WindowResult
from transcription.whisper.decoding_result import DecodingResult, is_confirmed, preference


@dataclass(frozen=True)
class DecodedWindow:
    """The tokens of one window.

    attention: of the alignment heads (heads, tokens and the end of text, frames), None without word timestamps.
    """

    result: DecodingResult
    language: str | None
    attention: Tensor | None
    language_probability: float | None = None


@dataclass(eq=False)
class Row:
    """A window in its slot.

    attempt: index of its temperature. language_changes: seconds at which the window must be cut; it is not decoded.
    prefix: tokens of the window's prefix. context: tokens of the request's prompt. with_context: what was decoded with
    them, if they were then left out. failed: attempts at lower temperatures.
    """

    window: Window
    language: str | None = None
    prompt: list[int] = field(default_factory=list)
    prefix: list[int] = field(default_factory=list)
    no_speech_prob: float = 0.0
    attempt: int = 0
    language_probability: float | None = None
    language_changes: tuple[float, ...] = ()
    context: list[int] = field(default_factory=list)
    with_context: DecodedWindow | None = None
    failed: list[DecodedWindow] = field(default_factory=list)

    @property
    def config(self) -> InferenceConfig:
        """Parameters of its request."""
        return self.window.request.config

    @property
    def given_language(self) -> str | None:
        """Language that is not detected: of its request, or of the given text in this window."""
        return (self.window.options.language if self.window.options.phrases else None) or self.window.request.language

    @property
    def temperature(self) -> float:
        """Temperature of this attempt."""
        return self.config.temperature[self.attempt]

    @property
    def beams(self) -> Beams:
        """Beam search at temperature 0; a higher temperature samples one text."""
        size = self.config.beam_size or 1
        if size == 1 or self.temperature > 0:
            return Beams()
        return Beams(size, max(1, round(size * self.config.patience)), self.config.length_penalty)

    @property
    def seed(self) -> int:
        """Seed of this attempt: the same audio and request sample the same tokens. 0 if none is sampled."""
        if self.temperature == 0:
            return 0  # the checksum of a window takes a millisecond
        return zlib.crc32(self.window.samples.tobytes(), self.config.seed + self.attempt)

    @property
    def has_next_temperature(self) -> bool:
        """Whether another temperature is left."""
        return self.attempt + 1 < len(self.config.temperature)

    @property
    def has_another_attempt(self) -> bool:
        """Whether the window can be decoded again: without its prompt, or at the next temperature."""
        return bool(self.context) or self.has_next_temperature

    def choose(self, decoded: DecodedWindow) -> DecodedWindow:
        """Return the best of all attempts, or the one with the prompt if that one confirms it."""
        best = max([*self.failed, decoded], key=lambda attempt: preference(attempt.result, self.config))
        if self.with_context is not None and is_confirmed(self.with_context.result, best.result):
            return self.with_context
        return best

    def changes(self) -> WindowResult:
        """Return the result of a window that is to be cut where its language changes."""
        return WindowResult(
            (), language=self.language, language_probability=self.language_probability,
            language_changes=self.language_changes,
        )  # fmt: skip

    @property
    def is_short(self) -> bool:
        """Whether its request is short."""
        return self.window.request.is_short
