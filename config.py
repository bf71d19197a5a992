"""The deployer's place: change a default here, and the endpoint uses it.

Every field and its meaning: docs/configuration.md. Repeat a field with another default to change it:

    class InferenceConfig(transcription.config.InferenceConfig):
        timestamps: Timestamps | None = "word"

Environment variables still win over the defaults of ModelSettings, and a request's parameters over those of
InferenceConfig.
"""

import transcription.config
from transcription.config import Timestamps

__all__ = ["InferenceConfig", "ModelSettings", "Timestamps"]


class ModelSettings(transcription.config.ModelSettings):
    """The settings of the endpoint, read from its environment variables."""


class InferenceConfig(transcription.config.InferenceConfig):
    """The parameters of one request to the endpoint."""
