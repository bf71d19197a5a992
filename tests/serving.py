"""A running server for the tests."""

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
    """An application on its own port, in its own thread."""

    def __init__(self, app: FastAPI) -> None:
        self.app, self.service = app, app.state.service
        self._socket = socket.socket(proto=socket.IPPROTO_TCP)  # else asyncio keeps Nagle's algorithm: 40 ms a response
        self._socket.bind(("127.0.0.1", 0))
        self._socket.listen()
        self.url = f"http://127.0.0.1:{self._socket.getsockname()[1]}"
        self.server = Server(uvicorn.Config(app, log_config=None, timeout_graceful_shutdown=30), self.service)

    @property
    def is_alive(self) -> bool:
        """Whether its thread runs."""
        return self._thread.is_alive()

    @contextlib.contextmanager
    def running(self, wait: bool = True) -> Iterator["Running"]:
        """Run the server; at the end its thread has ended. wait: until the models are loaded."""
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
    """Run a server with these settings and a transcriber."""
    loader = load if callable(load) else lambda: load
    with Running(create_app(ServerSettings.from_environment(**settings), loader, mounts=[mount])).running() as running:
        yield running


def until(condition: Callable[[], bool], seconds: float = 60.0) -> None:
    """Wait until a condition is true. Fails after so many seconds."""
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, "the condition did not become true"
        time.sleep(0.01)
