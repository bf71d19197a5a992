"""LongFormTranscriber: audio of any length as windows, decoded in parallel or one after the other, joined in order.

Voice activity detection is the evidence: a window without speech has no text and is not decoded, a segment without
speech is dropped, speech behind the text of a window is decoded again, and speech that is left without text is
reported.
"""

from collections.abc import Generator, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, wait
from contextlib import closing
from dataclasses import dataclass, field
from typing import Any

from transcription.audio import SAMPLE_RATE, Audio
from transcription.config import InferenceConfig
from transcription.context import RequestContext
from transcription.engines.batching.window import SHORT_WINDOWS, DecodingRequest, WindowDecoder, WindowResult
from transcription.transcript import Segment, Transcript
from transcription.vad.activity import Interval, SpeechActivity
from transcription.vad.chunking import Chunk, windows
from transcription.whisper.capabilities import Capabilities

_TIME_TOLERANCE = 0.3  # seconds by which timestamps may miss the speech
_EVIDENCE_TOLERANCE = 1.0  # likewise, where all speech near a segment counts as its evidence
_MAX_BYTES_PER_SECOND = 60  # of UTF-8 text; fast speech has 20 in Latin script and Chinese, 30 in Cyrillic
_MIN_REST = 0.2  # seconds of speech that are worth another window, behind an unfinished segment
_MIN_FINISHED_REST = 1.0  # likewise, behind a finished segment: its end may be early by some words
_MIN_UNCOVERED = 0.6  # seconds of speech without text that are reported
_MAX_REPORTED = 20


@dataclass(eq=False)
class _Part:
    """A window, its speech, and the future of its result."""

    chunk: Chunk
    activity: SpeechActivity
    future: Future[WindowResult]
    was_continued: bool = field(default=False)

    def segments(self) -> list[Segment]:
        """Return the segments that lie where somebody speaks, with their times in the recording."""
        return [self.chunk.to_recording_time(one) for one in self.future.result().segments if self._is_spoken(one)]

    def _is_spoken(self, segment: Segment) -> bool:
        """Return whether there is enough speech for the text of a segment."""
        speech = self.activity.possible_speech_seconds(
            segment.start - _EVIDENCE_TOLERANCE, segment.end + _EVIDENCE_TOLERANCE
        )
        return speech > 0 and len(segment.text.encode()) <= _MAX_BYTES_PER_SECOND * speech

    def rest_start(self) -> float | None:
        """Return the second in the window from which on speech was not decoded; None if all of it was."""
        result = self.future.result()
        if not result.end or result.end >= self.chunk.seconds:
            return None
        min_speech = _MIN_FINISHED_REST if result.is_finished else _MIN_REST
        return result.end if self.activity.speech_seconds(result.end) >= min_speech else None


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
        request = DecodingRequest(
            config, self._capabilities.check(config), is_short=audio.duration <= SHORT_WINDOWS * config.chunk_length_s,
            is_streaming=context.is_streaming, pending_seconds=audio.duration,
        )  # fmt: skip
        segments: list[Segment] = []
        uncovered: list[Interval] = []
        decode = self._sequential if config.sequential else self._parallel
        with closing(decode(audio, request, context)) as parts:
            for part in parts:
                new = part.segments()
                segments += new
                uncovered += _uncovered(part, new)
                context.report_segments(new)
                context.report_progress("transcribe", part.chunk.end / SAMPLE_RATE, audio.duration)
        context.report_progress("transcribe", audio.duration, audio.duration)
        return Transcript(
            tuple(segments), request.language or request.language_guess, audio.duration, config.task,
            request.language_probability, partial=audio.partial, warnings=_warnings(uncovered),
        )  # fmt: skip

    def _parallel(self, audio: Audio, request: DecodingRequest, context: RequestContext) -> Parts:
        """Yield each window as soon as it and those before it are done."""
        chunks = windows(audio.samples, request.config)
        parts: list[_Part] = []
        try:
            while True:
                while self._has_room(parts, request) and (chunk := next(chunks, None)) is not None:
                    parts.append(self._submit(audio, request, chunk, SpeechActivity.of(chunk.of(audio.samples))))
                if not parts:
                    return
                _wait_for_any([part.future for part in parts if not part.future.done()], context)
                self._continue(audio, request, parts)
                while parts and parts[0].future.done() and parts[0].was_continued:
                    yield parts.pop(0)
        finally:
            for part in parts:
                part.future.cancel()

    def _continue(self, audio: Audio, request: DecodingRequest, parts: list[_Part]) -> None:
        """Submit the rest of each window that is done and was not decoded to its end, right behind it."""
        for index in reversed(range(len(parts))):
            part = parts[index]
            if part.future.done() and not part.was_continued:
                part.was_continued = True
                start = part.rest_start()
                if start is not None:
                    rest = self._submit(audio, request, part.chunk.after(start), part.activity.after(start))
                    parts.insert(index + 1, rest)
                    part.chunk, part.activity = part.chunk.until(start), part.activity.until(start)

    def _submit(self, audio: Audio, request: DecodingRequest, chunk: Chunk, activity: SpeechActivity) -> _Part:
        if activity.has_speech():
            return _Part(chunk, activity, self._decoder.submit(request, chunk.of(audio.samples)))
        silent: Future[WindowResult] = Future()
        silent.set_result(WindowResult(()))
        return _Part(chunk, activity, silent)

    def _has_room(self, parts: Sequence[_Part], request: DecodingRequest) -> bool:
        return sum(not part.future.done() for part in parts) < self._decoder.queue_limit(request)

    def _sequential(self, audio: Audio, request: DecodingRequest, context: RequestContext) -> Parts:
        """Yield windows that each begin where the last finished segment of the one before ends (openai/whisper)."""
        start, length = 0, int(request.config.chunk_length_s * SAMPLE_RATE)
        while start < len(audio.samples):
            chunk = Chunk(((start, min(start + length, len(audio.samples))),))
            part = self._submit(audio, request, chunk, SpeechActivity.of(chunk.of(audio.samples)))
            try:
                _wait_for_any([part.future], context)
            finally:
                part.future.cancel()
            rest = part.rest_start()
            if rest is not None:
                part.chunk, part.activity = chunk.until(rest), part.activity.until(rest)
            start = part.chunk.end
            yield part


def _uncovered(part: _Part, segments: Sequence[Segment]) -> list[Interval]:
    """Return the speech of a window that is in none of its segments, in seconds of the recording."""
    uncovered = []
    for start, end in part.activity.intervals(_MIN_UNCOVERED):
        begin, finish = part.chunk.at(start), part.chunk.at(end, is_end=True)
        for segment in segments:
            if segment.start - _TIME_TOLERANCE <= begin < segment.end + _TIME_TOLERANCE:
                begin = segment.end + _TIME_TOLERANCE
        if finish - begin >= _MIN_UNCOVERED:
            uncovered.append((begin, finish))
    return uncovered


def _warnings(uncovered: Sequence[Interval]) -> tuple[str, ...]:
    if not uncovered:
        return ()
    times = ", ".join(f"{start:.1f}-{end:.1f}" for start, end in uncovered[:_MAX_REPORTED])
    more = f" and {len(uncovered) - _MAX_REPORTED} more" if len(uncovered) > _MAX_REPORTED else ""
    return (f"somebody speaks and no text was found at {times} s{more}",)


def _wait_for_any(futures: Sequence[Future[WindowResult]], context: RequestContext) -> None:
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
