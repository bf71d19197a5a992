"""ApiError: an error as an HTTP response, in the words of OpenAI's API or of Inference Endpoints."""

from starlette.responses import JSONResponse
from typing_extensions import TypedDict

from transcription.errors import AudioTooLong, EngineFailure, InvalidAudio, InvalidRequest, TranscriptionError

ENDPOINT_PATHS = frozenset({"/", "/predict"})
"""Paths of Inference Endpoints, whose errors are {"error": message}."""
_TYPES = {401: "authentication_error", 429: "rate_limit_error"}


class ErrorDetail(TypedDict):
    """The message, and the parameter that caused the error."""

    message: str
    type: str
    param: str | None
    code: str | None


class ErrorBody(TypedDict):
    """The error object of OpenAI's API."""

    error: ErrorDetail


class EndpointErrorBody(TypedDict):
    """The error object of Inference Endpoints."""

    error: str


class ApiError(Exception):
    """An error response.

    status: of HTTP. reason: one word for the metrics and for OpenAI's `code`. retry_after: seconds, None if the
    same request would fail again.
    """

    def __init__(
        self, status: int, reason: str, message: str, param: str | None = None, retry_after: int | None = None
    ) -> None:
        super().__init__(message)
        self.status, self.reason, self.message, self.param = status, reason, message, param
        self.retry_after = retry_after

    @property
    def headers(self) -> dict[str, str]:
        """Whether and when to retry, and how to authenticate. The openai client reads x-should-retry."""
        challenge = {"WWW-Authenticate": "Bearer"} if self.status == 401 else {}
        if self.retry_after is None:
            return {"x-should-retry": "false", **challenge}
        return {"Retry-After": str(self.retry_after), **challenge}

    @property
    def body(self) -> ErrorBody:
        """The error object of OpenAI's API."""
        kind = _TYPES.get(self.status, "invalid_request_error" if self.status < 500 else "server_error")
        return {"error": {"message": self.message, "type": kind, "param": self.param, "code": self.reason}}

    def response(self, path: str) -> JSONResponse:
        """Return the response, in the words of the protocol of the path."""
        if path in ENDPOINT_PATHS:
            return JSONResponse(EndpointErrorBody(error=self.message), self.status, self.headers)
        return JSONResponse(self.body, self.status, self.headers)


def to_api_error(error: ApiError | TranscriptionError) -> ApiError:
    """Return the error response for an error."""
    match error:
        case ApiError():
            return error
        case AudioTooLong():
            return ApiError(413, "audio_too_long", str(error), error.param or "file")
        case InvalidAudio():
            return ApiError(400, "invalid_audio", str(error), error.param or "file")
        case InvalidRequest():
            return ApiError(400, "invalid_value", str(error), error.param)
        case EngineFailure():
            return ApiError(500, "engine_failure", str(error))
        case _:
            return ApiError(499, "cancelled", str(error))
