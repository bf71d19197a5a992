"""AdmissionController: limits how many requests run, wait and upload at the same time."""

import asyncio
import math
from collections.abc import AsyncIterator, Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import asynccontextmanager
from typing import Any, TypeVar

from transcription.context import RequestContext, run_in_thread
from transcription.server.api_errors import ApiError
from transcription.server.settings import ServerSettings

T = TypeVar("T")
_LATEST_WEIGHT = 0.2  # of the latest request, in the moving average of seconds per request
_MAX_RETRY_AFTER = 60  # seconds


class AdmissionController:
    """Runs requests in threads, and refuses those above the limits of the settings."""

    def __init__(self, settings: ServerSettings) -> None:
        self.settings = settings
        self.running = self.waiting = self.uploading = 0
        self.draining = False
        self._places = asyncio.Semaphore(settings.max_running)
        self._threads = ThreadPoolExecutor(settings.max_running, "request")
        self._mean_seconds = 1.0  # per request, a moving average
        self._tasks = set[asyncio.Task[Any]]()

    @property
    def load(self) -> float:
        """Requests that run or wait, per running request."""
        return 1 + self.waiting / max(self.running, 1)

    def check(self) -> None:
        """Check that one more request may come in. Called before an upload as well as after it.

        Raises ApiError if the queue is full or the service is shutting down.
        """
        if self.draining:
            raise ApiError(503, "shutting_down", "the service is shutting down: send the request again", retry_after=5)
        if self._places.locked() and self.waiting >= self.settings.max_waiting:
            raise self._too_many("too many requests are waiting: try again later", "queue_full")

    @asynccontextmanager
    async def upload(self) -> AsyncIterator[None]:
        """Count an upload while it lasts. Raises ApiError if there are too many."""
        self.check()
        if self.uploading >= self.settings.max_uploads:
            raise self._too_many("too many uploads at the same time: try again later", "too_many_uploads")
        self.uploading += 1
        try:
            yield
        finally:
            self.uploading -= 1

    def run(self, function: Callable[[], T], context: RequestContext, on_start: Callable[[], None]) -> asyncio.Task[T]:
        """Return a task that runs the function in a thread when a place is free, and calls `on_start` before.

        Cancelling the task cancels the context. The place is free again when the thread has ended.
        """
        task = asyncio.create_task(self._run(function, context, on_start))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        return task

    async def _run(self, function: Callable[[], T], context: RequestContext, on_start: Callable[[], None]) -> T:
        loop = asyncio.get_running_loop()
        async with self._place():
            on_start()
            started = loop.time()
            try:
                return await run_in_thread(self._threads, function, context)
            finally:
                self._mean_seconds += _LATEST_WEIGHT * (loop.time() - started - self._mean_seconds)

    @asynccontextmanager
    async def _place(self) -> AsyncIterator[None]:
        self.check()
        self.waiting += 1
        try:
            await self._places.acquire()
        finally:
            self.waiting -= 1
        self.running += 1
        try:
            yield
        finally:
            self.running -= 1
            self._places.release()

    def _too_many(self, message: str, reason: str) -> ApiError:
        seconds = self._mean_seconds * (self.waiting + 1) / self.settings.max_running
        return ApiError(429, reason, message, retry_after=min(max(math.ceil(seconds), 1), _MAX_RETRY_AFTER))

    async def close(self) -> None:
        """Wait until the last thread has ended."""
        while self._tasks:
            await asyncio.wait(self._tasks)
        self._threads.shutdown()
