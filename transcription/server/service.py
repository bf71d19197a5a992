"""Service: the models and the limits that the routes share, and the steps of a request."""

import asyncio
import contextlib
import logging
import threading
import time
from collections.abc import Awaitable, Callable, Sequence
from typing import IO, Any, TypeVar

from starlette.requests import Request

from transcription.audio import Audio, load_audio
from transcription.config import InferenceConfig
from transcription.context import RequestContext
from transcription.endpoint import EndpointHandler
from transcription.errors import Cancelled, InvalidSettings
from transcription.server.admission import AdmissionController
from transcription.server.api_errors import ApiError
from transcription.server.bodies import disconnected
from transcription.server.fetching import Fetcher
from transcription.server.metrics import Metrics
from transcription.server.request_log import RequestRecord, propagate_transformers_logs, record_of
from transcription.server.sessions import Sessions
from transcription.server.settings import ServerSettings
from transcription.transcriber import Transcriber, as_engine_failure
from transcription.transcript import Transcript

logger = logging.getLogger("transcription")
T = TypeVar("T")
_MAX_FAILURES = 5  # in a row, of a service that is ok


class Service:
    """The models, which load while /health already answers, and the steps of a request."""

    def __init__(self, settings: ServerSettings, load: Callable[[], Transcriber]) -> None:
        """Take the function that loads the models; it raises InvalidSettings if it cannot."""
        self.settings, self._load = settings, load
        self.admission = AdmissionController(settings)
        self.sessions = Sessions(settings)
        self.fetcher = Fetcher(settings.audio_url_hosts)
        self.handler: EndpointHandler | None = None
        self.failed = False
        self.started = int(time.time())
        self.metrics = Metrics(
            lambda: self.admission.running,
            lambda: self.admission.waiting,
            self._out_of_memory,
            lambda: self.sessions.count,
        )

    async def load(self) -> None:
        """Load the models, or set `failed`."""
        started = time.perf_counter()
        try:
            transcriber = await self._load_in_thread()
        except Exception as error:
            self.failed = True
            is_known = isinstance(error, InvalidSettings)
            logger.error(
                str(error) if is_known else "the models cannot be loaded", exc_info=None if is_known else error
            )
            return
        self.handler = EndpointHandler(transcriber=transcriber)
        seconds = round(time.perf_counter() - started, 1)
        logger.info("ready", extra={"fields": {"seconds": seconds, "model": self.model}})

    async def _load_in_thread(self) -> Transcriber:
        """Load the models in a daemon thread: a download that hangs does not delay the end of the process."""
        loop = asyncio.get_running_loop()
        loaded: asyncio.Future[Transcriber] = loop.create_future()

        def load() -> None:
            try:
                transcriber = self._load_and_warm_up()
            except Exception as error:
                finish(loaded.set_exception, error)
            else:
                finish(loaded.set_result, transcriber)

        def finish(set_outcome: Callable[[Any], None], outcome: object) -> None:
            with contextlib.suppress(RuntimeError):  # the loop has ended
                loop.call_soon_threadsafe(lambda: None if loaded.done() else set_outcome(outcome))

        threading.Thread(target=load, name="load", daemon=True).start()
        return await loaded

    def _load_and_warm_up(self) -> Transcriber:
        """Load the models and warm them up with one second of silence."""
        transcriber = self._load()
        transcriber.engine.warm_up()
        propagate_transformers_logs()
        return transcriber

    @property
    def status(self) -> str:
        """Return ok, loading, or failing: the models failed on the last requests."""
        if self.handler is None:
            return "loading"
        return "ok" if self.handler.transcriber.failures < _MAX_FAILURES else "failing"

    @property
    def ready(self) -> bool:
        """Whether new requests are accepted."""
        return self.status == "ok" and not self.admission.draining

    @property
    def endpoint(self) -> EndpointHandler:
        """The handler of Inference Endpoints. Raises ApiError while the models are loading."""
        if self.handler is None:
            raise ApiError(503, "loading", "the models are loading: send the request again", retry_after=5)
        return self.handler

    @property
    def transcriber(self) -> Transcriber:
        """The transcriber. Raises ApiError while the models are loading."""
        return self.endpoint.transcriber

    @property
    def max_audio_bytes(self) -> int:
        """The size of the largest audio file. Raises ApiError while the models are loading."""
        return self.transcriber.settings.max_audio_bytes

    @property
    def model(self) -> str:
        """The name of the model, which shows no path of this machine."""
        from transcription.whisper.loading import display_name  # here, because torch takes seconds to import

        return self.settings.served_model_name or display_name(self.transcriber.settings.asr_model)

    async def receive(self, request: Request, read: Callable[[Request, int], Awaitable[T]], max_bytes: int) -> T:
        """Receive the body of a request with `read`. Raises ApiError, InvalidRequest, Cancelled."""
        record = record_of(request)
        try:
            async with self.admission.upload(), asyncio.timeout(self.remaining_seconds(record)):
                with record.stage("upload"):
                    return await read(request, max_bytes)
        except TimeoutError:
            raise ApiError(408, "upload_too_slow", "the body did not arrive in time: send less, or faster") from None

    async def fetch(self, request: Request, url: str, max_bytes: int) -> IO[bytes]:
        """Download the audio at a URL; it counts as an upload. The caller closes the file.

        Raises ApiError, Cancelled.
        """
        async with self.admission.upload():
            with record_of(request).stage("upload"):
                return await self.result_of(request, asyncio.create_task(self.fetcher.fetch(url, max_bytes)))

    def begin(self, request: Request, work: Callable[[], T], context: RequestContext) -> asyncio.Task[T]:
        """Return a task that does the work in a thread when a place is free."""
        record, queued = record_of(request), time.perf_counter()
        return self.admission.run(work, context, lambda: record.add_stage("queue", time.perf_counter() - queued))

    async def result_of(self, request: Request, task: asyncio.Task[T]) -> T:
        """Wait for a task, and cancel it if the client disconnects or the deadline passes.

        Raises ApiError after the deadline, Cancelled if the client disconnects, and the errors of the task.
        """
        disconnect = asyncio.create_task(disconnected(request))
        try:
            timeout = self.remaining_seconds(record_of(request))
            await asyncio.wait({task, disconnect}, timeout=timeout, return_when=asyncio.FIRST_COMPLETED)
            if task.done():
                return task.result()
            raise Cancelled if disconnect.done() else self.deadline_error()
        finally:
            disconnect.cancel()
            task.cancel()

    def transcribe(
        self, file: IO[bytes], config: InferenceConfig, context: RequestContext, record: RequestRecord,
        on_audio: Callable[[Audio], None] = lambda _: None, warnings: Sequence[str] = (),
    ) -> Transcript:  # fmt: skip
        """Decode and transcribe a file, in the calling thread. `on_audio` gets the decoded audio.

        `warnings` become those of the transcript.

        Raises TranscriptionError.
        """
        transcriber = self.transcriber
        with as_engine_failure():
            with record.stage("decode"):
                audio = load_audio(file, transcriber.limits, config.multichannel, context)
            on_audio(audio)
            with record.stage("transcribe"):
                transcript = transcriber.transcribe(audio, config, context)
        record.add_audio(transcript.duration)
        return transcript.with_warnings(*warnings)

    def remaining_seconds(self, record: RequestRecord) -> float:
        """Return the seconds until the deadline of a request."""
        return max(record.started + self.settings.request_seconds - time.perf_counter(), 0.0)

    def deadline_error(self) -> ApiError:
        """Return the error of a request whose deadline has passed."""
        seconds = self.settings.request_seconds
        return ApiError(504, "deadline", f"the request took longer than {seconds:g} s: send shorter audio")

    def _out_of_memory(self) -> int:
        return 0 if self.handler is None else self.handler.transcriber.engine.out_of_memory


def service_of(request: Request) -> Service:
    """Return the service of the application that received a request."""
    service: Service = request.app.state.service
    return service
