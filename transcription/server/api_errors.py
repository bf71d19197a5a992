"""ApiError: a refusal as OpenAI's API words it, and what our own errors become."""

from typing import Any

from starlette.responses import JSONResponse

from transcription.errors import AudioTooLong, EngineFailure, InvalidAudio, InvalidRequest, TranscriptionError

PLAIN = frozenset({"/", "/predict"})
"""Routes whose errors are {"error": text}."""
_TYPES = {401: "authentication_error", 429: "rate_limit_error"}


class ApiError(Exception):
    """An answer that is not what was asked for.

    status: HTTP's. reason: one word for the metrics, and OpenAI's `code`. retry_after: seconds, None where trying
    again would bring the same answer.
    """

    def __init__(
        self, status: int, reason: str, message: str, param: str | None = None, retry_after: int | None = None
    ) -> None:
        super().__init__(message)
        self.status, self.reason, self.message, self.param = status, reason, message, param
        self.retry_after = retry_after

    @property
    def headers(self) -> dict[str, str]:
        """What tells a client whether, and when, to try again (the openai client reads x-should-retry)."""
        if self.retry_after is None:
            return {"x-should-retry": "false"}
        return {"Retry-After": str(self.retry_after)}

    @property
    def body(self) -> dict[str, Any]:
        """OpenAI's error object."""
        kind = _TYPES.get(self.status, "invalid_request_error" if self.status < 500 else "server_error")
        return {"error": {"message": self.message, "type": kind, "param": self.param, "code": self.reason}}

    def response(self, plain: bool = False) -> JSONResponse:
        """The answer; plain: as Inference Endpoints words it."""
        return JSONResponse({"error": self.message} if plain else self.body, self.status, self.headers)


def to_api_error(error: TranscriptionError) -> ApiError:
    """What one of our errors is to a client."""
    match error:
        case AudioTooLong():
            return ApiError(413, "audio_too_long", str(error), "file")
        case InvalidAudio():
            return ApiError(400, "invalid_audio", str(error), "file")
        case InvalidRequest():
            return ApiError(400, "invalid_value", str(error), error.param)
        case EngineFailure():
            return ApiError(500, "engine_failure", str(error))
        case _:
            return ApiError(499, "cancelled", str(error))
