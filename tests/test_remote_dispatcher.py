"""RemoteDispatcher over replicas that answer on command: which window goes when, and what it reports of the rest."""

import asyncio
from concurrent.futures import Future
from typing import Any

import numpy as np
import pytest

from transcription.audio import SAMPLE_RATE
from transcription.cluster.messages import WindowRequest, WindowResponse
from transcription.cluster.remote_dispatcher import RemoteDispatcher
from transcription.cluster.replica_client import ReplicaClient
from transcription.config import InferenceConfig
from transcription.engines.batching.window import DecodingRequest, Phrase, WindowOptions, WindowResult
from transcription.errors import EngineFailure

MAX_LONG = 6  # windows of long requests per replica
SECONDS = 30.0  # per window


class Replicas(ReplicaClient):
    """A client inside a running event loop, whose calls wait until they are answered."""

    def __init__(self) -> None:
        self.loop = asyncio.get_running_loop()
        self.calls: dict[WindowRequest, asyncio.Future[WindowResponse]] = {}

    async def call(self, method: str, *arguments: Any) -> Any:
        (message,) = arguments
        self.calls[message] = self.loop.create_future()
        try:
            return await self.calls[message]
        finally:
            del self.calls[message]

    def answer(self, number: int, replica: str = "one", language: str | None = "en") -> None:
        """Answer the first call for a window."""
        call = next(call for message, call in self.calls.items() if message.samples[0] == number)
        call.set_result(WindowResponse(WindowResult(()), language, None, None, replica))

    @property
    def numbers(self) -> list[int]:
        return [int(message.samples[0]) for message in self.calls]

    @property
    def audio_seconds(self) -> float:
        """Seconds of audio that the replicas report together."""
        return sum(message.audio_seconds for message in self.calls)


class Scene:
    """A dispatcher, and requests that are cancelled at the end of the block."""

    def __init__(self, load: float = 1.0) -> None:
        self.replicas = Replicas()
        self.dispatcher = RemoteDispatcher(self.replicas, detects_language=True, max_long=MAX_LONG, load=lambda: load)
        self.futures: list[Future[WindowResult]] = []

    async def __aenter__(self) -> "Scene":
        return self

    async def __aexit__(self, *_: object) -> None:
        for future in self.futures:
            future.cancel()
        await settled()
        assert self.replicas.calls == {}

    async def submit(
        self, first: int, count: int, is_short: bool = False, language: str | None = "en", **config: Any
    ) -> list[Future[WindowResult]]:
        """Submit a request of `count` windows, numbered from `first`."""
        request = DecodingRequest(InferenceConfig(**config), language, is_short, pending_seconds=count * SECONDS)
        futures = []
        for number in range(first, first + count):
            samples = np.full(round(SECONDS * SAMPLE_RATE), number, np.float32)
            futures.append(self.dispatcher.submit(request, samples))
        self.futures += futures
        await settled()
        return futures

    async def answer(self, number: int, **response: Any) -> None:
        self.replicas.answer(number, **response)
        await settled()


async def settled() -> None:
    """Wait until everything is done that needs no answer."""
    for _ in range(12):
        await asyncio.sleep(0)


def test_sends_as_many_windows_as_all_known_replicas_take() -> None:
    async def scene() -> None:
        async with Scene() as scene:
            await scene.submit(0, 9, batch_size=2)
            assert scene.replicas.numbers == [0, 1]
            await scene.answer(0, replica="one")
            assert scene.replicas.numbers == [1, 2]
            await scene.answer(1, replica="another")
            assert scene.replicas.numbers == [2, 3, 4, 5]

    asyncio.run(scene())


def test_one_window_tells_the_language_of_the_others() -> None:
    async def scene() -> None:
        async with Scene() as scene:
            await scene.submit(0, 4, language=None, batch_size=8)
            assert scene.replicas.numbers == [0]
            await scene.answer(0, language=None)
            assert scene.replicas.numbers == [1]
            await scene.answer(1, language="de")
            assert [(int(call.samples[0]), call.language) for call in scene.replicas.calls] == [(2, "de"), (3, "de")]

    asyncio.run(scene())


def test_all_that_a_window_asks_for_is_sent() -> None:
    async def scene() -> None:
        async with Scene() as scene:
            request = DecodingRequest(InferenceConfig(), "en", is_live=True)
            options = WindowOptions("de", False, "So", (Phrase((" budget",), 0.5, 1.0),))
            samples = np.zeros(SAMPLE_RATE, np.float32)
            scene.futures.append(scene.dispatcher.submit(request, samples, options))
            await settled()
            (call,) = scene.replicas.calls
            assert (call.options, call.is_live) == (options, True)

    asyncio.run(scene())


def test_long_requests_leave_room_for_short_ones_and_share_the_rest() -> None:
    async def scene() -> None:
        async with Scene() as scene:
            await scene.submit(0, 9, batch_size=4)
            await scene.submit(10, 9, batch_size=4)
            await scene.submit(20, 9, batch_size=4)
            assert scene.replicas.numbers == [0, 1, 2, 3, 10, 11]
            await scene.submit(30, 1, is_short=True)
            assert scene.replicas.numbers == [0, 1, 2, 3, 10, 11, 30]
            await scene.answer(0)
            assert scene.replicas.numbers == [1, 2, 3, 10, 11, 30, 20]

    asyncio.run(scene())


def test_a_cancelled_request_makes_room_for_the_next() -> None:
    async def scene() -> None:
        async with Scene() as scene:
            futures = await scene.submit(0, 9, batch_size=9)
            await scene.submit(10, 2)
            assert scene.replicas.numbers == [0, 1, 2, 3, 4, 5]
            for future in futures:
                future.cancel()
            await settled()
            assert scene.replicas.numbers == [10, 11]

    asyncio.run(scene())


@pytest.mark.parametrize(("replicas", "batch_size"), [(1, 24), (1, 4), (3, 4)])
def test_sent_windows_stand_for_all_audio_that_is_left(replicas: int, batch_size: int) -> None:
    async def scene() -> None:
        async with Scene() as scene:
            await scene.submit(0, 120, batch_size=batch_size)
            for number in range(60):
                await scene.answer(number, replica=str(number % replicas))
                left = (120 - number - 1) * SECONDS
                if number > 2 * replicas:  # from here on all replicas are known
                    assert left <= scene.replicas.audio_seconds <= 1.2 * left

    asyncio.run(scene())


def test_requests_that_wait_for_a_place_count_as_audio_too() -> None:
    async def scene() -> None:
        async with Scene(load=2.5) as scene:
            await scene.submit(0, 1, is_short=True)
            assert scene.replicas.audio_seconds == 2.5 * SECONDS

    asyncio.run(scene())


def test_an_error_of_a_replica_is_the_error_of_the_window() -> None:
    async def scene() -> None:
        async with Scene() as scene:
            (future,) = await scene.submit(0, 1)
            next(iter(scene.replicas.calls.values())).set_exception(EngineFailure("gone"))
            await settled()
            assert str(future.exception(0)) == "gone"

    asyncio.run(scene())
