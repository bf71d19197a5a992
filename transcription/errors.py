"""What a caller can do wrong, drawn as a tree. The message is the answer: one short cause, what to do."""


class TranscriptionError(Exception):
    """Anything this project says to a caller on purpose. Its text is safe to show."""


class InvalidSettings(TranscriptionError):
    """The environment that the service was started with cannot work."""


class InvalidRequest(TranscriptionError):
    """The request cannot be served as it is; `param` names the parameter that is to blame, where one is."""

    def __init__(self, message: str, param: str | None = None) -> None:
        super().__init__(message)
        self.param = param


class InvalidAudio(InvalidRequest):
    """The audio cannot be read, or holds nothing."""


class AudioTooLong(InvalidAudio):
    """More bytes or seconds than the settings allow."""


class Cancelled(TranscriptionError):
    """Nobody waits for the answer any more."""

    def __init__(self) -> None:
        super().__init__("the request was cancelled")


class EngineFailure(TranscriptionError):
    """The model failed on a request that was in order."""
