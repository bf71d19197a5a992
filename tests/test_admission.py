"""AdmissionController: its limits, its queue and its threads."""

import asyncio
import threading
from collections.abc import Awaitable, Callable
from typing import Any

import pytest

from transcription.context import RequestContext
from transcription.errors import Cancelled
from transcription.server.admission import AdmissionController
from transcription.server.api_errors import ApiError
from transcription.server.settings import ServerSettings


def run(scene: Callable[[AdmissionController], Awaitable[Any]], **settings: int) -> Any:
    """Run a scene with these settings; at its end no request is left."""

    async def play() -> Any:
        admission = AdmissionController(ServerSettings(**settings))  # type: ignore[arg-type]
        result = await scene(admission)
        await admission.close()
        assert (admission.running, admission.waiting, admission.uploading) == (0, 0, 0)
        return result

    return asyncio.run(play())


def nothing() -> None:
    pass


async def settle() -> None:
    """Let all tasks and threads go on as far as they can."""
    for _ in range(20):
        await asyncio.sleep(0.005)


def test_returns_the_results() -> None:
    async def scene(admission: AdmissionController) -> list[int]:
        return await asyncio.gather(*(admission.run(lambda n=n: n * n, RequestContext(), nothing) for n in range(10)))  # type: ignore[misc]

    assert run(scene, max_running=2) == [n * n for n in range(10)]


def test_raises_the_errors() -> None:
    async def scene(admission: AdmissionController) -> None:
        with pytest.raises(ZeroDivisionError):
            await admission.run(lambda: 1 // 0, RequestContext(), nothing)

    run(scene)


def test_returns_429_with_retry_after_when_queue_is_full() -> None:
    async def scene(admission: AdmissionController) -> None:
        may_end = threading.Event()
        held = [admission.run(may_end.wait, RequestContext(), nothing) for _ in range(2)]
        await settle()
        assert (admission.running, admission.waiting, admission.load) == (1, 1, 2)
        with pytest.raises(ApiError) as caught:
            await admission.run(may_end.wait, RequestContext(), nothing)
        assert (caught.value.status, caught.value.reason) == (429, "queue_full")
        assert caught.value.headers == {"Retry-After": "2"}  # two requests of one second each come first
        with pytest.raises(ApiError):
            async with admission.upload():
                pass
        may_end.set()
        assert await asyncio.gather(*held) == [True, True]
        assert await admission.run(lambda: 1, RequestContext(), nothing) == 1

    run(scene, max_running=1, max_waiting=1)


def test_refuses_all_above_max_running_without_a_queue() -> None:
    async def scene(admission: AdmissionController) -> None:
        may_end = threading.Event()
        held = admission.run(may_end.wait, RequestContext(), nothing)
        await settle()
        with pytest.raises(ApiError):
            admission.check()
        may_end.set()
        await held
        admission.check()

    run(scene, max_running=1, max_waiting=0)


def test_request_cancelled_in_the_queue_never_runs() -> None:
    async def scene(admission: AdmissionController) -> list[str]:
        may_end, done = threading.Event(), list[str]()
        held = admission.run(may_end.wait, RequestContext(), nothing)
        left = admission.run(lambda: done.append("left"), RequestContext(), nothing)
        await settle()
        left.cancel()
        await settle()
        assert (admission.running, admission.waiting) == (1, 0)
        may_end.set()
        await held
        return done

    assert run(scene, max_running=1) == []


def test_place_is_free_only_when_the_thread_has_ended() -> None:
    async def scene(admission: AdmissionController) -> None:
        context, cancelled, may_end = RequestContext(), threading.Event(), threading.Event()

        def work() -> None:
            with context.on_cancel(cancelled.set):
                assert cancelled.wait(10)
                assert may_end.wait(10)
                context.check_cancelled()

        task = admission.run(work, context, nothing)
        await settle()
        task.cancel()
        await asyncio.to_thread(cancelled.wait, 10)
        await settle()
        assert admission.running == 1
        may_end.set()
        with pytest.raises((asyncio.CancelledError, Cancelled)):
            await task
        assert admission.running == 0

    run(scene, max_running=1)


def test_returns_429_above_max_uploads() -> None:
    async def scene(admission: AdmissionController) -> None:
        async with admission.upload():
            with pytest.raises(ApiError) as caught:
                async with admission.upload():
                    pass
        assert (caught.value.status, caught.value.reason) == (429, "too_many_uploads")
        async with admission.upload():
            pass

    run(scene, max_uploads=1)


def test_returns_503_with_retry_after_while_draining() -> None:
    async def scene(admission: AdmissionController) -> None:
        admission.draining = True
        with pytest.raises(ApiError) as caught:
            admission.check()
        assert (caught.value.status, caught.value.headers) == (503, {"Retry-After": "5"})

    run(scene)
