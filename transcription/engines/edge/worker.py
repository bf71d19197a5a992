"""Worker: the thread that decodes the waiting windows, some at a time."""

import logging
import threading
from collections.abc import Callable, Sequence
from functools import partial

from transcription.engines.batching.scheduler import Quota, Scheduler
from transcription.engines.batching.window import Window, WindowResult
from transcription.engines.edge.row import Decoded, Row
from transcription.errors import EngineFailure

logger = logging.getLogger(__name__)
_IDLE = 0.5  # seconds without work after which the thread ends, so that the process can end


class Worker:
    """Takes up to `size` windows, decodes them, and takes the next ones. Its thread runs while there is work."""

    def __init__(
        self, size: int, detects_language: bool, decode: Callable[[Sequence[Window]], list[Row]],
        read: Callable[[Row, Decoded], WindowResult],
    ) -> None:  # fmt: skip
        """Prepare the worker; its thread starts with the first window.

        decode: windows → their decoded rows. read: the tokens of a row → its segments.
        """
        self.scheduler = Scheduler(Quota(total=size, long=size), detects_language)
        self._decode, self._read = decode, read
        self._changed = threading.Condition()
        self._thread: threading.Thread | None = None

    def submit(self, window: Window) -> None:
        """Queue a window, from any thread."""
        with self._changed:
            self.scheduler.add(window)
            self._changed.notify()
            if self._thread is None:
                self._thread = threading.Thread(target=self._run, name="whisper", daemon=False)
                self._thread.start()

    def _run(self) -> None:
        while windows := self._next_windows():
            try:
                rows = self._decode(windows)
            except Exception:
                logger.exception("decoding failed")
                rows = []
                for window in windows:
                    window.fail(EngineFailure("decoding failed: see the log"))
            with self._changed:
                for window in windows:
                    self.scheduler.release(window)
            for row in rows:
                if row.decoded is not None:
                    row.window.resolve_with(partial(self._read, row, row.decoded))

    def _next_windows(self) -> list[Window]:
        """Wait for windows, and return those to decode now; none if the thread may end."""
        with self._changed:
            while True:
                windows: list[Window] = []
                while (window := self.scheduler.next_window()) is not None:
                    windows.append(window)
                if windows:
                    return windows
                if not self._changed.wait(_IDLE) and not self.scheduler.has_waiting():
                    self._thread = None
                    return []
