"""EngineReplica: an engine that decodes single windows, for requests that are cut and joined elsewhere."""

import uuid
from concurrent.futures import ThreadPoolExecutor
from weakref import WeakValueDictionary

import numpy as np

from transcription.cluster.messages import WindowRequest, WindowResponse
from transcription.config import ModelSettings
from transcription.context import RequestContext, run_in_thread
from transcription.engines.batching.engine import BatchingEngine
from transcription.engines.batching.jobs import Job, Share, Window
from transcription.errors import EngineFailure, TranscriptionError
from transcription.transcriber import as_engine_failure
from transcription.whisper.capabilities import Capabilities

MOST = 1024
"""Windows at a time. More than any engine has slots: which goes first is decided beside the slots, not before."""

_FAILING = 5  # times that a window failed, one after the other, after which a replica is to be started anew


class EngineReplica:
    """One replica: one engine."""

    def __init__(self, settings: ModelSettings) -> None:
        """Raises InvalidSettings."""
        self._name = uuid.uuid4().hex
        self._engine = BatchingEngine(settings)
        self._threads = ThreadPoolExecutor(MOST, "window")
        self._shares = WeakValueDictionary[str, Share]()  # of the requests whose windows are here
        self._here = set[WindowRequest]()
        self._failures = 0  # one after the other: windows that fail together are one failure

    def capabilities(self) -> Capabilities:
        """What a request may ask of the model."""
        return self._engine.whisper.capabilities

    async def hear(self, part: WindowRequest) -> WindowResponse | TranscriptionError:
        """What a window says. Whoever stops waiting for it frees its slot."""
        share = self._shares.setdefault(part.request, Share())
        job = Job(part.config, part.language, part.brief, share=share)
        samples = np.array(part.samples)  # what Ray brings cannot be written to, and torch wants what can
        window, context = Window(job, part.number, samples), RequestContext()

        def work() -> WindowResponse:
            with as_engine_failure():
                heard = self._engine.hear(window, context)
            return WindowResponse(heard, job.language, job.guess, job.language_probability, self._name)

        self._here.add(part)
        failures = self._failures
        try:
            said = await run_in_thread(self._threads, work, context)
        except TranscriptionError as error:
            if isinstance(error, EngineFailure):
                self._failures = min(self._failures, failures) + 1
            return error
        else:
            self._failures = 0
            return said
        finally:
            self._here.discard(part)

    def check_health(self) -> None:
        """Asked by Ray, which starts a replica anew that raises: one whose device fails answers sooner than others."""
        if self._failures >= _FAILING:
            raise RuntimeError(f"{self._failures} windows have failed, one after the other")

    def record_autoscaling_stats(self) -> dict[str, float]:
        """What Ray scales by (replicas/scaling.py): seconds of audio that are worked on here, or wait behind them."""
        return {"audio_seconds": sum(part.owed for part in self._here)}
