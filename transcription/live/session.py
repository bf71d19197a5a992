"""LiveSession: audio in, words and finished turns out.

A turn that goes on is decoded greedily again and again, one decoding at a time: if the engine is busy, there are fewer
of them, and no queue grows. A turn that has ended is decoded once more, as a file is.
"""

import threading
import uuid
from collections import deque
from collections.abc import Callable
from concurrent.futures import Executor, Future
from dataclasses import dataclass, field, replace

from transcription.audio import SAMPLE_RATE, Audio, Samples
from transcription.config import InferenceConfig
from transcription.context import RequestContext
from transcription.engines.batching.window import WindowResult
from transcription.errors import Cancelled, TranscriptionError
from transcription.live.events import (
    LiveEvent,
    SpeechStarted,
    SpeechStopped,
    TurnCommitted,
    TurnCompleted,
    TurnFailed,
    WordsAdded,
)
from transcription.live.stability import StableWords
from transcription.live.turns import Turn, TurnDetector, TurnSettings, TurnStarted
from transcription.transcriber import Transcriber, as_engine_failure
from transcription.transcript import Transcript, Word

_INTERVAL = SAMPLE_RATE // 2  # samples of new audio that are worth another decoding
_FIRST = SAMPLE_RATE  # samples of a turn before its first decoding
_MIN_LANGUAGE_SECONDS = 3.0  # a shorter turn has the language of the turns before it
_MAX_COMPRESSION = 2.4  # a decoding that repeats itself more is not shown


@dataclass(eq=False)
class _Item:
    """A turn and its stable words. previewed: samples of the session up to its last decoding."""

    name: str = field(default_factory=lambda: f"item_{uuid.uuid4().hex[:24]}")
    stable: StableWords = field(default_factory=StableWords)
    previewed: int = 0


class LiveSession:
    """One stream of audio. Its methods may be called from any thread."""

    def __init__(
        self, transcriber: Transcriber, config: InferenceConfig, turns: TurnSettings, threads: Executor,
        on_event: Callable[[LiveEvent], object],
    ) -> None:  # fmt: skip
        """Start in a pause.

        threads: decode turns that have ended. on_event: called from several threads, one at a time; it must return at
        once.
        """
        self._transcriber, self._threads, self._on_event = transcriber, threads, on_event
        self.config = config
        self._detector = TurnDetector(turns)
        self._item: _Item | None = None
        self._previous: str | None = None
        self._preview: Future[WindowResult] | None = None
        self._ended = deque[tuple[_Item, Turn]]()
        self._is_decoding = self._is_cancelled = False
        self._context = RequestContext()
        self._language: str | None = None
        self._changed = threading.Condition(threading.RLock())

    @property
    def pending(self) -> int:
        """Turns that have ended and are not completed."""
        return len(self._ended) + self._is_decoding

    @property
    def uncommitted_seconds(self) -> float:
        """Seconds of audio since the last turn."""
        return self._detector.uncommitted / SAMPLE_RATE

    def update(self, config: InferenceConfig, turns: TurnSettings) -> None:
        """Change the parameters. Raises InvalidRequest if the model cannot do what they ask for."""
        self._transcriber.check(config)
        with self._changed:
            self.config, self._detector.settings = config, turns

    def feed(self, samples: Samples) -> None:
        """Take more samples at 16 kHz, at most some seconds."""
        with self._changed:
            for event in self._detector.feed(samples):
                if isinstance(event, TurnStarted):
                    self._item = _Item()
                    if self._detects_ends:
                        self._on_event(SpeechStarted(self._item.name, event.start / SAMPLE_RATE))
                elif self._item is not None:
                    if self._detects_ends:
                        self._on_event(SpeechStopped(self._item.name, event.turn.end / SAMPLE_RATE))
                    self._end(event.turn)
            self._preview_turn()

    def commit(self) -> None:
        """End the turn now. In a pause, it is a turn without text."""
        with self._changed:
            self._end(self._detector.commit())

    def clear(self) -> None:
        """Forget the turn that goes on."""
        with self._changed:
            self._detector.clear()
            self._forget_item()

    def wait_for_room(self, turns: int) -> None:
        """Wait until fewer turns than these wait for their decoding."""
        with self._changed:
            self._changed.wait_for(lambda: self.pending < turns)

    def finish(self, timeout: float | None = None) -> None:
        """End the turn, if one goes on, and wait until all turns are completed, or so many seconds."""
        with self._changed:
            if self._detector.is_speaking:
                self.commit()
            self._changed.wait_for(lambda: self.pending == 0, timeout)

    def cancel(self) -> None:
        """End the session: nothing more is decoded, and there are no more events."""
        with self._changed:
            self._is_cancelled = True
            self._ended.clear()
            self.clear()
        self._context.cancel()

    @property
    def _detects_ends(self) -> bool:
        return self._detector.settings.silence is not None

    def _forget_item(self) -> _Item:
        item, self._item = self._item or _Item(), None
        preview, self._preview = self._preview, None
        if preview is not None:
            preview.cancel()
        return item

    def _end(self, turn: Turn) -> None:
        item = self._forget_item()
        self._on_event(TurnCommitted(item.name, self._previous))
        self._previous = item.name
        self._ended.append((item, turn))
        self._decode_next()

    def _config_for(self, seconds: float) -> InferenceConfig:
        """Return the config: a short turn says little about its language."""
        if self.config.language is None and self._language and seconds < _MIN_LANGUAGE_SECONDS:
            return self.config.model_copy(update={"language": self._language})
        return self.config

    def _preview_turn(self) -> None:
        """Decode the turn that goes on, if enough of it is new."""
        item, now = self._item, self._detector.received
        if item is None or self._preview is not None or now - item.previewed < _INTERVAL:
            return
        turn = self._detector.current()
        if turn is None or turn.end - turn.start < _FIRST or turn.speech_end <= item.previewed - _INTERVAL:
            return
        item.previewed = now
        try:
            prefix = "".join(word.word for word in item.stable.words)
            preview = self._transcriber.engine.preview(turn.samples, self._config_for(turn.seconds), prefix)
        except TranscriptionError:  # the decoding of the whole turn says what is wrong
            return
        self._preview = preview
        preview.add_done_callback(lambda future: self._on_preview(item, turn, future))

    def _on_preview(self, item: _Item, turn: Turn, future: Future[WindowResult]) -> None:
        with self._changed:
            if self._preview is not future:
                return
            self._preview = None
            if future.exception() is None:  # else the decoding of the whole turn says what is wrong
                new = item.stable.add(_words(future.result(), turn.start / SAMPLE_RATE), turn.end / SAMPLE_RATE)
                if new:
                    self._on_event(WordsAdded(item.name, new))
            self._preview_turn()

    def _decode_next(self) -> None:
        if self._ended and not self._is_decoding:
            self._is_decoding = True
            self._threads.submit(self._decode, *self._ended.popleft())

    def _decode(self, item: _Item, turn: Turn) -> None:
        """Decode a turn that has ended, in a thread. Whatever fails, the turn gets its last event."""
        events: list[LiveEvent]
        try:
            with as_engine_failure():
                events = self._completed(item, turn)
        except Cancelled:
            events = []
        except TranscriptionError as error:
            events = [TurnFailed(item.name, error)]
        with self._changed:
            self._is_decoding = False
            self._decode_next()
            self._changed.notify_all()
            for event in [] if self._is_cancelled else events:
                self._on_event(event)

    def _completed(self, item: _Item, turn: Turn) -> list[LiveEvent]:
        """Return the words of a turn that were not reported yet, and its transcript."""
        config = self._config_for(turn.seconds).model_copy(update={"timestamps": "word"})
        transcript = Transcript()
        if len(turn.samples):
            transcript = self._transcriber.transcribe(Audio(turn.samples), config, self._context)
        transcript = _shifted(transcript, turn.start / SAMPLE_RATE)
        if transcript.segments and turn.seconds >= _MIN_LANGUAGE_SECONDS:
            self._language = transcript.language
        rest = item.stable.rest(transcript.words)
        completed = TurnCompleted(item.name, transcript, turn.seconds)
        return [WordsAdded(item.name, rest), completed] if rest else [completed]


def _words(result: WindowResult, start: float) -> list[Word]:
    """Return the words of a decoding in seconds of the session, without text that repeats itself."""
    segments = [one for one in result.segments if (one.compression_ratio or 0.0) <= _MAX_COMPRESSION]
    return [
        replace(word, start=word.start + start, end=word.end + start) for segment in segments for word in segment.words
    ]


def _shifted(transcript: Transcript, seconds: float) -> Transcript:
    """Return a transcript whose segments and words are so many seconds later."""
    return replace(
        transcript,
        segments=tuple(
            replace(
                segment, start=segment.start + seconds, end=segment.end + seconds,
                words=tuple(
                    replace(word, start=word.start + seconds, end=word.end + seconds) for word in segment.words
                ),
            )
            for segment in transcript.segments
        ),
    )  # fmt: skip
