"""ServerSettings: what the HTTP server reads from the environment, beside config.ModelSettings."""

from pathlib import Path
from typing import Annotated, Self

from pydantic import BeforeValidator, Field, SecretStr, ValidationError
from pydantic_settings import BaseSettings, NoDecode, SettingsConfigDict

from transcription.config import describe, split_list
from transcription.errors import InvalidSettings

REPOSITORY = Path("/repository")  # where Inference Endpoints mounts the model of a custom container

Names = Annotated[tuple[str, ...], NoDecode, BeforeValidator(split_list)]
Secrets = Annotated[tuple[SecretStr, ...], NoDecode, BeforeValidator(split_list)]


class ServerSettings(BaseSettings):
    """Address, API keys and limits of the server."""

    model_config = SettingsConfigDict(env_ignore_empty=True, extra="ignore")

    host: str = Field(
        "127.0.0.1", description="Address to listen on. 0.0.0.0 is all interfaces, as in the container image."
    )
    port: int = Field(8000, ge=0, le=65_535, description="Port to listen on.")
    api_keys: Secrets = Field(
        (), description="API keys that requests may send, separated by commas. Without any, requests need no key."
    )
    cors_origins: Names = Field((), description="Origins of web pages that may use the API, separated by commas.")
    ui: bool = Field(True, description="Serve the page at /ui.")
    served_model_name: str | None = Field(
        None, description="Name of the model in /v1/models. The default is the name in ASR_MODEL."
    )
    max_running: int = Field(32, ge=1, le=1024, description="Maximum number of running requests.")
    max_waiting: int = Field(
        128, ge=0, le=100_000, description="Maximum number of waiting requests. Further ones get status 429."
    )
    max_uploads: int = Field(
        64, ge=1, le=100_000, description="Maximum number of concurrent uploads. Further ones get status 429."
    )
    max_sessions: int = Field(
        32, ge=1, le=10_000, description="Maximum number of live sessions. Further ones get status 429."
    )
    request_seconds: float = Field(900.0, gt=0, description="Deadline of a request, in seconds after its first byte.")
    shutdown_seconds: float = Field(900.0, ge=0, description="Seconds that running requests have after SIGTERM.")
    audio_url_hosts: Names = Field(
        (),
        description="Hosts from which audio_url may be downloaded, separated by commas. *.example.org allows all"
        " subdomains.",
    )

    @classmethod
    def from_environment(cls, **changes: object) -> Self:
        """Return the settings of the environment with `changes`; None changes nothing. Raises InvalidSettings."""
        try:
            return cls(**{name: value for name, value in changes.items() if value is not None})  # type: ignore[arg-type]
        except ValidationError as error:
            raise InvalidSettings(describe(error, str.upper)) from None


def mounted() -> str:
    """Return the folder whose checkpoint is served if ASR_MODEL is not set."""
    return str(REPOSITORY if REPOSITORY.is_dir() else Path.cwd())
