"""Sessions: the live sessions of a server, their limit, and their end."""

import asyncio
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager

from transcription.server.api_errors import ApiError
from transcription.server.settings import ServerSettings

_RETRY_AFTER = 10  # seconds


class Sessions:
    """All live sessions. Their turns are decoded in its threads."""

    def __init__(self, settings: ServerSettings) -> None:
        self._max = settings.max_sessions
        self._stops: dict[object, Callable[[], None]] = {}
        self._is_draining = False
        self.threads = ThreadPoolExecutor(settings.max_sessions, "live")

    @property
    def count(self) -> int:
        """Number of sessions."""
        return len(self._stops)

    def check(self) -> None:
        """Check that one more session may begin. Raises ApiError."""
        if self._is_draining:
            raise ApiError(503, "shutting_down", "the service is shutting down: connect again", retry_after=5)
        if self.count >= self._max:
            raise ApiError(
                429, "too_many_sessions", "too many live sessions: try again later", retry_after=_RETRY_AFTER
            )

    @contextmanager
    def session(self, stop: Callable[[], None]) -> Iterator[None]:
        """Count a session while it lasts. stop: asks it to complete its turn and to end."""
        key = object()
        self._stops[key] = stop
        try:
            yield
        finally:
            del self._stops[key]

    def drain(self) -> None:
        """Ask all sessions to end, and refuse new ones."""
        if not self._is_draining:
            self._is_draining = True
            for stop in list(self._stops.values()):
                stop()

    async def close(self) -> None:
        """Wait until the last session has ended."""
        self.drain()
        while self._stops:
            await asyncio.sleep(0.05)
        self.threads.shutdown()
