"""The server process: uvicorn, signals, exit codes."""

import logging
import os
import time
from typing import Any

import uvicorn
from fastapi import FastAPI

from transcription.server.service import Service

logger = logging.getLogger("transcription")
_KEEP_ALIVE = 75  # seconds; longer than proxies keep idle connections, so that they never reuse a closed one


class Server(uvicorn.Server):
    """uvicorn that finishes running requests on SIGTERM, is not ready meanwhile, and exits with 0."""

    def __init__(self, config: uvicorn.Config, service: Service) -> None:
        super().__init__(config)
        self.service = service
        self._drain_until = float("inf")

    def handle_exit(self, sig: int, frame: Any) -> None:
        """Drain on the first signal, exit on the second. Unlike uvicorn, raise neither again at the end."""
        admission = self.service.admission
        if admission.draining:
            self.should_exit = self.force_exit = True
        admission.draining = True
        self._drain_until = time.monotonic() + self.service.settings.shutdown_seconds

    async def on_tick(self, counter: int) -> bool:
        is_draining = self.service.admission.draining
        if is_draining:
            self.service.sessions.drain()
        drained = is_draining and (not self.server_state.tasks or time.monotonic() > self._drain_until)
        return drained or self.service.failed or await super().on_tick(counter)


def serve(app: FastAPI) -> int:
    """Serve an application of create_app until it is terminated, and return the exit code."""
    service: Service = app.state.service
    settings = service.settings
    config = uvicorn.Config(
        app, settings.host, settings.port, log_config=None, access_log=False, server_header=False,
        timeout_graceful_shutdown=5, timeout_keep_alive=_KEEP_ALIVE,
    )  # fmt: skip
    logger.info("listening", extra={"fields": {"host": settings.host, "port": settings.port}})
    Server(config, service).run()
    code = 1 if service.failed else 0
    if service.status == "loading":
        logging.shutdown()
        os._exit(code)  # the thread that loads the models may not be interruptible
    return code
