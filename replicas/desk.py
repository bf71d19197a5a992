"""FarDesk: windows are decoded wherever a replica has room."""

import asyncio
import time
import uuid
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field

from audio import SAMPLE_RATE
from config import InferenceConfig
from engines.slots.jobs import Job, Window
from errors import EngineFailure, TranscriptionError
from replicas.calls import Calls
from replicas.wire import Part, Said, plain

_FIRST = 2  # windows for each replica with which a request begins whose first words are waited for
_MEMORY = 60.0  # seconds after which a replica that has said nothing may be gone


@dataclass(eq=False)
class _Request:
    """What the desk knows of a job. rest: seconds of its audio that have not been sent yet."""

    config: InferenceConfig
    rest: float
    name: str = field(default_factory=lambda: uuid.uuid4().hex)
    tasks: set[asyncio.Task[None]] = field(default_factory=set)


class FarDesk:
    """A desk (engines.slots.requests.Desk) over replicas. What it knows is touched by the calls' thread alone."""

    def __init__(self, calls: Calls, tells_language: bool) -> None:
        """tells_language: the model has several, so that a request's first window says which."""
        self._calls, self._tells_language = calls, tells_language
        self._requests: dict[Job, _Request] = {}
        self._replicas: dict[str, float] = {}  # when each was last heard of

    @contextmanager
    def job(self, job: Job) -> Iterator[Job]:
        """Within, the job is worked on; whoever leaves early has cancelled it."""
        request = _Request(plain(job.config), job.seconds)
        self._soon(lambda: self._requests.__setitem__(job, request))
        try:
            yield job
        finally:
            self._soon(lambda: self._leave(job))

    def submit(self, window: Window) -> None:
        """Queues a window of a job that is worked on."""

        def queue() -> None:
            window.job.waiting.append(window)
            self._send(window.job)

        self._soon(queue)

    def _soon(self, call: Callable[[], object]) -> None:
        self._calls.loop.call_soon_threadsafe(call)

    def _leave(self, job: Job) -> None:
        job.cancelled = True
        for task in self._requests.pop(job).tasks:
            task.cancel()

    def _send(self, job: Job) -> None:
        """As many of its windows as may be worked on together."""
        replicas = self._count()
        while job.may_enter(job.config.batch_size * replicas, _FIRST * replicas, self._tells_language):
            window = job.waiting.popleft()
            job.running += 1
            job.answers.put(None)
            request = self._requests[job]
            task = self._calls.loop.create_task(self._hear(window, request))
            request.tasks.add(task)
            task.add_done_callback(request.tasks.discard)

    def _count(self) -> int:
        """Replicas that have lately been heard of; new ones are called too, and are then counted."""
        since = time.monotonic() - _MEMORY
        self._replicas = {name: heard for name, heard in self._replicas.items() if heard > since}
        return max(len(self._replicas), 1)

    async def _hear(self, window: Window, request: _Request) -> None:
        job = window.job
        seconds = len(window.samples) / SAMPLE_RATE
        request.rest = max(request.rest - seconds, 0.0)
        part = Part(
            request.name, window.number, window.samples, request.config, job.language, job.brief,
            owed=seconds + request.rest / job.running,
        )  # fmt: skip
        try:
            said: Said = await self._calls.call("hear", part)
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
            self._send(job)

    def _learn(self, job: Job, said: Said) -> None:
        """The language, from a window that was asked for it."""
        if job.language is None:
            job.language, job.guess = said.language, said.guess
            job.language_probability = said.language_probability
