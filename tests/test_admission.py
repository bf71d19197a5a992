"""The admission: so many in, so many in line, and nobody forgotten."""

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
    """A scene at a admission with these settings; in the end nobody is left in it."""

    async def play() -> Any:
        admission = AdmissionController(ServerSettings(**settings))  # type: ignore[arg-type]
        result = await scene(admission)
        await admission.close()
        assert (admission.running, admission.waiting, admission.uploading) == (0, 0, 0)
        return result

    return asyncio.run(play())


def nothing() -> None:
    pass


async def turn() -> None:
    """Everybody does what they can."""
    for _ in range(20):
        await asyncio.sleep(0.005)


def test_what_is_worked_out_comes_back() -> None:
    async def scene(admission: AdmissionController) -> list[int]:
        return await asyncio.gather(*(admission.run(lambda n=n: n * n, RequestContext(), nothing) for n in range(10)))  # type: ignore[misc]

    assert run(scene, max_running=2) == [n * n for n in range(10)]


def test_what_fails_comes_back_too() -> None:
    async def scene(admission: AdmissionController) -> None:
        with pytest.raises(ZeroDivisionError):
            await admission.run(lambda: 1 // 0, RequestContext(), nothing)

    run(scene)


def test_past_the_queue_it_is_full_until_somebody_leaves() -> None:
    async def scene(admission: AdmissionController) -> None:
        go_on = threading.Event()
        held = [admission.run(go_on.wait, RequestContext(), nothing) for _ in range(2)]
        await turn()
        assert (admission.running, admission.waiting, admission.load) == (1, 1, 2)
        with pytest.raises(ApiError) as caught:
            await admission.run(go_on.wait, RequestContext(), nothing)
        assert (caught.value.status, caught.value.reason) == (429, "queue_full")
        assert caught.value.headers == {"Retry-After": "2"}  # two requests of a second each are before it
        with pytest.raises(ApiError):
            async with admission.upload():
                pass
        go_on.set()
        assert await asyncio.gather(*held) == [True, True]
        assert await admission.run(lambda: 1, RequestContext(), nothing) == 1

    run(scene, max_running=1, max_waiting=1)


def test_without_a_queue_the_next_is_refused() -> None:
    async def scene(admission: AdmissionController) -> None:
        go_on = threading.Event()
        held = admission.run(go_on.wait, RequestContext(), nothing)
        await turn()
        with pytest.raises(ApiError):
            admission.check()
        go_on.set()
        await held
        admission.check()

    run(scene, max_running=1, max_waiting=0)


def test_who_leaves_the_queue_is_never_worked_on() -> None:
    async def scene(admission: AdmissionController) -> list[str]:
        go_on, done = threading.Event(), list[str]()
        held = admission.run(go_on.wait, RequestContext(), nothing)
        left = admission.run(lambda: done.append("left"), RequestContext(), nothing)
        await turn()
        left.cancel()
        await turn()
        assert (admission.running, admission.waiting) == (1, 0)
        go_on.set()
        await held
        return done

    assert run(scene, max_running=1) == []


def test_a_place_is_free_when_the_thread_has_ended_and_not_before() -> None:
    async def scene(admission: AdmissionController) -> None:
        context, told, go_on = RequestContext(), threading.Event(), threading.Event()

        def work() -> None:
            with context.on_cancel(told.set):
                assert told.wait(10)
                assert go_on.wait(10)
                context.check_cancelled()

        task = admission.run(work, context, nothing)
        await turn()
        task.cancel()
        await asyncio.to_thread(told.wait, 10)
        await turn()
        assert admission.running == 1
        go_on.set()
        with pytest.raises((asyncio.CancelledError, Cancelled)):
            await task
        assert admission.running == 0

    run(scene, max_running=1)


def test_uploads_are_counted() -> None:
    async def scene(admission: AdmissionController) -> None:
        async with admission.upload():
            with pytest.raises(ApiError) as caught:
                async with admission.upload():
                    pass
        assert (caught.value.status, caught.value.reason) == (429, "too_many_uploads")
        async with admission.upload():
            pass

    run(scene, max_uploads=1)


def test_who_comes_while_it_shuts_is_sent_elsewhere() -> None:
    async def scene(admission: AdmissionController) -> None:
        admission.draining = True
        with pytest.raises(ApiError) as caught:
            admission.check()
        assert (caught.value.status, caught.value.headers) == (503, {"Retry-After": "5"})

    run(scene)
