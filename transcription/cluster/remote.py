"""RemoteEngine and RemoteDiarizer: what a Transcriber works with if the models are in other processes."""

from collections.abc import Callable
from concurrent.futures import CancelledError, Future
from typing import TYPE_CHECKING

from transcription.audio import Audio, Samples
from transcription.cluster.remote_dispatcher import RemoteDispatcher
from transcription.cluster.replica_client import ReplicaClient
from transcription.config import InferenceConfig
from transcription.context import RequestContext
from transcription.engines.batching.forced_alignment import force_text
from transcription.engines.batching.longform import LongFormTranscriber
from transcription.engines.batching.window import WindowResult
from transcription.errors import Cancelled, InvalidSettings
from transcription.transcript import Transcript
from transcription.whisper.capabilities import Capabilities

if TYPE_CHECKING:
    from transcription.diarization.result import Diarization


class RemoteEngine:
    """An engine (engines.Engine) whose windows are decoded by engine replicas."""

    out_of_memory = 0  # this process has no device

    def __init__(self, client: ReplicaClient, max_long: int, load: Callable[[], float]) -> None:
        """Wait until an engine replica answers. max_long, load: see RemoteDispatcher."""
        capabilities: Capabilities = client.begin(client.call("capabilities")).result()
        self._dispatcher = RemoteDispatcher(client, bool(capabilities.languages), max_long, load)
        self._longform = LongFormTranscriber(self._dispatcher, capabilities)

    def warm_up(self) -> None:
        """Do nothing: the replicas load their models before they answer."""

    def preview(self, samples: Samples, config: InferenceConfig, prefix: str = "") -> Future[WindowResult]:
        """Queue up to 30 s of speech that goes on, and return the future of its words (engines.Engine)."""
        return self._longform.preview(samples, config, prefix)

    def transcribe(self, audio: Audio, config: InferenceConfig, context: RequestContext | None = None) -> Transcript:
        """Return the transcript of audio at 16 kHz.

        Raises InvalidRequest, EngineFailure, or Cancelled if the context is cancelled.
        """
        return self._longform.transcribe(audio, config, context or RequestContext())

    def force(
        self, audio: Audio, aligned: Transcript, config: InferenceConfig, context: RequestContext | None = None
    ) -> Transcript:
        """Return an aligned text with times from decoders that are forced over it (engines.Engine)."""
        return force_text(self._dispatcher, audio, aligned, config, context or RequestContext())


class RemoteDiarizer:
    """A diarizer whose pipelines are in diarizer replicas."""

    def __init__(self, client: ReplicaClient) -> None:
        """Wait until a diarizer replica answers.

        Raises InvalidSettings if its pipeline cannot be loaded.
        """
        self._client = client
        refusal: str | None = client.begin(client.call("refusal")).result()
        if refusal is not None:
            raise InvalidSettings(refusal)

    def diarize(self, audio: Audio, config: InferenceConfig, context: RequestContext | None = None) -> "Diarization":
        """Return who speaks when in audio at 16 kHz.

        Raises EngineFailure, or Cancelled if the context is cancelled.
        """
        context = context or RequestContext()
        mono = Audio(audio.samples, audio.sample_rate)
        future = self._client.begin(self._client.call("diarize", mono, config))
        try:
            with context.on_cancel(future.cancel):
                diarization: Diarization = future.result()
        except CancelledError:
            raise Cancelled from None
        context.report_progress("diarize", audio.duration, audio.duration)
        return diarization
