"""Job: what a route does with the body of a request. `run` is the same path for every route."""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Generic, Protocol, TypeVar

from starlette.requests import Request
from starlette.responses import Response

from transcription.context import RequestContext
from transcription.server.service import service_of
from transcription.server.streaming import EventStream

T = TypeVar("T")


class Body(Protocol):
    """A received body, whose files must be closed."""

    def close(self) -> None:
        """Close the files."""
        ...


B = TypeVar("B", bound=Body)


@dataclass(frozen=True)
class Job(Generic[T]):
    """Work for a thread, and how its result is answered: by a function of it, or as a stream of events."""

    work: Callable[[RequestContext], T]
    answer: Callable[[T], Response] | EventStream


async def run(
    request: Request,
    read: Callable[[Request, int], Awaitable[B]],
    max_bytes: int,
    prepare: Callable[[B], Awaitable[Job[T]]],
) -> Response:
    """Receive a body, run the job that `prepare` makes of it, and return the response.

    The body is closed when the work has ended, also if it fails or the client disconnects.
    Raises ApiError and TranscriptionError.
    """
    service = service_of(request)
    body = await service.receive(request, read, max_bytes)
    try:
        job = await prepare(body)
        context = job.answer.context if isinstance(job.answer, EventStream) else RequestContext()
        task = service.begin(request, lambda: job.work(context), context)
    except BaseException:
        body.close()
        raise
    task.add_done_callback(lambda _: body.close())
    if isinstance(job.answer, EventStream):
        return await job.answer.response(task)
    return job.answer(await service.result_of(request, task))
