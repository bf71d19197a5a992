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
        "127.0.0.1", description="address to listen on; 0.0.0.0 for all interfaces, as in the container image"
    )
    port: int = Field(8000, ge=0, le=65_535, description="port to listen on")
    api_keys: Secrets = Field((), description="keys that requests must send, separated by commas; empty: none needed")
    cors_origins: Names = Field(
        (), description="origins of web pages that may use the API, separated by commas; empty: none"
    )
    ui: bool = Field(True, description="serve the page at /ui, if gradio is installed")
    served_model_name: str | None = Field(
        None, description="name of the model in /v1/models; absent: the name in ASR_MODEL"
    )
    max_running: int = Field(32, ge=1, le=1024, description="requests that run at the same time")
    max_waiting: int = Field(128, ge=0, le=100_000, description="requests that may wait; above this, status 429")
    max_uploads: int = Field(64, ge=1, le=100_000, description="uploads at the same time; above this, status 429")
    request_seconds: float = Field(900.0, gt=0, description="deadline of a request, in seconds after its first byte")
    shutdown_seconds: float = Field(900.0, ge=0, description="time for running requests after SIGTERM, in seconds")
    audio_url_hosts: Names = Field(
        (),
        description="hosts from which audio_url may be downloaded, separated by commas; "
        "*.example.org for all subdomains; empty: none",
    )

    @classmethod
    def from_environment(cls, **changes: object) -> Self:
        """Return the settings of the environment with `changes`. Raises InvalidSettings."""
        try:
            return cls(**changes)  # type: ignore[arg-type]
        except ValidationError as error:
            raise InvalidSettings(describe(error, str.upper)) from None


def mounted() -> str:
    """Return the folder whose checkpoint is served if ASR_MODEL is not set."""
    return str(REPOSITORY if REPOSITORY.is_dir() else Path.cwd())
