"""ReplicaClient: call replicas from threads, and call another replica if one is lost."""

import asyncio
import concurrent.futures
import logging
import threading
from collections.abc import Coroutine
from typing import Any, TypeVar

from ray.exceptions import RayError, RayTaskError
from ray.serve.exceptions import RayServeException
from ray.serve.handle import DeploymentHandle

from transcription.errors import EngineFailure, TranscriptionError

logger = logging.getLogger(__name__)
T = TypeVar("T")
MAX_ATTEMPTS = 5
"""Attempts of a call. After so many lost replicas the call itself is the likely reason."""
_MAX_FAILURES = 2  # attempts on which a replica fails without being lost
_PAUSE = 0.5  # seconds before the second attempt, twice as many before each next one


class ReplicaClient:
    """Client of one deployment. An event loop in a thread of its own awaits the calls."""

    def __init__(self, handle: DeploymentHandle[Any]) -> None:
        self._handle = handle
        self.loop = asyncio.new_event_loop()
        threading.Thread(target=self.loop.run_forever, name="calls", daemon=True).start()

    def begin(self, work: Coroutine[Any, Any, T]) -> concurrent.futures.Future[T]:
        """Run a coroutine in the client's loop, from any thread. Cancelling the future cancels its calls."""
        return asyncio.run_coroutine_threadsafe(work, self.loop)

    async def call(self, method: str, *arguments: object) -> Any:
        """Return the result of a method of any replica.

        Raises TranscriptionError if the method returns one, EngineFailure if replicas fail or are lost again and again.
        """
        failures = 0
        for attempt in range(MAX_ATTEMPTS):
            if attempt:
                await asyncio.sleep(_PAUSE * 2 ** (attempt - 1))
            try:
                result = await self._call_once(method, *arguments)
            except EngineFailure:
                failures += 1
                if failures == _MAX_FAILURES:
                    raise
                continue
            except (RayError, RayServeException) as error:
                fields = {"reason": type(error).__name__}
                logger.warning("a replica was lost; calling another", extra={"fields": fields})
                continue
            if isinstance(result, TranscriptionError):
                raise result
            return result
        raise EngineFailure("every replica that worked on this request crashed; send shorter audio")

    async def _call_once(self, method: str, *arguments: object) -> Any:
        """Return the result of one replica. Raises EngineFailure if it fails, RayError if it is lost."""
        response = getattr(self._handle, method).remote(*arguments)
        try:
            result = await response
        except asyncio.CancelledError:
            task = asyncio.current_task()
            if task is not None and task.cancelling():
                response.cancel()
                raise
            raise RayServeException("the replica cancelled the call") from None
        except RayTaskError as error:
            if isinstance(error.cause, RayError):  # Ray lost an argument
                raise error.cause from None
            logger.exception("a replica failed")
            raise EngineFailure("transcription failed in a replica; see its log") from None
        if isinstance(result, EngineFailure):
            raise result
        return result
