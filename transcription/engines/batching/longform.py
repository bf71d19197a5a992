"""LongFormTranscriber: audio of any length as windows, decoded in parallel or one after the other, joined in order.

A window is decoded without timestamps, and again with them if its words miss speech: see docs/decoding.md.
Voice activity detection is the evidence: a window without speech has no text and is not decoded, a segment without
speech is dropped, speech between and behind the segments of a window is decoded again, and speech that is left without
text is reported.
"""

from collections.abc import Generator, Iterator, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, wait
from contextlib import closing
from dataclasses import dataclass, replace
from typing import Any

from transcription.audio import SAMPLE_RATE, Audio, Samples
from transcription.config import InferenceConfig
from transcription.context import RequestContext
from transcription.engines.batching.window import (
    SHORT_WINDOWS,
    DecodingRequest,
    WindowDecoder,
    WindowOptions,
    WindowResult,
)
from transcription.transcript import Segment, Transcript, spoken_languages
from transcription.vad.activity import Interval, SpeechActivity
from transcription.vad.chunking import Chunk, windows
from transcription.vad.coverage import MIN_UNCERTAIN, account_for, coverage_warnings, uncovered
from transcription.whisper.capabilities import Capabilities
from transcription.whisper.word_timing import place_words

_EVIDENCE_TOLERANCE = 1.0  # seconds around a segment in which all speech counts as its evidence
_MAX_BYTES_PER_SECOND = 60  # of UTF-8 text; fast speech has 20 in Latin script and Chinese, 30 in Cyrillic
_MIN_PROGRESS = 1.0  # seconds of a window that must have text before its rest is decoded: else it could go on for ever
_MIN_REST = 0.2  # seconds of speech that are worth another window, behind an unfinished segment
_MIN_FINISHED_REST = 1.0  # likewise, behind a finished segment: its end may be early by some words
_MIN_GAP = 1.0  # likewise, between two segments
_GAP_PADDING = 0.2  # seconds that are added to such a gap on both sides
_MAX_WORD = 1.5  # seconds of speech in one word; more of it was left out
_MAX_OUTSIDE = 0.5  # seconds of speech before the first word, and behind the last one
_CHANGE_TOLERANCE = 4.0  # seconds between the time at which a change of language is found and its pause


@dataclass(eq=False)
class _Part:
    """A window, its speech, and the future of its result.

    start, end: the part of the window whose segments are meant, in seconds; the rest is in other parts. is_gap: it lies
    between the segments of another window. has_timestamps: see WindowOptions. was_continued: speech without text in it
    was submitted again.
    """

    chunk: Chunk
    activity: SpeechActivity
    future: Future[WindowResult]
    start: float = 0.0
    end: float = float("inf")
    is_gap: bool = False
    has_timestamps: bool = True
    was_continued: bool = False

    def segments(self) -> list[Segment]:
        """Return the segments where somebody speaks, their words moved into the speech, in seconds of the window."""
        rest = self.rest_start()
        end = min(self.end, self.chunk.seconds if rest is None else rest)
        return place_words(self._spoken_segments(), self.activity, self.start, end)

    def _spoken_segments(self) -> list[Segment]:
        segments = self.future.result().segments
        return [one for one in segments if self.start <= one.start < self.end and self._is_spoken(one)]

    def _is_spoken(self, segment: Segment) -> bool:
        """Return whether there is enough speech for the text of a segment."""
        speech = self.activity.possible_speech_seconds(
            segment.start - _EVIDENCE_TOLERANCE, segment.end + _EVIDENCE_TOLERANCE
        )
        return speech > 0 and len(segment.text.encode()) <= _MAX_BYTES_PER_SECOND * speech

    def misses_speech(self) -> bool:
        """Return whether the model, without timestamps, left speech out.

        The attention puts such speech into the word beside it, or before or behind all words.
        """
        words = [word for segment in self.future.result().segments for word in segment.words]
        if not words:
            return self.activity.speech_seconds() > _MAX_OUTSIDE
        longest = max(self.activity.speech_seconds(word.start, word.end) for word in words)
        before, behind = self.activity.speech_seconds(0.0, words[0].start), self.activity.speech_seconds(words[-1].end)
        return longest > _MAX_WORD or max(before, behind) > _MAX_OUTSIDE

    def rest_start(self) -> float | None:
        """Return the second in the window from which on speech was not decoded; None if all of it was."""
        result = self.future.result()
        if result.end is None or not _MIN_PROGRESS <= result.end < self.chunk.seconds:
            return None
        min_speech = _MIN_FINISHED_REST if result.is_finished else _MIN_REST
        return result.end if self.activity.speech_seconds(result.end) >= min_speech else None

    def gaps(self, end: float) -> list[Interval]:
        """Return the speech before `end` that no segment covers, in seconds of the window."""
        if self.is_gap or not self.future.result().segments:
            return []
        speech = [(start, min(finish, end)) for start, finish in self.activity.intervals(_MIN_GAP) if start < end]
        return uncovered(speech, [(segment.start, segment.end) for segment in self._spoken_segments()], _MIN_GAP)


Parts = Generator[_Part, None, None]
"""The decoded windows of a request, in order."""


class LongFormTranscriber:
    """Audio in, transcript out, over anything that decodes windows. It can be called from several threads."""

    def __init__(self, decoder: WindowDecoder, capabilities: Capabilities) -> None:
        """Use a decoder whose model has these capabilities."""
        self._decoder, self._capabilities = decoder, capabilities

    def transcribe(self, audio: Audio, config: InferenceConfig, context: RequestContext) -> Transcript:
        """Return the transcript of audio at 16 kHz.

        Raises InvalidRequest, EngineFailure, or Cancelled if the context is cancelled.
        """
        config = config.model_copy(update={"beam_size": self._capabilities.beam_size(config)})
        request = DecodingRequest(
            config, self._capabilities.check(config), is_short=audio.duration <= SHORT_WINDOWS * config.chunk_length_s,
            is_streaming=context.is_streaming, pending_seconds=audio.duration,
        )  # fmt: skip
        recording = _Recording(self._decoder, audio.samples, request, context)
        segments, text = list[Segment](), list[Interval]()
        probabilities: dict[str, float | None] = {}
        with closing(recording.sequential() if config.sequential else recording.parallel()) as parts:
            for part in parts:
                spoken = part.segments()
                new = [part.chunk.to_recording_time(segment) for segment in spoken]
                if config.timestamps != "word":
                    new = [replace(segment, words=()) for segment in new]
                segments += new
                text += [span for segment in spoken for span in part.chunk.spans(segment.start, segment.end)]
                if new:
                    probabilities.setdefault(new[0].language or "", part.future.result().language_probability)
                context.report_segments(new)
                context.report_progress("transcribe", part.chunk.end / SAMPLE_RATE, audio.duration)
        context.report_progress("transcribe", audio.duration, audio.duration)
        language = next(iter(spoken_languages(segments)), request.language or request.language_guess)
        coverage = account_for(audio.duration, recording.speech, text)
        return Transcript(
            tuple(segments), language, audio.duration, config.task,
            probabilities.get(language or "", request.language_probability), partial=audio.partial,
            warnings=coverage_warnings(coverage), coverage=coverage,
        )  # fmt: skip

    def preview(self, samples: Samples, config: InferenceConfig, prefix: str = "") -> Future[WindowResult]:
        """Queue up to 30 s of speech that goes on, and return the future of its words (engines.Engine)."""
        # `sequential`: the window is not cut where the language changes.
        greedy = {"beam_size": 1, "temperature": (0.0,), "timestamps": "word", "sequential": True}
        config = config.model_copy(update=greedy)
        request = DecodingRequest(config, self._capabilities.check(config), is_short=True, is_live=True)
        return self._decoder.submit(request, samples, WindowOptions(has_timestamps=False, prefix=prefix))


class _Recording:
    """One recording while its windows are decoded.

    speech: intervals of clear speech so far, in seconds of the recording.
    """

    def __init__(
        self, decoder: WindowDecoder, samples: Samples, request: DecodingRequest, context: RequestContext
    ) -> None:
        self._decoder, self._samples, self._request, self._context = decoder, samples, request, context
        self.speech: list[Interval] = []

    def parallel(self) -> Parts:
        """Yield each window as soon as it and those before it are done."""
        chunks = windows(self._samples, self._request.config)
        parts: list[_Part] = []
        try:
            while True:
                while self._has_room(parts) and (chunk := next(chunks, None)) is not None:
                    parts.append(self._submit_window(chunk))
                if not parts:
                    return
                wait_for_any([part.future for part in parts if not part.future.done()], self._context)
                for index in reversed(range(len(parts))):
                    if parts[index].future.done() and not parts[index].was_continued:
                        parts[index : index + 1] = self._continue(parts[index])
                while parts and parts[0].was_continued:
                    yield parts.pop(0)
        finally:
            for part in parts:
                part.future.cancel()

    def sequential(self) -> Parts:
        """Yield windows that each begin where the last finished segment of the one before ends (openai/whisper)."""
        start, length = 0, int(self._request.config.chunk_length_s * SAMPLE_RATE)
        while start < len(self._samples):
            part = self._submit_window(Chunk(((start, min(start + length, len(self._samples))),)))
            try:
                wait_for_any([part.future], self._context)
            finally:
                part.future.cancel()
            rest = part.rest_start()
            start = part.chunk.end if rest is None else start + round(rest * SAMPLE_RATE)
            yield part

    def _has_room(self, parts: Sequence[_Part]) -> bool:
        return sum(not part.future.done() for part in parts) < self._decoder.queue_limit(self._request)

    def _submit_window(self, chunk: Chunk) -> _Part:
        activity = SpeechActivity.of(chunk.of(self._samples))
        intervals = activity.intervals(MIN_UNCERTAIN)
        self.speech += [span for start, end in intervals for span in chunk.spans(start, end)]
        return self._submit(chunk, activity, has_timestamps=self._request.config.sequential)

    def _submit(
        self, chunk: Chunk, activity: SpeechActivity, is_gap: bool = False, language: str | None = None,
        has_timestamps: bool = True,
    ) -> _Part:  # fmt: skip
        if activity.has_speech():
            future = self._decoder.submit(
                self._request, chunk.of(self._samples), WindowOptions(language, has_timestamps)
            )
        else:
            future = Future()
            future.set_result(WindowResult(()))
        return _Part(chunk, activity, future, is_gap=is_gap, has_timestamps=has_timestamps)

    def _continue(self, part: _Part) -> Iterator[_Part]:
        """Yield a finished window in parts: between them the gaps that are decoded again, behind them its rest."""
        language = part.future.result().language
        if changes := part.future.result().language_changes:
            yield from self._cut(part, changes)
            return
        if not part.has_timestamps and part.misses_speech():
            yield self._submit(part.chunk, part.activity, part.is_gap, language)
            return
        rest = part.rest_start()
        end = part.chunk.seconds if rest is None else rest
        start = 0.0
        for first, last in part.gaps(end):
            begin, finish = max(first - _GAP_PADDING, 0.0), min(last + _GAP_PADDING, end)
            yield replace(part, start=start, end=begin, was_continued=True)
            chunk, activity = part.chunk.until(finish).after(begin), part.activity.until(finish).after(begin)
            yield self._submit(chunk, activity, is_gap=True, language=language)
            start = finish
        yield replace(part, start=start, was_continued=True)
        if rest is not None:
            yield self._submit(part.chunk.after(rest), part.activity.after(rest), language=language)

    def _cut(self, part: _Part, times: Sequence[float]) -> Iterator[_Part]:
        """Submit the parts of a window between its changes of language, cut at the longest pause near each."""
        language, start = part.future.result().language, 0.0
        for time in times:
            pause = part.activity.longest_pause(max(time - _CHANGE_TOLERANCE, start), time + _CHANGE_TOLERANCE)
            end = pause if start < pause < part.chunk.seconds else time  # cut once at least, or it would not end
            if start < end:
                yield self._submit(
                    part.chunk.until(end).after(start), part.activity.until(end).after(start), part.is_gap, language,
                    part.has_timestamps,
                )  # fmt: skip
                start = end
        yield self._submit(
            part.chunk.after(start), part.activity.after(start), part.is_gap, language, part.has_timestamps
        )


def wait_for_any(futures: Sequence[Future[WindowResult]], context: RequestContext) -> None:
    """Wait until one of the futures is done; return at once if there is none.

    Raises what that future raises, or Cancelled if the context is cancelled.
    """
    if not futures:
        return
    cancelled: Future[Any] = Future()
    with context.on_cancel(lambda: cancelled.set_result(None)):
        done, _ = wait([cancelled, *futures], return_when=FIRST_COMPLETED)
    context.check_cancelled()
    for future in done:
        future.result()
