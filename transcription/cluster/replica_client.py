"""ReplicaClient: how replicas are called from threads; elsewhere again, when the one that worked on it dies."""

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
_TRIES = 5  # replicas that may die on one call: more, and it is the call that kills them
_FAILURES = 2  # replicas that may fail on it and live
_PAUSE = 0.5  # seconds before the next try, twice as many before each one after


class ReplicaClient:
    """The calls to one deployment. They are awaited in a thread of their own."""

    def __init__(self, handle: DeploymentHandle[Any]) -> None:
        self._handle = handle
        self.loop = asyncio.new_event_loop()
        threading.Thread(target=self.loop.run_forever, name="calls", daemon=True).start()

    def begin(self, work: Coroutine[Any, Any, T]) -> concurrent.futures.Future[T]:
        """Work that calls, from any thread; cancelled, it cancels its calls."""
        return asyncio.run_coroutine_threadsafe(work, self.loop)

    async def call(self, method: str, *arguments: object) -> Any:
        """What a method of any replica returns. Raises TranscriptionError, those that it returns among them."""
        failures = 0
        for attempt in range(_TRIES):
            if attempt:
                await asyncio.sleep(_PAUSE * 2 ** (attempt - 1))
            try:
                found = await self._once(method, *arguments)
            except EngineFailure:
                failures += 1
                if failures == _FAILURES:
                    raise
                continue
            except (RayError, RayServeException) as error:
                fields = {"why": type(error).__name__}
                logger.warning("a replica was lost: going on elsewhere", extra={"fields": fields})
                continue
            if isinstance(found, TranscriptionError):
                raise found
            return found
        raise EngineFailure("the replicas that worked on it died, one after the other: send shorter audio")

    async def _once(self, method: str, *arguments: object) -> Any:
        """What one replica returns. Raises EngineFailure, what it returns as such among them, and what Ray raises."""
        response = getattr(self._handle, method).remote(*arguments)
        try:
            found = await response
        except asyncio.CancelledError:
            task = asyncio.current_task()
            if task is not None and task.cancelling():
                response.cancel()
                raise
            raise RayServeException("cancelled over there, which nobody here asked for") from None
        except RayTaskError as error:
            if isinstance(error.cause, RayError):  # an argument was lost on its way
                raise error.cause from None
            logger.exception("a replica failed")
            raise EngineFailure("transcription failed inside a replica: its log says why") from None
        if isinstance(found, EngineFailure):
            raise found
        return found
