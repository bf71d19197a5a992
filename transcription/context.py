"""RequestContext: reports the progress of a request and cancels it, across threads."""

import asyncio
import threading
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Executor
from contextlib import contextmanager
from typing import TypeVar

from transcription.errors import Cancelled
from transcription.transcript import Segment

T = TypeVar("T")
ProgressCallback = Callable[[str, float, float], None]
"""Called with the stage ("transcribe" or "diarize"), the seconds of audio done, and the seconds in total."""
SegmentsCallback = Callable[[Sequence[Segment]], None]
"""Called with the segments of one more window, in order of time, before speakers are assigned."""


class RequestContext:
    """The progress and the cancellation of one request. Safe to use from any thread."""

    def __init__(self, progress: ProgressCallback | None = None, segments: SegmentsCallback | None = None) -> None:
        """Set the callbacks. The threads that work on the request call them."""
        self._progress, self._segments = progress, segments
        self._cancel_callbacks: list[Callable[[], object]] = []
        self._cancelled = threading.Event()
        self._lock = threading.Lock()

    @property
    def is_streaming(self) -> bool:
        """Whether the caller receives the segments of each window as soon as they are decoded."""
        return self._segments is not None

    def cancel(self) -> None:
        """Cancel the request: the next check or report of a working thread raises Cancelled."""
        with self._lock:
            self._cancelled.set()
            callbacks, self._cancel_callbacks = self._cancel_callbacks, []
        for callback in callbacks:
            callback()

    def check_cancelled(self) -> None:
        """Raise Cancelled if the request is cancelled."""
        if self._cancelled.is_set():
            raise Cancelled

    def report_progress(self, stage: str, seconds: float, total: float) -> None:
        """Report that `seconds` of `total` seconds of audio are done in a stage.

        Raises Cancelled if the request is cancelled.
        """
        self.check_cancelled()
        if self._progress is not None:
            self._progress(stage, seconds, total)

    def report_segments(self, segments: Sequence[Segment]) -> None:
        """Report the segments of one more window.

        Raises Cancelled if the request is cancelled.
        """
        self.check_cancelled()
        if self._segments is not None:
            self._segments(segments)

    @contextmanager
    def on_cancel(self, callback: Callable[[], object]) -> Iterator[None]:
        """Call `callback` if the request is cancelled inside the `with` block, or was cancelled before it.

        The thread that calls cancel() runs the callback.
        """
        with self._lock:
            is_cancelled = self._cancelled.is_set()
            if not is_cancelled:
                self._cancel_callbacks.append(callback)
        if is_cancelled:
            callback()
        try:
            yield
        finally:
            with self._lock:
                if callback in self._cancel_callbacks:
                    self._cancel_callbacks.remove(callback)

    @contextmanager
    def child(self, part: int = 0, parts: int = 1) -> Iterator["RequestContext"]:
        """Yield the context of a part of the work. It can be cancelled alone, and is cancelled with this one.

        part, parts: the index of the part and the number of parts. The parts are equally long and run one after
        the other; their progress is reported as progress of the whole. A child reports no segments.
        """
        child = RequestContext(
            lambda stage, seconds, total: self.report_progress(stage, part * total + seconds, parts * total)
        )
        with self.on_cancel(child.cancel):
            yield child


async def run_in_thread(threads: Executor, work: Callable[[], T], context: RequestContext) -> T:
    """Run `work` in a thread and return its result.

    If this coroutine is cancelled, cancel the context and wait until the thread has finished.
    """
    future = asyncio.get_running_loop().run_in_executor(threads, work)
    try:
        return await asyncio.shield(future)
    except asyncio.CancelledError:
        context.cancel()
        await asyncio.wait([future])
        raise
    finally:
        if future.done() and not future.cancelled():
            future.exception()  # or asyncio logs "exception was never retrieved"
