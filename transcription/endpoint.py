"""EndpointHandler: the door for Hugging Face Inference Endpoints.

The container loads this file by its path and calls the handler with what a client sent. Every exception
becomes the answer {"error": str(exception)}, so each message is written for the client.
"""

from collections.abc import Mapping
from typing import Any

from transcription.audio import load_audio
from transcription.config import InferenceConfig, ModelSettings
from transcription.context import RequestContext
from transcription.errors import InvalidRequest
from transcription.formats import FORMATS, to_chunks
from transcription.transcriber import Transcriber, as_engine_failure


class EndpointHandler:
    """Speech to text with its speakers, configured by the environment (see config.ModelSettings)."""

    settings_class = ModelSettings
    config_class = InferenceConfig

    def __init__(self, path: str = "", transcriber: Transcriber | None = None) -> None:
        """Loads the models, or takes over those of a transcriber; `path` is where the endpoint's repository lies.

        Raises InvalidSettings.
        """
        self.transcriber = transcriber or Transcriber(self.settings_class.from_environment(path))

    def __call__(self, data: Mapping[str, Any], context: RequestContext | None = None) -> dict[str, Any]:
        """The transcript of one request.

        data: {"inputs": base64 text, bytes or an open file of audio, or {"array", "sampling_rate"};
        "parameters": InferenceConfig's fields, null or absent}. Returns text, chunks and speakers, always,
        with language and duration; another response_format than chunks is added under its own name.
        Raises TranscriptionError.
        """
        with as_engine_failure():
            return self._answer(data, context or RequestContext())

    def _answer(self, data: object, context: RequestContext) -> dict[str, Any]:
        if not isinstance(data, Mapping):
            raise InvalidRequest('send {"inputs": "<base64 audio>", "parameters": {}}')
        config = self.config_class.from_request(data.get("parameters"))
        if config.response_format not in FORMATS:
            raise InvalidRequest(f"response_format is one of {', '.join(FORMATS)}", "response_format")
        audio = load_audio(data.get("inputs"), self.transcriber.limits, config.multichannel, context)
        transcript = self.transcriber.transcribe(audio, config, context)
        answer = to_chunks(transcript)
        if config.response_format != "chunks":
            answer[config.response_format] = FORMATS[config.response_format].render(transcript)
        return answer
