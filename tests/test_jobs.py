"""The path of a request through a job: whatever happens, its body is closed."""

import asyncio
from collections.abc import Awaitable, Callable
from types import SimpleNamespace
from typing import Any

import pytest
from starlette.responses import PlainTextResponse, Response

from transcription.context import RequestContext
from transcription.errors import Cancelled, InvalidRequest
from transcription.server.admission import AdmissionController
from transcription.server.jobs import Job, run
from transcription.server.settings import ServerSettings


class Body:
    """A body that knows whether it is closed."""

    closed = False

    def close(self) -> None:
        self.closed = True


class FakeService:
    """A service whose clients may disconnect at once."""

    def __init__(self, client_leaves: bool) -> None:
        self.client_leaves = client_leaves
        self.admission = AdmissionController(ServerSettings())

    async def receive(self, request: Any, read: Callable[[Any, int], Awaitable[Body]], max_bytes: int) -> Body:
        return await read(request, max_bytes)

    def begin(self, _: Any, work: Callable[[], Any], context: RequestContext) -> asyncio.Task[Any]:
        return self.admission.run(work, context, lambda: None)

    async def result_of(self, _: Any, task: asyncio.Task[Any]) -> Any:
        if self.client_leaves:
            task.cancel()
            raise Cancelled
        return await task


def respond(body: Body, work: Callable[[RequestContext], str], client_leaves: bool = False) -> Response:
    """Run a job with a body; at its end all work has ended."""

    async def read(_: Any, max_bytes: int) -> Body:
        assert max_bytes == 100
        return body

    async def prepare(received: Body) -> Job[str]:
        assert received is body
        assert not body.closed
        return Job(work, PlainTextResponse)

    async def scene() -> Response:
        service = FakeService(client_leaves)
        request: Any = SimpleNamespace(app=SimpleNamespace(state=SimpleNamespace(service=service)))
        try:
            return await run(request, read, 100, prepare)
        finally:
            await service.admission.close()

    return asyncio.run(scene())


def test_body_is_open_during_the_work_and_closed_after_it() -> None:
    body = Body()
    response = respond(body, lambda _: str(body.closed))
    assert (response.body, body.closed) == (b"False", True)


def test_body_is_closed_if_the_work_fails() -> None:
    def fail(_: RequestContext) -> str:
        raise InvalidRequest("wrong")

    body = Body()
    with pytest.raises(InvalidRequest):
        respond(body, fail)
    assert body.closed


def test_body_is_closed_if_the_client_disconnects() -> None:
    body = Body()
    with pytest.raises(Cancelled):
        respond(body, lambda _: "unread", client_leaves=True)
    assert body.closed


def test_body_is_closed_if_the_request_is_refused() -> None:
    async def read(_: Any, __: int) -> Body:
        return body

    async def refuse(_: Body) -> Job[str]:
        raise InvalidRequest("wrong")

    async def scene() -> None:
        request: Any = SimpleNamespace(app=SimpleNamespace(state=SimpleNamespace(service=FakeService(False))))
        await run(request, read, 100, refuse)

    body = Body()
    with pytest.raises(InvalidRequest):
        asyncio.run(scene())
    assert body.closed
