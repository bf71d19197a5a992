"""The seam between a request and what decodes its windows: samples in, a future of a WindowResult out.

It is the same in one process (engine.py) and over replicas (cluster/remote_dispatcher.py), and needs no torch.
"""

import contextlib
import logging
import uuid
from collections.abc import Callable
from concurrent.futures import Future, InvalidStateError
from dataclasses import dataclass, field
from typing import Protocol

from transcription.audio import SAMPLE_RATE, Samples
from transcription.config import InferenceConfig
from transcription.errors import EngineFailure
from transcription.transcript import Segment

logger = logging.getLogger(__name__)

SHORT_WINDOWS = 2
"""A request of at most so many windows is short."""


@dataclass(eq=False)
class DecodingRequest:
    """What the windows of one request share.

    language: None until it is known, and always with `language: multi`; language_guess comes from a window that may be
    silent.
    is_live: a live session waits for it; it goes before all others. is_short: it goes before long requests.
    is_streaming: its client waits for the first words.
    pending_seconds: of audio that is not being decoded yet. context_tokens: of its prompt, None until they are needed.
    running, finished: the number of its windows that are being decoded, and that are done.
    """

    config: InferenceConfig
    language: str | None = None
    is_short: bool = False
    is_live: bool = False
    is_streaming: bool = False
    pending_seconds: float = 0.0
    language_guess: str | None = None
    language_probability: float | None = None
    context_tokens: list[int] | None = None
    running: int = 0
    finished: int = 0
    name: str = field(default_factory=lambda: uuid.uuid4().hex)


@dataclass(frozen=True)
class WindowResult:
    """The segments of one window, with times in seconds from the start of the window.

    end: the last timestamp of the model, None without one. is_finished: whether the model's last segment ended; if not,
    it is left out of the segments, and the audio from `end` on must be decoded again. language: given or detected.
    language_probability: of a detected language. language_changes: seconds near which the language changes; such a
    window has no segments: it is to be cut there.
    """

    segments: tuple[Segment, ...]
    end: float | None = None
    is_finished: bool = True
    language: str | None = None
    language_probability: float | None = None
    language_changes: tuple[float, ...] = ()


@dataclass(frozen=True)
class Phrase:
    """Words of a given text between two pauses, and its start and end in seconds from the start of a window.

    Each word has the space before it, if there is one.
    """

    words: tuple[str, ...]
    start: float
    end: float


@dataclass(frozen=True)
class WindowOptions:
    """How one window is decoded.

    language: of the window that this one was a part of. It is kept unless another one is detected.
    has_timestamps: whether the model writes timestamps. Without them, more of its words are right, and it may leave out
    more of the speech. Such a window always has the times of its words, which show that.
    prefix: text of a window without timestamps that is known already. The decoder goes on behind it, and the result
    has all words. An engine may decode it again.
    phrases: of a given text, in order. The decoder reads them, and decodes nothing; the result has a segment with words
    for each, or no segment if they have more tokens than the decoder has positions.
    """

    language: str | None = None
    has_timestamps: bool = True
    prefix: str = ""
    phrases: tuple[Phrase, ...] = ()


DEFAULT_OPTIONS = WindowOptions()


@dataclass(eq=False)
class Window:
    """Up to 30 seconds of one request's audio at 16 kHz, and the future of its result."""

    request: DecodingRequest
    samples: Samples
    options: WindowOptions = DEFAULT_OPTIONS
    future: Future[WindowResult] = field(default_factory=Future)

    @property
    def continues(self) -> bool:
        """Whether it was a part of another window of its request, whose language it has."""
        return self.options.language is not None and not self.options.phrases

    @property
    def has_word_times(self) -> bool:
        """Whether the attention is recorded that gives the times of words."""
        return not self.options.has_timestamps or self.request.config.timestamps == "word"

    @property
    def seconds(self) -> float:
        """Duration in seconds."""
        return len(self.samples) / SAMPLE_RATE

    def resolve(self, result: WindowResult) -> None:
        """Set the result, unless the window was cancelled."""
        with contextlib.suppress(InvalidStateError):
            self.future.set_result(result)

    def resolve_with(self, read: Callable[[], WindowResult]) -> None:
        """Set what `read` returns; what goes wrong in it fails this window alone."""
        try:
            self.resolve(read())
        except Exception:
            logger.exception("the tokens of a window cannot be read")
            self.fail(EngineFailure("transcription failed inside the model: see the log"))

    def fail(self, error: Exception) -> None:
        """Set the error, unless the window was cancelled."""
        with contextlib.suppress(InvalidStateError):
            self.future.set_exception(error)


class WindowDecoder(Protocol):
    """Decodes windows: the loop of this process, or replicas elsewhere. It can be called from several threads."""

    def submit(
        self, request: DecodingRequest, samples: Samples, options: WindowOptions = DEFAULT_OPTIONS
    ) -> Future[WindowResult]:
        """Queue a window of a request, and return the future of its result.

        Cancelling the future frees the window's slot. The future raises a TranscriptionError.
        """
        ...

    def queue_limit(self, request: DecodingRequest) -> int:
        """Return how many windows of the request may be submitted and not finished."""
        ...
