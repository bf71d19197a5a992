"""The server process: uvicorn, signals, exit codes."""

import logging
import os
import time
from typing import Any

import uvicorn
from fastapi import FastAPI

from transcription.server.service import Service

logger = logging.getLogger("transcription")
_KEEP_ALIVE = 75  # seconds: longer than proxies keep idle connections, so that none is closed as it is used


class Server(uvicorn.Server):
    """uvicorn, which on SIGTERM finishes what is running, is meanwhile not ready, and exits with 0."""

    def __init__(self, config: uvicorn.Config, service: Service) -> None:
        super().__init__(config)
        self.service = service
        self._until = float("inf")

    def handle_exit(self, sig: int, frame: Any) -> None:
        """The first signal drains, the second one ends. Neither is raised again at the end, as uvicorn would."""
        door = self.service.admission
        if door.draining:
            self.should_exit = self.force_exit = True
        door.draining = True
        self._until = time.monotonic() + self.service.settings.shutdown_seconds

    async def on_tick(self, counter: int) -> bool:
        drained = self.service.admission.draining and (not self.server_state.tasks or time.monotonic() > self._until)
        return drained or self.service.failed or await super().on_tick(counter)


def serve(app: FastAPI) -> int:
    """Serves an application of create_app until it is told to end; the exit code."""
    service: Service = app.state.service
    settings = service.settings
    config = uvicorn.Config(
        app, settings.host, settings.port, log_config=None, access_log=False, server_header=False,
        timeout_graceful_shutdown=5,
        timeout_keep_alive=_KEEP_ALIVE,
    )  # fmt: skip
    logger.info("listening", extra={"told": {"host": settings.host, "port": settings.port}})
    Server(config, service).run()
    code = 1 if service.failed else 0
    if service.status == "loading":
        logging.shutdown()
        os._exit(code)  # the thread that loads may be anywhere, also where it cannot be interrupted
    return code
