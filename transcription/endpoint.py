"""EndpointHandler: the handler of Hugging Face Inference Endpoints.

The container calls it with the body of each request. Every exception becomes the answer
{"error": str(exception)}, so each message is written for the client.
"""

from collections.abc import Mapping
from typing import Any

from transcription.audio import load_audio
from transcription.config import InferenceConfig, ModelSettings, parse_request
from transcription.context import RequestContext
from transcription.errors import InvalidRequest
from transcription.formats import FORMATS, format_names, formats_of, to_chunks
from transcription.transcriber import Transcriber, as_engine_failure


class EndpointHandler:
    """Transcribe recordings with their speakers; see config.ModelSettings for the environment variables."""

    settings_class = ModelSettings
    config_class = InferenceConfig
    response_format = "chunks"  # of a request without one

    def __init__(self, path: str = "", transcriber: Transcriber | None = None) -> None:
        """Load the models, unless a transcriber is given. `path` is the folder of the endpoint's repository.

        Raises InvalidSettings if the models cannot be loaded.
        """
        self.transcriber = transcriber or Transcriber(self.settings_class.from_environment(path))

    def __call__(self, data: Mapping[str, Any], context: RequestContext | None = None) -> dict[str, Any]:
        """Return the transcript of one request: text, chunks, speakers, language and duration (ChunksDocument).

        data: {"inputs": base64 text, bytes or an open file of audio, or {"array", "sampling_rate"};
        "parameters": the fields of InferenceConfig and `response_format`, null or absent}. A `response_format`
        other than chunks adds a key of its own name with that document.
        Raises TranscriptionError.
        """
        with as_engine_failure():
            return self._answer(data, context or RequestContext())

    def _answer(self, data: object, context: RequestContext) -> dict[str, Any]:
        if not isinstance(data, Mapping):
            raise InvalidRequest('send {"inputs": "<base64 audio>", "parameters": {}}')
        requested, response_format, warnings = self._parameters(data.get("parameters"))
        config = FORMATS[response_format].with_needs(requested)
        if others := sorted(str(name)[:40] for name in data if name not in ("inputs", "parameters")):
            warnings += (f"ignored keys beside inputs and parameters: {', '.join(others[:20])}",)
        audio = load_audio(data.get("inputs"), self.transcriber.limits, config.multichannel, context)
        transcript = self.transcriber.transcribe(audio, config, context).with_warnings(*warnings)
        answer: dict[str, Any] = {**to_chunks(self.transcriber.with_requested_words(transcript, requested))}
        if response_format != "chunks":
            answer[response_format] = FORMATS[response_format].render(transcript, config)
        return answer

    def _parameters(self, parameters: object) -> tuple[InferenceConfig, str, tuple[str, ...]]:
        """Return the config of a request, its response_format and its warnings. Raises InvalidRequest."""
        response_format: object = None
        if isinstance(parameters, Mapping):
            response_format = parameters.get("response_format")
            parameters = {name: value for name, value in parameters.items() if name != "response_format"}
        config, warnings = parse_request(parameters, self.config_class)
        response_format = self.response_format if response_format is None else response_format
        formats = formats_of("endpoint")
        if not isinstance(response_format, str) or response_format not in formats:
            raise InvalidRequest(f"response_format must be {format_names('endpoint')}", "response_format")
        return config, response_format, warnings
