"""RemoteDispatcher: windows are decoded by the engine replicas that have room."""

import asyncio
import math
import time
from collections.abc import Callable
from concurrent.futures import Future

from transcription.audio import Samples
from transcription.cluster.messages import WindowRequest, WindowResponse
from transcription.cluster.replica_client import ReplicaClient
from transcription.engines.batching.scheduler import Quota, Scheduler
from transcription.engines.batching.window import (
    DEFAULT_OPTIONS,
    DecodingRequest,
    Window,
    WindowOptions,
    WindowResult,
)
from transcription.errors import EngineFailure, TranscriptionError

_FIRST_WINDOWS = 2  # windows per replica with which a streaming request begins
_REPLICA_TIMEOUT = 60.0  # seconds after the last response of a replica until it is no longer counted


class RemoteDispatcher:
    """A window decoder (engines.batching.window.WindowDecoder) over replicas.

    Its state is touched by the client's event loop alone.
    """

    def __init__(self, client: ReplicaClient, detects_language: bool, max_long: int, load: Callable[[], float]) -> None:
        """Call engine replicas through a client.

        detects_language: the model is multilingual. max_long: windows of long requests per replica from here, so that
        short requests always find a place. load: requests that came in per request that is being worked on.
        """
        self._client, self._max_long, self._load = client, max_long, load
        self._scheduler = Scheduler(Quota(), detects_language)
        self._last_response: dict[str, float] = {}  # replica → time
        self._update_quota()

    def submit(
        self, request: DecodingRequest, samples: Samples, options: WindowOptions = DEFAULT_OPTIONS
    ) -> Future[WindowResult]:
        """Queue a window of a request, and return the future of its result. Cancelling it cancels the call."""
        window = Window(request, samples, options)

        def queue() -> None:
            self._scheduler.add(window)
            self._dispatch()

        self._client.loop.call_soon_threadsafe(queue)
        return window.future

    def queue_limit(self, request: DecodingRequest) -> int:
        """Return how many windows of the request may be submitted and not finished."""
        return self._scheduler.queue_limit(request)

    def _dispatch(self) -> None:
        """Send all windows that may be decoded now."""
        self._update_quota()
        while (window := self._scheduler.next_window()) is not None:
            task = self._client.loop.create_task(self._decode(window, self._audio_seconds(window)))
            window.future.add_done_callback(_cancel_task(task, self._client.loop))

    def _update_quota(self) -> None:
        """Count the replicas that have responded lately; new ones are called too, and are counted from then on."""
        since = time.monotonic() - _REPLICA_TIMEOUT
        self._last_response = {name: at for name, at in self._last_response.items() if at > since}
        count = max(len(self._last_response), 1)
        self._scheduler.quota = Quota(long=self._max_long * count, decoders=count, first=_FIRST_WINDOWS * count)

    def _audio_seconds(self, window: Window) -> float:
        """Return the seconds of audio that a window stands for (messages.WindowRequest).

        Requests that wait for a place count as if they were like those that are being worked on.
        """
        request = window.request
        beside = min(self._scheduler.limit(request), math.ceil(request.pending_seconds / window.seconds))
        return (window.seconds + request.pending_seconds / max(beside, 1)) * self._load()

    async def _decode(self, window: Window, audio_seconds: float) -> None:
        request = window.request
        message = WindowRequest(
            request.name, window.samples, request.config, request.language, request.is_short, audio_seconds,
            request.is_live, window.options,
        )  # fmt: skip
        finished = False
        try:
            response: WindowResponse = await self._client.call("decode_window", message)
        except TranscriptionError as error:
            window.fail(error)
        except BaseException:  # no window is left waiting, whatever happens here
            window.fail(EngineFailure("a replica could not be called: see the log"))
            raise
        else:
            finished = True
            self._last_response[response.replica] = time.monotonic()
            _update_language(request, response)
            window.resolve(response.result)
        finally:
            self._scheduler.release(window, finished)
            self._dispatch()


def _update_language(request: DecodingRequest, response: WindowResponse) -> None:
    if request.language is None:
        request.language, request.language_guess = response.language, response.language_guess
        request.language_probability = response.language_probability


def _cancel_task(task: asyncio.Task[None], loop: asyncio.AbstractEventLoop) -> Callable[[Future[WindowResult]], None]:
    """Return a callback that cancels the task if the future is cancelled, from any thread."""

    def cancel(future: Future[WindowResult]) -> None:
        if future.cancelled():
            loop.call_soon_threadsafe(task.cancel)

    return cancel
