"""LongFormTranscriber: audio of any length as windows, decoded in parallel or one after the other, joined in order."""

from collections import deque
from collections.abc import Generator, Iterable, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, wait
from contextlib import closing
from typing import Any

from transcription.audio import SAMPLE_RATE, Audio
from transcription.config import InferenceConfig
from transcription.context import RequestContext
from transcription.engines.batching.window import SHORT_WINDOWS, DecodingRequest, WindowDecoder, WindowResult
from transcription.transcript import Segment, Transcript
from transcription.vad.chunking import Chunk, windows
from transcription.whisper.capabilities import Capabilities

Results = Generator[tuple[Chunk, WindowResult], None, None]
"""Each window of a request with its result, in order."""


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
        decode = self._sequential if config.sequential else self._parallel
        with closing(decode(audio, request, context)) as results:
            for chunk, result in results:
                placed = [chunk.to_recording_time(segment) for segment in result.segments]
                segments += placed
                context.report_segments(placed)
                context.report_progress("transcribe", chunk.end / SAMPLE_RATE, audio.duration)
        context.report_progress("transcribe", audio.duration, audio.duration)
        return Transcript(
            tuple(segments), request.language or request.language_guess, audio.duration, config.task,
            request.language_probability, partial=audio.partial,
        )  # fmt: skip

    def _parallel(self, audio: Audio, request: DecodingRequest, context: RequestContext) -> Results:
        """Yield each window as soon as it and those before it are done."""
        chunks = windows(audio.samples, request.config)
        pending = deque[tuple[Chunk, Future[WindowResult]]]()
        try:
            while True:
                while self._has_room(pending, request) and (chunk := next(chunks, None)) is not None:
                    pending.append((chunk, self._decoder.submit(request, chunk.of(audio.samples))))
                if not pending:
                    return
                _wait_for_any([future for _, future in pending if not future.done()], context)
                while pending and pending[0][1].done():
                    chunk, future = pending.popleft()
                    yield chunk, future.result()
        finally:
            for _, future in pending:
                future.cancel()

    def _has_room(self, pending: Iterable[tuple[Chunk, Future[WindowResult]]], request: DecodingRequest) -> bool:
        unfinished = sum(not future.done() for _, future in pending)
        return unfinished < self._decoder.queue_limit(request)

    def _sequential(self, audio: Audio, request: DecodingRequest, context: RequestContext) -> Results:
        """Yield windows that each begin where the last finished segment of the one before ends (openai/whisper)."""
        start, length = 0, int(request.config.chunk_length_s * SAMPLE_RATE)
        while start < len(audio.samples):
            chunk = Chunk(((start, min(start + length, len(audio.samples))),))
            future = self._decoder.submit(request, chunk.of(audio.samples))
            try:
                _wait_for_any([future], context)
            finally:
                future.cancel()
            result = future.result()
            yield chunk, result
            start = chunk.end if result.resume is None else start + round(result.resume * SAMPLE_RATE)


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
