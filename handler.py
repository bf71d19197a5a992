"""EndpointHandler, which Hugging Face Inference Endpoints loads.

The container imports this file by its path and calls the handler with the body of each request.
"""

from config import InferenceConfig, ModelSettings
from transcription import endpoint


class EndpointHandler(endpoint.EndpointHandler):
    """Transcribe recordings, with the defaults of config.py."""

    settings_class = ModelSettings
    config_class = InferenceConfig
