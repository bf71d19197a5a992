"""ServerSettings: what the HTTP server reads from the environment, beside config.ModelSettings."""

from pathlib import Path
from typing import Annotated, Self

from pydantic import BeforeValidator, Field, SecretStr, ValidationError
from pydantic_settings import BaseSettings, NoDecode, SettingsConfigDict

from transcription.config import describe
from transcription.errors import InvalidSettings

MOUNTED = Path("/repository")  # where Inference Endpoints puts the model of a custom container


def _listed(value: object) -> object:
    return tuple(part.strip() for part in value.split(",") if part.strip()) if isinstance(value, str) else value


Names = Annotated[tuple[str, ...], NoDecode, BeforeValidator(_listed)]
Secrets = Annotated[tuple[SecretStr, ...], NoDecode, BeforeValidator(_listed)]


class ServerSettings(BaseSettings):
    """How the server listens, whom it lets in and how many."""

    model_config = SettingsConfigDict(env_ignore_empty=True, extra="ignore")

    host: str = Field("127.0.0.1", description="address to listen on; the image sets 0.0.0.0, everybody's")
    port: int = Field(8000, ge=0, le=65_535, description="port to listen on")
    api_keys: Secrets = Field((), description="who may call, separated by commas; empty: anyone")
    cors_origins: Names = Field((), description="web pages that may call, separated by commas; empty: none")
    ui: bool = Field(True, description="the page at /ui")
    served_model_name: str | None = Field(None, description="what /v1/models calls the model; absent: its own name")
    max_running: int = Field(32, ge=1, le=1024, description="requests worked on at the same time")
    max_waiting: int = Field(128, ge=0, le=100_000, description="requests that may wait; past them 429")
    max_uploads: int = Field(64, ge=1, le=100_000, description="bodies received at the same time; past them 429")
    request_seconds: float = Field(900.0, gt=0, description="longest time for one request, from its first byte")
    shutdown_seconds: float = Field(900.0, ge=0, description="after SIGTERM, how long running requests may take")
    audio_url_hosts: Names = Field(
        (), description="hosts that audio_url may name, separated by commas, *.example.org for all below; empty: none"
    )

    @classmethod
    def from_environment(cls, **changes: object) -> Self:
        """Raises InvalidSettings."""
        try:
            return cls(**changes)  # type: ignore[arg-type]
        except ValidationError as error:
            raise InvalidSettings(describe(error, str.upper)) from None


def mounted() -> str:
    """The folder whose checkpoint is served where ASR_MODEL is not set."""
    return str(MOUNTED if MOUNTED.is_dir() else Path.cwd())
