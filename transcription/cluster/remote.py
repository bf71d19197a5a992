"""RemoteEngine and RemoteDiarizer: what a Transcriber works with when the models are elsewhere."""

from collections.abc import Callable
from concurrent.futures import CancelledError
from typing import TYPE_CHECKING

from transcription.audio import Audio
from transcription.cluster.remote_dispatcher import RemoteDispatcher
from transcription.cluster.replica_client import ReplicaClient
from transcription.config import InferenceConfig
from transcription.context import RequestContext
from transcription.engines.batching.jobs import Answer, Heard, Window
from transcription.engines.batching.longform import Requests
from transcription.errors import Cancelled, InvalidSettings
from transcription.transcript import Transcript
from transcription.whisper.capabilities import Capabilities

if TYPE_CHECKING:
    from transcription.diarization.pyannote import Diarization


class RemoteEngine:
    """An engine (engines.Engine) whose windows are decoded by recognisers."""

    out_of_memory = 0  # of this process's device: none

    def __init__(self, calls: ReplicaClient, most: int, crowd: Callable[[], float]) -> None:
        """Waits until a recogniser answers. most, crowd: RemoteDispatcher's."""
        capabilities: Capabilities = calls.begin(calls.call("capabilities")).result()
        self._requests = Requests(
            RemoteDispatcher(calls, bool(capabilities.languages), most, crowd), capabilities, _read
        )

    def transcribe(self, audio: Audio, config: InferenceConfig, context: RequestContext | None = None) -> Transcript:
        """What is said in `audio` (16 kHz). Raises InvalidRequest, EngineFailure, Cancelled."""
        return self._requests.transcribe(audio, config, context or RequestContext())


def _read(answer: Answer | Heard, _: Window) -> Heard:
    assert isinstance(answer, Heard)  # recognisers read the tokens themselves
    return answer


class RemoteDiarizer:
    """A diarizer (transcribe.Diarizes) whose pipelines are elsewhere."""

    def __init__(self, calls: ReplicaClient) -> None:
        """Waits until a replica answers. Raises InvalidSettings where its pipeline cannot be loaded."""
        self._calls = calls
        refusal: str | None = calls.begin(calls.call("refusal")).result()
        if refusal is not None:
            raise InvalidSettings(refusal)

    def diarize(self, audio: Audio, config: InferenceConfig, context: RequestContext | None = None) -> "Diarization":
        """Who speaks when in `audio` (16 kHz). Raises EngineFailure, Cancelled."""
        context = context or RequestContext()
        mono = Audio(audio.samples, audio.sample_rate)
        future = self._calls.begin(self._calls.call("diarize", mono, config))
        try:
            with context.on_cancel(future.cancel):
                found: Diarization = future.result()
        except CancelledError:
            raise Cancelled from None
        context.report_progress("diarize", audio.duration, audio.duration)
        return found
