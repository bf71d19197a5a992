"""A server that really runs, for the tests that talk to it."""

import asyncio
import contextlib
import socket
import threading
import time
from collections.abc import Callable, Iterator

import uvicorn
from fastapi import FastAPI

from transcription.server.app import create_app
from transcription.server.run import Server
from transcription.server.settings import ServerSettings
from transcription.transcriber import Transcriber
from transcription.ui.mounting import mount


class Running:
    """An application on a port of its own, in a thread of its own."""

    def __init__(self, app: FastAPI) -> None:
        self.app, self.service = app, app.state.service
        self._socket = socket.socket(proto=socket.IPPROTO_TCP)  # else asyncio leaves Nagle on: 40 ms an answer
        self._socket.bind(("127.0.0.1", 0))
        self._socket.listen()
        self.url = f"http://127.0.0.1:{self._socket.getsockname()[1]}"
        self.server = Server(uvicorn.Config(app, log_config=None, timeout_graceful_shutdown=30), self.service)

    @property
    def answers(self) -> bool:
        """Whether its thread is there."""
        return self._thread.is_alive()

    @contextlib.contextmanager
    def running(self, wait: bool = True) -> Iterator["Running"]:
        """While it answers; afterwards everything in it has ended. wait: until its models are loaded."""
        thread = self._thread = threading.Thread(target=asyncio.run, args=(self.server.serve([self._socket]),))
        thread.start()
        try:
            if wait:
                until(lambda: bool(self.service.ready))
            yield self
        finally:
            self.server.should_exit = True
            thread.join(60)
            self._socket.close()
            assert not thread.is_alive()


@contextlib.contextmanager
def serving(load: Callable[[], Transcriber] | Transcriber, **settings: object) -> Iterator[Running]:
    """A server with these settings over a transcriber."""
    loader = load if callable(load) else lambda: load
    with Running(create_app(ServerSettings.from_environment(**settings), loader, mounts=[mount])).running() as found:
        yield found


def until(true: Callable[[], bool], seconds: float = 60.0) -> None:
    """Waits for something that happens in another thread."""
    end = time.monotonic() + seconds
    while not true():
        assert time.monotonic() < end, "it did not happen"
        time.sleep(0.01)
