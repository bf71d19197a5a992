"""ClusterArguments: the size of a cluster."""

from pydantic import BaseModel, ConfigDict, Field


class ClusterArguments(BaseModel):
    """Arguments of `serve run transcription.cluster.app:app`, and of `args` in a Serve configuration."""

    model_config = ConfigDict(extra="forbid")

    servers: int = Field(1, ge=1, description="HTTP servers, which also decode audio and cut it into windows")
    min_engines: int = Field(1, ge=1, description="minimum number of engines")
    max_engines: int = Field(1, ge=1, description="maximum number of engines")
    engine_gpus: float = Field(0, ge=0, description="GPUs per engine; may be fractional")
    engine_cpus: float = Field(1, gt=0, description="CPU cores per engine")
    audio_seconds: float = Field(
        600, gt=0, description="seconds of audio per engine that may be pending before an engine is added"
    )
    min_diarizers: int = Field(1, ge=1, description="minimum number of diarization pipelines")
    max_diarizers: int = Field(1, ge=1, description="maximum number of diarization pipelines")
    diarizer_gpus: float = Field(0, ge=0, description="GPUs per diarization pipeline; may be fractional")
    diarizer_cpus: float = Field(1, gt=0, description="CPU cores per diarization pipeline")
    surge: int = Field(
        100, ge=0, le=100,
        description="percent of engines and pipelines that an update starts before it stops old ones",
    )  # fmt: skip
