"""Service: the models, and how one request gets from its body to its answer."""

import asyncio
import contextlib
import io
import logging
import threading
import time
import wave
from collections.abc import Awaitable, Callable
from typing import IO, Any, TypeVar

from starlette.requests import Request

from transcription.audio import SAMPLE_RATE, Audio, load_audio
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
from transcription.server.settings import ServerSettings
from transcription.transcriber import Transcriber, as_engine_failure
from transcription.transcript import Transcript

logger = logging.getLogger("transcription")
T = TypeVar("T")
_FAILING = 5  # failures in a row


class Service:
    """What the routes share. The models are loaded while it already answers."""

    def __init__(self, settings: ServerSettings, load: Callable[[], Transcriber]) -> None:
        """load: makes the Transcriber; raises InvalidSettings."""
        self.settings, self._load = settings, load
        self.admission = AdmissionController(settings)
        self.fetcher = Fetcher(settings.audio_url_hosts)
        self.handler: EndpointHandler | None = None
        self.failed = False
        self.started = int(time.time())
        self.metrics = Metrics(lambda: self.admission.running, lambda: self.admission.waiting, self._out_of_memory)

    async def load(self) -> None:
        """Loads the models; `failed` when they cannot be."""
        began = time.perf_counter()
        try:
            transcriber = await self._warmed()
        except Exception as error:
            self.failed = True
            told = str(error) if isinstance(error, InvalidSettings) else "the models cannot be loaded"
            logger.error(told, exc_info=None if isinstance(error, InvalidSettings) else error)
            return
        self.handler = EndpointHandler(transcriber=transcriber)
        logger.info("ready", extra={"told": {"seconds": round(time.perf_counter() - began, 1), "model": self.model}})

    async def _warmed(self) -> Transcriber:
        """In a thread that nobody has to wait for: a download that hangs would hold up the end of the process."""
        loop = asyncio.get_running_loop()
        found: asyncio.Future[Transcriber] = loop.create_future()

        def work() -> None:
            try:
                transcriber = self._warm()
            except Exception as error:
                tell(found.set_exception, error)
            else:
                tell(found.set_result, transcriber)

        def tell(how: Callable[[Any], None], what: object) -> None:
            with contextlib.suppress(RuntimeError):  # the loop has ended meanwhile
                loop.call_soon_threadsafe(lambda: None if found.done() else how(what))

        threading.Thread(target=work, name="load", daemon=True).start()
        return await found

    def _warm(self) -> Transcriber:
        """The models, after a first request of a second of silence: what is loaded when it is first used is there."""
        transcriber = self._load()
        file = io.BytesIO()
        with wave.open(file, "wb") as sound:
            sound.setparams((1, 2, SAMPLE_RATE, 0, "NONE", "NONE"))
            sound.writeframes(bytes(2 * SAMPLE_RATE))
        transcriber.transcribe(load_audio(file.getvalue()), InferenceConfig())
        propagate_transformers_logs()
        return transcriber

    @property
    def status(self) -> str:
        """ok, loading, or failing: the models have failed on several requests in a row, and on none since."""
        if self.handler is None:
            return "loading"
        return "ok" if self.handler.transcriber.failures < _FAILING else "failing"

    @property
    def ready(self) -> bool:
        """Whether a request would be worked on."""
        return self.status == "ok" and not self.admission.draining

    @property
    def endpoint(self) -> EndpointHandler:
        """The handler, which holds the transcriber. Raises ApiError while it is being loaded."""
        if self.handler is None:
            raise ApiError(503, "loading", "the models are being loaded: send the request again", retry_after=5)
        return self.handler

    @property
    def transcriber(self) -> Transcriber:
        """Raises ApiError while it is being loaded."""
        return self.endpoint.transcriber

    @property
    def model(self) -> str:
        """What clients call the model: no path of this machine."""
        from transcription.whisper.loading import display_name  # here, as torch takes seconds to import

        return self.settings.served_model_name or display_name(self.transcriber.settings.asr_model)

    async def receive(self, request: Request, read: Callable[[Request, int], Awaitable[T]], most: int) -> T:
        """A body as `read` reads it. Raises ApiError, InvalidRequest, Cancelled."""
        record = record_of(request)
        try:
            async with self.admission.upload(), asyncio.timeout(self.remaining(record)):
                with record.stage("upload"):
                    return await read(request, most)
        except TimeoutError:
            raise ApiError(408, "upload_too_slow", "the body did not arrive in time: send less, or faster") from None

    async def fetch(self, request: Request, url: str, most: int) -> IO[bytes]:
        """A recording by its address: an upload too, of which somebody else sends the bytes.

        Raises ApiError, Cancelled.
        """
        async with self.admission.upload():
            with record_of(request).stage("upload"):
                return await self.finished(request, asyncio.create_task(self.fetcher.fetch(url, most)))

    def begin(self, request: Request, work: Callable[[], T], context: RequestContext) -> asyncio.Task[T]:
        """`work` in a thread of its own, when its turn has come."""
        record, asked = record_of(request), time.perf_counter()
        return self.admission.work(work, context, lambda: record.took("queue", time.perf_counter() - asked))

    async def finished(self, request: Request, task: asyncio.Task[T]) -> T:
        """What comes of a task, while the client waits for it. Raises ApiError, Cancelled, and what the task raises."""
        gone = asyncio.create_task(disconnected(request))
        try:
            await asyncio.wait(
                {task, gone}, timeout=self.remaining(record_of(request)), return_when=asyncio.FIRST_COMPLETED
            )
            if task.done():
                return task.result()
            raise Cancelled if gone.done() else self.late()
        finally:
            gone.cancel()
            task.cancel()

    def transcribe(
        self, file: IO[bytes], config: InferenceConfig, context: RequestContext, record: RequestRecord,
        decoded: Callable[[Audio], None] | None = None,
    ) -> Transcript:  # fmt: skip
        """The work itself, for a thread. decoded: told the audio, before it is heard. Raises TranscriptionError."""
        transcriber = self.transcriber
        with as_engine_failure():
            with record.stage("decode"):
                audio = load_audio(file, transcriber.limits, config.multichannel, context)
            if decoded is not None:
                decoded(audio)
            with record.stage("transcribe"):
                transcript = transcriber.transcribe(audio, config, context)
        record.heard(transcript.duration)
        return transcript

    def remaining(self, record: RequestRecord) -> float:
        """Seconds that a request still has."""
        return max(record.began + self.settings.request_seconds - time.perf_counter(), 0.0)

    def late(self) -> ApiError:
        """The answer to a request that has taken too long."""
        seconds = self.settings.request_seconds
        return ApiError(504, "deadline", f"the request took longer than {seconds:g} s: send shorter audio")

    def _out_of_memory(self) -> int:
        return 0 if self.handler is None else self.handler.transcriber.engine.out_of_memory


def service_of(request: Request) -> Service:
    """The service that a request came to."""
    service: Service = request.app.state.service
    return service
