"""EngineReplica: decodes single windows of requests that are split and joined in other processes."""

import asyncio
import uuid
from weakref import WeakValueDictionary

import numpy as np

from transcription.cluster.messages import WindowRequest, WindowResponse
from transcription.config import ModelSettings
from transcription.engines.batching.engine import BatchingEngine
from transcription.engines.batching.window import DecodingRequest
from transcription.errors import EngineFailure, TranscriptionError
from transcription.transcriber import as_engine_failure
from transcription.whisper.capabilities import Capabilities

MAX_WINDOWS = 1024
"""Windows at a time. More than any engine has slots: the scheduler beside the slots decides which goes first."""
_MAX_FAILURES = 5  # failed windows in a row after which the replica is replaced


class EngineReplica:
    """One replica: one engine."""

    def __init__(self, settings: ModelSettings) -> None:
        """Load the models.

        Raises InvalidSettings if they cannot be loaded.
        """
        self.engine = BatchingEngine(settings)
        self._name = uuid.uuid4().hex
        self._requests = WeakValueDictionary[str, DecodingRequest]()  # of the windows that are here
        self._windows = set[WindowRequest]()
        self._failures = 0  # in a row; windows that fail together count as one

    def capabilities(self) -> Capabilities:
        """Return what a request may ask of the model."""
        return self.engine.whisper.capabilities

    async def decode_window(self, message: WindowRequest) -> WindowResponse | TranscriptionError:
        """Return the result of a window, or why there is none. Cancelling this frees its slot."""
        self._windows.add(message)
        failures = self._failures
        try:
            response = await self._decode(message)
        except TranscriptionError as error:
            if isinstance(error, EngineFailure):
                self._failures = min(self._failures, failures) + 1
            return error
        else:
            self._failures = 0
            return response
        finally:
            self._windows.discard(message)

    async def _decode(self, message: WindowRequest) -> WindowResponse:
        new = DecodingRequest(message.config, is_short=message.is_short, is_live=message.is_live, name=message.request)
        request = self._requests.setdefault(message.request, new)
        request.language = message.language or request.language
        with as_engine_failure():
            samples = np.array(message.samples)  # Ray's arrays are read-only, and torch wants writable ones
            future = self.engine.submit(request, samples, message.options)
            result = await asyncio.wrap_future(future)
        return WindowResponse(
            result, request.language, request.language_guess, request.language_probability, self._name
        )

    def check_health(self) -> None:
        """Raise RuntimeError after several failures in a row, so that Ray replaces the replica.

        A replica with a broken device fails fast, and would attract more windows than the others.
        """
        if self._failures >= _MAX_FAILURES:
            raise RuntimeError(f"{self._failures} windows have failed in a row")

    def record_autoscaling_stats(self) -> dict[str, float]:
        """Return what Ray scales by (scaling.py): seconds of audio that are being decoded here, or wait behind it."""
        return {"audio_seconds": sum(message.audio_seconds for message in self._windows)}
