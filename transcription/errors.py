"""The errors of the package. Their messages are shown to callers: one short cause, then what to do."""


class TranscriptionError(Exception):
    """Base class of all errors that are raised on purpose. The message is safe to show."""


class InvalidSettings(TranscriptionError):
    """The settings of the service are wrong, or they do not work on this machine."""


class InvalidRequest(TranscriptionError):
    """The request is not valid. `param` is the name of the wrong parameter, if it is known."""

    def __init__(self, message: str, param: str | None = None) -> None:
        super().__init__(message)
        self.param = param


class InvalidAudio(InvalidRequest):
    """The audio cannot be decoded, or it is empty."""


class AudioTooLong(InvalidAudio):
    """The audio has more bytes or seconds than the settings allow."""


class Cancelled(TranscriptionError):
    """The request was cancelled; nobody waits for its result."""

    def __init__(self) -> None:
        super().__init__("the request was cancelled")


class EngineFailure(TranscriptionError):
    """The model failed on a valid request."""
