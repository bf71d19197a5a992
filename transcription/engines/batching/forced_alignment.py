"""Forced alignment: the decoder reads a given text, and the attention while it reads gives the words their times.

The text must have times already, from words that the model heard (whisper/text_alignment.py). They tell which part of
the recording belongs to which part of the text, and where its pauses are. From the attention to times it is the method
of openai/whisper (timing.py), as for words that the model writes.
"""

from collections import deque
from collections.abc import Iterator, Sequence
from concurrent.futures import Future
from itertools import pairwise
from typing import NamedTuple

from transcription.audio import SAMPLE_RATE, Audio, Samples
from transcription.config import InferenceConfig
from transcription.context import RequestContext
from transcription.engines.batching.longform import wait_for_any
from transcription.engines.batching.window import (
    SHORT_WINDOWS,
    DecodingRequest,
    Phrase,
    WindowDecoder,
    WindowOptions,
    WindowResult,
)
from transcription.transcript import Transcript, Word
from transcription.vad.activity import SpeechActivity
from transcription.whisper.text_alignment import Span, with_spans
from transcription.whisper.word_timing import place_words

_PADDING = 0.3  # seconds of audio before and after the words of a window
_MIN_PAUSE = 0.15  # seconds between two phrases
_MAX_MOVE = 0.5  # seconds by which a forced time may differ; one that differs more is a worse guess more often
_MIN_PROBABILITY = 0.01  # of a word that was heard, and of the words beside it
_MAX_TOKENS = 440  # of 448 positions; the others are the prompt's. A byte of text has one token at most
_PHRASE_TOKENS = 2  # its timestamps


class _Said(NamedTuple):
    """A word of the text that is said, its number in the text, and its language."""

    number: int
    word: Word
    language: str | None

    @property
    def bytes(self) -> int:
        """Length of its text."""
        return len(self.word.word.encode())


class _Window(NamedTuple):
    """Words that are forced together, and the start and end of their audio in seconds."""

    words: Sequence[_Said]
    start: float
    end: float

    def of(self, samples: Samples) -> Samples:
        """Return the samples of the window, from all samples of the audio."""
        return samples[round(self.start * SAMPLE_RATE) : round(self.end * SAMPLE_RATE)]

    def phrases(self) -> tuple[Phrase, ...]:
        """Return the words between pauses."""
        phrases: list[list[Word]] = []
        for _, word, _ in self.words:
            if not phrases or word.start - phrases[-1][-1].end >= _MIN_PAUSE:
                phrases.append([])
            phrases[-1].append(word)
        return tuple(
            Phrase(tuple(word.word for word in words), words[0].start - self.start, words[-1].end - self.start)
            for words in phrases
        )


def force_text(
    decoder: WindowDecoder, audio: Audio, aligned: Transcript, config: InferenceConfig, context: RequestContext
) -> Transcript:
    """Return a text that is aligned with audio at 16 kHz, with times from a decoder that is forced over it.

    A word that was heard as another gets the probability that the decoder gives to it after the words before it. A time
    stays as it is if the forced one differs by more than half a second. So does that of a word that was heard, if it or
    a word beside it is improbable: where the text is wrong, the decoder loses its place. So does what is not said.
    Raises EngineFailure, or Cancelled if the context is cancelled.
    """
    said = [
        _Said(number, word, segment.language)
        for number, (segment, word) in enumerate((part, word) for part in aligned.segments for word in part.words)
        if word.said
    ]
    windows = list(_windows(said, audio.duration, config.chunk_length_s))
    if not windows:
        return aligned
    spans = [Span(word.start, word.end, word.probability) if word.said else None for word in aligned.words]
    # What the text is must not depend on what else the request says about it.
    changes = {"language": aligned.language, "languages": (), "prompt": None, "keywords": (), "timestamps": "word"}
    request = DecodingRequest(
        config.model_copy(update=changes), aligned.language, context_tokens=[],
        is_short=len(windows) <= SHORT_WINDOWS, pending_seconds=sum(one.end - one.start for one in windows),
    )  # fmt: skip
    for window, result in _decoded(decoder, request, windows, audio.samples, context):
        activity = SpeechActivity.of(window.of(audio.samples))
        forced = [word for segment in place_words(result.segments, activity) for word in segment.words]
        probabilities = [1.0, *(word.probability or 0.0 for word in forced), 1.0]
        # A text that is too long has no words.
        for place, (one, word) in enumerate(zip(window.words, forced, strict=False)):
            is_sure = min(probabilities[place : place + 3]) >= _MIN_PROBABILITY
            spans[one.number] = _span(one.word, word, window.start, is_sure)
    return with_spans(aligned, spans)


def _span(matched: Word, forced: Word, offset: float, is_sure: bool) -> Span:
    """Return the span of a word.

    offset: of the window in which it was forced. is_sure: it is not among words that the decoder does not expect there.
    """
    start, end = forced.start + offset, forced.end + offset
    was_heard = matched.probability is not None
    if abs(start - matched.start) > _MAX_MOVE or (was_heard and not is_sure):
        start, end = matched.start, matched.end
    # What was heard has a better probability: that of a given word also depends on its spelling.
    return Span(start, end, matched.probability if was_heard else forced.probability)


def _decoded(
    decoder: WindowDecoder, request: DecodingRequest, windows: Sequence[_Window], samples: Samples,
    context: RequestContext,
) -> Iterator[tuple[_Window, WindowResult]]:  # fmt: skip
    """Yield the windows with their results, in order."""
    waiting, running = deque(windows), deque[tuple[_Window, Future[WindowResult]]]()
    try:
        while waiting or running:
            while waiting and len(running) < max(decoder.queue_limit(request), 1):
                window = waiting.popleft()
                language, phrases = window.words[0].language, window.phrases()
                options = WindowOptions(language, phrases=phrases)
                running.append((window, decoder.submit(request, window.of(samples), options)))
            wait_for_any([running[0][1]], context)
            window, future = running.popleft()
            yield window, future.result()
    finally:
        for _, future in running:
            future.cancel()


def _windows(said: Sequence[_Said], duration: float, max_seconds: float) -> Iterator[_Window]:
    """Yield windows of words, with some audio around them; a word that is too long for a window is left out."""
    if not said:
        return
    groups = list(_groups([one for one in said if _fits([one], max_seconds)], max_seconds))
    cuts = [(one[-1].word.end + other[0].word.start) / 2 for one, other in pairwise(groups)]
    for group, begin, finish in zip(groups, [0.0, *cuts], [*cuts, duration], strict=True):
        start, end = group[0].word.start - _PADDING, group[-1].word.end + _PADDING
        yield _Window(group, max(start, begin), min(end, finish))


def _groups(said: Sequence[_Said], max_seconds: float) -> Iterator[Sequence[_Said]]:
    """Yield words that fit in a window, cut at the longest pause in the last two thirds of what fits."""
    first = 0
    while first < len(said):
        last = first + 1
        while last < len(said) and _fits(said[first : last + 1], max_seconds):
            last += 1
        if last < len(said):
            pauses = {at: said[at].word.start - said[at - 1].word.end for at in range(first + 1, last + 1)}
            last = max(list(pauses)[(last - first) // 3 :], key=lambda at: (pauses[at], at))
        yield said[first:last]
        first = last


def _fits(words: Sequence[_Said], max_seconds: float) -> bool:
    """Return whether words can be forced together: one language, and short enough."""
    tokens = sum(one.bytes + _PHRASE_TOKENS for one in words)
    seconds = words[-1].word.end - words[0].word.start + 2 * _PADDING
    return words[0].language == words[-1].language and seconds <= max_seconds and tokens <= _MAX_TOKENS
