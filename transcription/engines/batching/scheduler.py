"""Scheduler: which window is decoded next, who waits, and how much of the time short requests get.

It knows no model and no torch. The loop of one process and the dispatcher over replicas both use it.
"""

import sys
from collections import deque
from dataclasses import dataclass

from transcription.engines.batching.window import DecodingRequest, Window

_AHEAD = 4  # windows of one request that wait for a slot, so that none stays empty
_MAX_DELAY = 0.2  # long requests may slow a short one down by this share of its own time


@dataclass(frozen=True)
class Quota:
    """How many windows may be decoded at the same time.

    total: of all requests. long: of long requests together, so that short ones always find a place. decoders: how many
    there are; each takes batch_size windows of one request. first: windows with which a streaming request begins; it
    gets so many more for each one that is done, so that the first result does not wait for the last window.
    """

    total: int = sys.maxsize
    long: int = sys.maxsize
    decoders: int = 1
    first: int = 1


class Scheduler:
    """The waiting and running windows of all requests. It is not thread-safe: its owner locks."""

    def __init__(self, quota: Quota, detects_language: bool) -> None:
        """Start empty.

        detects_language: the first window of a request tells the language of the others, so they wait for it.
        """
        self.quota, self.detects_language = quota, detects_language
        self._waiting: dict[DecodingRequest, deque[Window]] = {}
        self._running: set[Window] = set()
        self._running_short = 0
        self._credit = 0.0  # seconds by which long requests may still delay short ones

    def add(self, window: Window) -> None:
        """Queue a window. What continues or repeats another window goes before the windows that follow that one."""
        queue = self._waiting.setdefault(window.request, deque())
        (queue.appendleft if window.continues else queue.append)(window)

    def has_waiting(self) -> bool:
        """Return whether any window waits that was not cancelled."""
        self._drop_cancelled()
        return bool(self._waiting)

    def is_idle(self) -> bool:
        """Return whether no window waits or runs."""
        return not self._running and not self.has_waiting()

    def next_window(self, start_seconds: float = 0.0) -> Window | None:
        """Return the window to start now, or None.

        Live sessions go first: their windows are due in the order in which they came. Then come short requests, and
        then the request with the fewest running windows, so that no request waits for the end
        of another one. start_seconds: the time that it takes to start a window, during which short requests wait.
        """
        self._drop_cancelled()
        ready = [request for request in self._waiting if self._may_start(request)]
        if not ready:
            return None
        request = min(ready, key=lambda request: (not request.is_live, not request.is_short, request.running))
        if self._running_short and not request.is_short and not self._spend(start_seconds):
            return None
        window = self._waiting[request].popleft()
        if not self._waiting[request]:
            del self._waiting[request]
        request.pending_seconds = max(request.pending_seconds - window.seconds, 0.0)
        self._count(window, 1)
        return window

    def release(self, window: Window, finished: bool = True) -> None:
        """Take a window out that runs no more. finished: it has its result."""
        self._count(window, -1)
        window.request.finished += finished

    def requeue(self, window: Window) -> None:
        """Put a running window back to the front of its queue."""
        self._count(window, -1)
        window.request.pending_seconds += window.seconds
        self._waiting.setdefault(window.request, deque()).appendleft(window)

    def clear(self) -> list[Window]:
        """Forget all windows, and return them."""
        waiting = [window for queue in self._waiting.values() for window in queue]
        running = list(self._running)
        for window in running:
            self._count(window, -1)
        self._waiting.clear()
        return [*running, *waiting]

    def limit(self, request: DecodingRequest) -> int:
        """Return how many windows of a request may run at the same time, if no other request is there."""
        limit = min(request.config.batch_size * self.quota.decoders, self.quota.total)
        if not request.is_short:
            limit = min(limit, self.quota.long)
        if request.is_streaming:
            limit = min(limit, self.quota.first * (1 + request.finished))
        return limit

    def queue_limit(self, request: DecodingRequest) -> int:
        """Return how many windows of a request may be submitted and not finished."""
        return self.limit(request) + _AHEAD

    def rows_to_step(self, short: int, total: int, short_seconds: float, total_seconds: float) -> int:
        """Return how many rows to step now: all, or only those of short requests, which come first.

        short, total: the number of rows. short_seconds, total_seconds: the time of a step for the short rows alone, and
        for all. Long requests get a step as soon as they have saved up the delay that they add.
        """
        if short in (0, total):
            self._credit = 0.0
            return total
        if self._spend(max(total_seconds - short_seconds, 0.0)):
            return total
        self._credit += _MAX_DELAY * short_seconds
        return short

    def _spend(self, seconds: float) -> bool:
        if self._credit < seconds:
            return False
        self._credit -= seconds
        return True

    def _may_start(self, request: DecodingRequest) -> bool:
        running_long = len(self._running) - self._running_short
        if len(self._running) >= self.quota.total or (not request.is_short and running_long >= self.quota.long):
            return False
        is_unknown = self.detects_language and request.language is None and not request.config.is_multilingual
        return not (is_unknown and request.running > 0) and request.running < self.limit(request)

    def _count(self, window: Window, change: int) -> None:
        (self._running.add if change > 0 else self._running.remove)(window)
        window.request.running += change
        self._running_short += change * window.request.is_short

    def _drop_cancelled(self) -> None:
        for request, queue in list(self._waiting.items()):
            kept = deque(window for window in queue if not window.future.cancelled())
            if kept:
                self._waiting[request] = kept
            else:
                del self._waiting[request]
