"""AdmissionController: how many come in, how many wait, and when everybody has left."""

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
_MEMORY = 0.2  # how much the latest request counts in the mean time of a request
_LONGEST_WAIT = 60  # seconds that Retry-After says at most


class AdmissionController:
    """Bounded: so many requests are worked on, so many wait in line, so many are being received."""

    def __init__(self, settings: ServerSettings) -> None:
        self.settings = settings
        self.running = self.waiting = self.uploading = 0
        self.draining = False
        self._places = asyncio.Semaphore(settings.max_running)
        self._threads = ThreadPoolExecutor(settings.max_running, "request")
        self._mean = 1.0  # seconds that a request has lately been worked on
        self._tasks = set[asyncio.Task[Any]]()

    @property
    def load(self) -> float:
        """How many requests have come in for each that is worked on."""
        return 1 + self.waiting / max(self.running, 1)

    def check(self) -> None:
        """Whether one more may come in. Raises ApiError: better before its upload than after."""
        if self.draining:
            raise ApiError(503, "shutting_down", "the service is shutting down: send the request again", retry_after=5)
        if self._places.locked() and self.waiting >= self.settings.max_waiting:
            raise self._full("too many requests are waiting: try again later", "queue_full")

    @asynccontextmanager
    async def upload(self) -> AsyncIterator[None]:
        """While a body is received. Raises ApiError."""
        self.check()
        if self.uploading >= self.settings.max_uploads:
            raise self._full("too many uploads at the same time: try again later", "too_many_uploads")
        self.uploading += 1
        try:
            yield
        finally:
            self.uploading -= 1

    def work(self, function: Callable[[], T], context: RequestContext, begun: Callable[[], None]) -> asyncio.Task[T]:
        """function, in a thread, when there is a place. A task cancelled stops the context and leaves the queue.

        The place is free again when the thread has ended, not before. begun: called when it has begun.
        """
        task = asyncio.create_task(self._work(function, context, begun))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        return task

    async def _work(self, function: Callable[[], T], context: RequestContext, begun: Callable[[], None]) -> T:
        loop = asyncio.get_running_loop()
        async with self._place():
            begun()
            began = loop.time()
            try:
                return await run_in_thread(self._threads, function, context)
            finally:
                self._mean += _MEMORY * (loop.time() - began - self._mean)

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

    def _full(self, message: str, reason: str) -> ApiError:
        seconds = self._mean * (self.waiting + 1) / self.settings.max_running
        return ApiError(429, reason, message, retry_after=min(max(math.ceil(seconds), 1), _LONGEST_WAIT))

    async def closed(self) -> None:
        """When the last thread has ended."""
        while self._tasks:
            await asyncio.wait(self._tasks)
        self._threads.shutdown()
