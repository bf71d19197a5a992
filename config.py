"""The place to change a default of the endpoint. handler.py uses these two classes.

docs/configuration.md describes every field. To change a default, repeat the field in its class:

    class ModelSettings(transcription.config.ModelSettings):
        language_force: Language = "de"

    class InferenceConfig(transcription.config.InferenceConfig):
        timestamps: Timestamps | None = "word"

Environment variables override the defaults of ModelSettings. The parameters of a request override the defaults of
InferenceConfig.
"""

import transcription.config
from transcription.config import Language, Timestamps

__all__ = ["InferenceConfig", "Language", "ModelSettings", "Timestamps"]


class ModelSettings(transcription.config.ModelSettings):
    """The settings of the endpoint, from its environment variables."""


class InferenceConfig(transcription.config.InferenceConfig):
    """The parameters of one request to the endpoint."""
