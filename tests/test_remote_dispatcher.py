"""RemoteDispatcher over replicas that answer on command: which window goes when, and what it reports of the rest."""

import asyncio
from contextlib import ExitStack
from typing import Any

import numpy as np
import pytest

from transcription.audio import SAMPLE_RATE
from transcription.cluster.messages import WindowRequest, WindowResponse
from transcription.cluster.remote_dispatcher import RemoteDispatcher
from transcription.cluster.replica_client import ReplicaClient
from transcription.config import InferenceConfig
from transcription.engines.batching.jobs import Answer, Heard, Job, Window
from transcription.errors import EngineFailure

MOST = 6  # windows of long requests for each replica
SECONDS = 30.0  # of each window


class Replicas(ReplicaClient):
    """ReplicaClient, within a running loop, of which each waits until it is answered."""

    def __init__(self) -> None:
        self.loop = asyncio.get_running_loop()
        self.calls: dict[WindowRequest, asyncio.Future[WindowResponse]] = {}

    async def call(self, method: str, *arguments: Any) -> Any:
        (part,) = arguments
        self.calls[part] = self.loop.create_future()
        try:
            return await self.calls[part]
        finally:
            del self.calls[part]

    def answer(self, number: int, replica: str = "one", language: str | None = "en") -> None:
        """The earliest call with this window."""
        call = next(call for part, call in self.calls.items() if part.number == number)
        call.set_result(WindowResponse(Heard(number, ()), language, None, None, replica))

    @property
    def numbers(self) -> list[int]:
        return [part.number for part in self.calls]

    @property
    def owed(self) -> float:
        """Seconds of audio, as recognisers report them together."""
        return sum(part.owed for part in self.calls)


class Scene:
    """A desk, and requests before it until the end of the block."""

    def __init__(self, crowd: float = 1.0) -> None:
        self.replicas = Replicas()
        self.desk = RemoteDispatcher(self.replicas, tells_language=True, most=MOST, crowd=lambda: crowd)
        self._left = ExitStack()

    async def __aenter__(self) -> "Scene":
        return self

    async def __aexit__(self, *_: object) -> None:
        self._left.close()
        await settled()
        assert self.replicas.calls == {}

    async def ask(self, first: int, count: int, brief: bool = False, language: str | None = "en", **config: Any) -> Job:
        """A request of `count` windows, numbered from `first`."""
        job = Job(InferenceConfig(**config), language, brief, seconds=count * SECONDS)
        self._left.enter_context(self.desk.job(job))
        for number in range(first, first + count):
            self.desk.submit(Window(job, number, np.zeros(round(SECONDS * SAMPLE_RATE), np.float32)))
        await settled()
        return job

    async def answer(self, number: int, **said: Any) -> None:
        self.replicas.answer(number, **said)
        await settled()


async def settled() -> None:
    """When all that could be done without an answer is done."""
    for _ in range(10):
        await asyncio.sleep(0)


def test_as_many_windows_go_out_as_all_replicas_take() -> None:
    async def scene() -> None:
        async with Scene() as there:
            await there.ask(0, 9, batch_size=2)
            assert there.replicas.numbers == [0, 1]
            await there.answer(0, replica="one")
            assert there.replicas.numbers == [1, 2]
            await there.answer(1, replica="another")
            assert there.replicas.numbers == [2, 3, 4, 5]

    asyncio.run(scene())


def test_one_window_tells_the_language_of_the_others() -> None:
    async def scene() -> None:
        async with Scene() as there:
            await there.ask(0, 4, language=None, batch_size=8)
            assert there.replicas.numbers == [0]
            await there.answer(0, language=None)
            assert there.replicas.numbers == [1]
            await there.answer(1, language="de")
            assert [(part.number, part.language) for part in there.replicas.calls] == [(2, "de"), (3, "de")]

    asyncio.run(scene())


def test_long_requests_leave_room_for_short_ones_and_share_the_rest() -> None:
    async def scene() -> None:
        async with Scene() as there:
            await there.ask(0, 9, batch_size=4)
            await there.ask(10, 9, batch_size=4)
            await there.ask(20, 9, batch_size=4)
            assert there.replicas.numbers == [0, 1, 2, 3, 10, 11]
            await there.ask(30, 1, brief=True)
            assert there.replicas.numbers == [0, 1, 2, 3, 10, 11, 30]
            await there.answer(0)
            assert there.replicas.numbers == [1, 2, 3, 10, 11, 30, 20]

    asyncio.run(scene())


def test_whose_turn_it_was_makes_room_when_they_leave() -> None:
    async def scene() -> None:
        async with Scene() as there:
            with there.desk.job(Job(InferenceConfig(batch_size=9), "en", brief=False)) as job:
                for number in range(9):
                    there.desk.submit(Window(job, number, np.zeros(SAMPLE_RATE, np.float32)))
                await there.ask(10, 2)
                assert there.replicas.numbers == [0, 1, 2, 3, 4, 5]
            await settled()
            assert there.replicas.numbers == [10, 11]

    asyncio.run(scene())


@pytest.mark.parametrize(("replicas", "batch_size"), [(1, 24), (1, 4), (3, 4)])
def test_what_is_sent_stands_for_all_that_is_left(replicas: int, batch_size: int) -> None:
    async def scene() -> None:
        async with Scene() as there:
            await there.ask(0, 120, batch_size=batch_size)
            for number in range(60):
                await there.answer(number, replica=str(number % replicas))
                left = (120 - number - 1) * SECONDS
                if number > 2 * replicas:  # how many there are has been found out
                    assert left <= there.replicas.owed <= 1.2 * left

    asyncio.run(scene())


def test_who_still_waits_to_come_in_counts_as_well() -> None:
    async def scene() -> None:
        async with Scene(crowd=2.5) as there:
            await there.ask(0, 1, brief=True)
            assert there.replicas.owed == 2.5 * SECONDS

    asyncio.run(scene())


def test_what_goes_wrong_is_told() -> None:
    async def scene() -> None:
        async with Scene() as there:
            job = await there.ask(0, 1)
            there.replicas.calls[next(iter(there.replicas.calls))].set_exception(EngineFailure("gone"))
            await settled()
            told: list[Answer | Heard | Exception | None] = [
                job.answers.get_nowait() for _ in range(job.answers.qsize())
            ]
            assert [str(answer) for answer in told] == ["None", "gone"]

    asyncio.run(scene())
