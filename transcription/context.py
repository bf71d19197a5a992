"""RequestContext: how a request is followed, and given up, while threads work on it."""

import asyncio
import threading
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Executor
from contextlib import contextmanager
from typing import TypeVar

from transcription.errors import Cancelled
from transcription.transcript import Segment

T = TypeVar("T")
Progress = Callable[[str, float, float], None]
"""Told ("transcribe" or "diarize", seconds of audio done, seconds in all)."""
Segments = Callable[[Sequence[Segment]], None]
"""Told what one more window says, in order, before it is known who says it."""


class RequestContext:
    """One request while it is worked on: told what is done, and asked whether to go on. For any thread."""

    def __init__(self, progress: Progress | None = None, segments: Segments | None = None) -> None:
        """Both are called from the threads that work."""
        self._progress, self._segments = progress, segments
        self._calls: list[Callable[[], object]] = []
        self._stopped = threading.Event()
        self._lock = threading.Lock()

    @property
    def is_streaming(self) -> bool:
        """Whether somebody waits for each window's segments, and not for all of them."""
        return self._segments is not None

    def cancel(self) -> None:
        """Gives the request up: whoever works on it gets Cancelled as soon as they tell or ask anything."""
        with self._lock:
            self._stopped.set()
            calls, self._calls = self._calls, []
        for call in calls:
            call()

    def check_cancelled(self) -> None:
        """Raises Cancelled once the request is given up."""
        if self._stopped.is_set():
            raise Cancelled

    def report_progress(self, stage: str, seconds: float, total: float) -> None:
        """So much of the audio is done. Raises Cancelled."""
        self.check_cancelled()
        if self._progress is not None:
            self._progress(stage, seconds, total)

    def report_segments(self, segments: Sequence[Segment]) -> None:
        """One more window is transcribed. Raises Cancelled."""
        self.check_cancelled()
        if self._segments is not None:
            self._segments(segments)

    @contextmanager
    def on_cancel(self, call: Callable[[], object]) -> Iterator[None]:
        """Within, `call` is made when the request is given up, by the thread that does; at once if it is already."""
        with self._lock:
            late = self._stopped.is_set()
            if not late:
                self._calls.append(call)
        if late:
            call()
        try:
            yield
        finally:
            with self._lock:
                if call in self._calls:
                    self._calls.remove(call)

    @contextmanager
    def child(self, part: int = 0, parts: int = 1) -> Iterator["RequestContext"]:
        """For a part of the work: it can be given up by itself, and is with the whole. It tells no segments.

        part: which of so many equal ones that come one after the other.
        """
        branch = RequestContext(
            lambda stage, seconds, total: self.report_progress(stage, part * total + seconds, parts * total)
        )
        with self.on_cancel(branch.cancel):
            yield branch


async def run_in_thread(threads: Executor, work: Callable[[], T], context: RequestContext) -> T:
    """Return what `work` returns, from a thread. Cancelling this cancels the context and waits for the thread."""
    future = asyncio.get_running_loop().run_in_executor(threads, work)
    try:
        return await asyncio.shield(future)
    except asyncio.CancelledError:
        context.cancel()
        await asyncio.wait([future])
        raise
    finally:
        if future.done() and not future.cancelled():
            future.exception()  # seen, also where nobody waits for it any more
