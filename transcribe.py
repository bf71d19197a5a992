"""Transcriber: audio in, labelled transcript out. What every door calls."""

from audio import Audio, AudioLimits
from config import InferenceConfig, ModelSettings
from engines import ENGINES, Engine, Progress
from transcript import Transcript


class Transcriber:
    """The service itself: models loaded once from the settings. Safe to call from several threads."""

    def __init__(self, settings: ModelSettings) -> None:
        """Loads the models. Raises InvalidSettings."""
        self.settings = settings
        self.engine: Engine = ENGINES["transformers"](settings)
        self.limits = AudioLimits(settings.max_audio_bytes, settings.max_audio_seconds)

    def transcribe(self, audio: Audio, config: InferenceConfig, progress: Progress | None = None) -> Transcript:
        """What is said in `audio`. Raises InvalidRequest, EngineFailure."""
        return self.engine.transcribe(audio, self._resolved(config), progress)

    def _resolved(self, config: InferenceConfig) -> InferenceConfig:
        """The request with the service's defaults and orders in it."""
        return config.model_copy(
            update={
                "language": self.settings.language_force or config.language,
                "timestamps": config.timestamps or self.settings.timestamps,
            }
        )
