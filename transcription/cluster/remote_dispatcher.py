"""RemoteDispatcher: windows are decoded wherever a replica has room."""

import asyncio
import math
import time
import uuid
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field

from transcription.audio import SAMPLE_RATE
from transcription.cluster.messages import WindowRequest, WindowResponse
from transcription.cluster.replica_client import ReplicaClient
from transcription.config import InferenceConfig
from transcription.engines.batching.jobs import Job, Window
from transcription.errors import EngineFailure, TranscriptionError

_FIRST = 2  # windows for each replica with which a request begins whose first words are waited for
_MEMORY = 60.0  # seconds after which a replica that has said nothing may be gone


@dataclass(eq=False)
class _Request:
    """What the desk knows of a job. rest: seconds of its audio that have not been sent yet."""

    config: InferenceConfig
    rest: float
    name: str = field(default_factory=lambda: uuid.uuid4().hex)
    tasks: set[asyncio.Task[None]] = field(default_factory=set)


class RemoteDispatcher:
    """A desk (engines.slots.requests.Desk) over replicas. What it knows is touched by the calls' thread alone."""

    def __init__(self, calls: ReplicaClient, tells_language: bool, most: int, crowd: Callable[[], float]) -> None:
        """tells_language: the model has several, so that a request's first window says which.

        most: windows of long requests that each replica may have from here, so that short ones always find a place.
        crowd: how many requests have come in for each that is worked on.
        """
        self._calls, self._tells_language, self._most, self._crowd = calls, tells_language, most, crowd
        self._requests: dict[Job, _Request] = {}
        self._replicas: dict[str, float] = {}  # when each was last heard of

    @contextmanager
    def job(self, job: Job) -> Iterator[Job]:
        """Within, the job is worked on; whoever leaves early has cancelled it."""
        request = _Request(job.config, job.seconds)
        self._soon(lambda: self._requests.__setitem__(job, request))
        try:
            yield job
        finally:
            self._soon(lambda: self._leave(job))

    def submit(self, window: Window) -> None:
        """Queues a window of a job that is worked on."""

        def queue() -> None:
            window.job.waiting.append(window)
            self._send()

        self._soon(queue)

    def _soon(self, call: Callable[[], object]) -> None:
        self._calls.loop.call_soon_threadsafe(call)

    def _leave(self, job: Job) -> None:
        job.cancelled = True
        for task in self._requests.pop(job).tasks:
            task.cancel()

    def _send(self) -> None:
        """As many windows as may be worked on together, of those requests first that have the fewest."""
        replicas = self._count()
        for job in sorted(self._requests, key=lambda job: job.running):
            together = 1 if job.config.sequential else min(job.config.batch_size, self._most) * replicas
            while job.may_enter(together, _FIRST * replicas, self._tells_language):
                if not job.brief and self._long() >= self._most * replicas:
                    break
                self._enter(job, together)

    def _long(self) -> int:
        """Windows of long requests that are worked on."""
        return sum(job.running for job in self._requests if not job.brief)

    def _enter(self, job: Job, together: int) -> None:
        window, request = job.waiting.popleft(), self._requests[job]
        job.running += 1
        job.answers.put(None)
        task = self._calls.loop.create_task(self._hear(window, request, self._owed(window, request, together)))
        request.tasks.add(task)
        task.add_done_callback(request.tasks.discard)

    def _owed(self, window: Window, request: _Request, together: int) -> float:
        """Seconds of audio for which a window stands: its own, its share of what is left of its request, and of the
        requests that wait to come in, which may be taken to be like those that are worked on.
        """
        seconds = len(window.samples) / SAMPLE_RATE
        request.rest = max(request.rest - seconds, 0.0)
        beside = max(min(together, math.ceil(request.rest / seconds)), 1)
        return (seconds + request.rest / beside) * self._crowd()

    def _count(self) -> int:
        """Replicas that have lately been heard of; new ones are called too, and are then counted."""
        since = time.monotonic() - _MEMORY
        self._replicas = {name: heard for name, heard in self._replicas.items() if heard > since}
        return max(len(self._replicas), 1)

    async def _hear(self, window: Window, request: _Request, owed: float) -> None:
        job = window.job
        part = WindowRequest(request.name, window.number, window.samples, request.config, job.language, job.brief, owed)
        try:
            said: WindowResponse = await self._calls.call("hear", part)
        except TranscriptionError as error:
            job.answers.put(error)
        except BaseException:  # nobody is left waiting, whatever happens here
            job.answers.put(EngineFailure("a replica could not be called: the log says why"))
            raise
        else:
            self._replicas[said.replica] = time.monotonic()
            self._learn(job, said)
            job.answered += 1
            job.answers.put(said.heard)
        finally:
            job.running -= 1
            self._send()

    def _learn(self, job: Job, said: WindowResponse) -> None:
        """The language, from a window that was asked for it."""
        if job.language is None:
            job.language, job.guess = said.language, said.guess
            job.language_probability = said.language_probability
