"""EndpointHandler: the door for Hugging Face Inference Endpoints.

The container loads this file by its path and calls the handler with what a client sent. Every exception
becomes the answer {"error": str(exception)}, so each message is written for the client.
"""

import logging
from collections.abc import Mapping
from typing import Any

from audio import load_audio
from config import InferenceConfig, ModelSettings
from errors import EngineFailure, InvalidRequest, TranscriptionError
from formats import FORMATS, to_chunks
from transcribe import Transcriber

logger = logging.getLogger(__name__)


class EndpointHandler:
    """Speech to text with its speakers, configured by the environment (see config.ModelSettings)."""

    def __init__(self, path: str = "") -> None:
        """Loads the models; `path` is where the endpoint's repository lies. Raises InvalidSettings."""
        self.transcriber = Transcriber(ModelSettings.from_environment(path))

    def __call__(self, data: Mapping[str, Any]) -> dict[str, Any]:
        """The transcript of one request.

        data: {"inputs": base64 text or bytes of an audio file, or {"array", "sampling_rate"};
        "parameters": InferenceConfig's fields, null or absent}. Returns text, chunks and speakers, always,
        with language and duration; another response_format than chunks is added under its own name.
        Raises TranscriptionError.
        """
        try:
            return self._answer(data)
        except TranscriptionError:
            raise
        except Exception as error:  # a library's message may show paths or secrets
            logger.exception("transcription failed")
            if "out of memory" in str(error).lower():
                raise EngineFailure("the model ran out of memory: send a smaller batch_size or shorter audio") from None
            raise EngineFailure("transcription failed inside the model: the log says why") from None

    def _answer(self, data: object) -> dict[str, Any]:
        if not isinstance(data, Mapping):
            raise InvalidRequest('send {"inputs": "<base64 audio>", "parameters": {}}')
        config = InferenceConfig.from_request(data.get("parameters"))
        if config.response_format not in FORMATS:
            raise InvalidRequest(f"response_format is one of {', '.join(FORMATS)}")
        audio = load_audio(data.get("inputs"), self.transcriber.limits, config.multichannel)
        transcript = self.transcriber.transcribe(audio, config)
        answer = to_chunks(transcript)
        if config.response_format != "chunks":
            answer[config.response_format] = FORMATS[config.response_format].render(transcript)
        return answer
