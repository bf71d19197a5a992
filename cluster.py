"""The same service over many machines, on Ray: `serve run cluster:app`; and `python cluster.py transcribe`, archives.

Ray Serve runs three deployments. Door: server.py's application, which decodes audio, cuts it into windows and joins
what they say. Recogniser: an engine that decodes windows. Diarizer: a pipeline, where DIARIZATION_MODEL is set.
"""

import argparse
import logging
import os
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")  # nothing is reported to anyone

import ray
from fastapi import FastAPI
from prometheus_client import disable_created_metrics
from pydantic import BaseModel, ConfigDict, Field
from ray import serve
from ray.serve import Application
from ray.serve.config import AutoscalingConfig, AutoscalingPolicy

from cli import add_request_options, config_of, settings_of
from config import InferenceConfig, ModelSettings
from display import counted
from errors import InvalidSettings, TranscriptionError
from formats import FORMATS
from replicas.archive import Archive
from replicas.bulk import Outcome, Workers, transcribed
from replicas.calls import Calls
from replicas.diarizer import WAITING, DiarizerReplica
from replicas.far import FarDiarizer, FarEngine
from replicas.recogniser import MOST, Recogniser
from replicas.scaling import ByAudio
from replicas.sources import Recording, recordings
from server import create_app
from serving.door import Door
from serving.records import log_lines
from serving.settings import ServerSettings, mounted
from transcribe import Transcriber

logger = logging.getLogger("transcription")
_BESIDE = 100  # requests to a door that its own line does not count: probes, metrics, refusals
_LOOK = 2.0  # seconds after which Ray misses a replica that is gone, and starts another


class Cluster(BaseModel):
    """How large the cluster is: `serve run cluster:app max_recognisers=8`, or `args` in Serve's configuration."""

    model_config = ConfigDict(extra="forbid")

    doors: int = Field(1, ge=1, description="processes that take requests, decode audio and cut it")
    min_recognisers: int = Field(1, ge=1, description="engines, at least")
    max_recognisers: int = Field(1, ge=1, description="engines, at most")
    recogniser_gpus: float = Field(0, ge=0, description="of a GPU for each engine: 1, or a fraction")
    recogniser_cpus: float = Field(1, gt=0, description="CPU cores for each engine")
    audio_seconds: float = Field(600, gt=0, description="of audio that may wait for each engine before there are more")
    min_diarizers: int = Field(1, ge=1, description="diarization pipelines, at least")
    max_diarizers: int = Field(1, ge=1, description="diarization pipelines, at most")
    diarizer_gpus: float = Field(0, ge=0, description="of a GPU for each pipeline")
    diarizer_cpus: float = Field(1, gt=0, description="CPU cores for each pipeline")
    surge: int = Field(
        100, ge=0, le=100, description="percent of engines and pipelines that an update starts before it stops old ones"
    )


def app(cluster: Cluster) -> Application:
    """The application for Ray Serve, with models and limits from the environment. Raises InvalidSettings."""
    models = from_anywhere(ModelSettings.from_environment(mounted()))
    settings = ServerSettings.from_environment()
    if models.engine != "slots":
        raise InvalidSettings("a cluster decodes with ENGINE slots: leave ENGINE out")
    behind: list[Any] = [_recognisers(models, cluster)]
    if models.diarization_model is not None:
        behind.append(_diarizers(models, cluster))
    built: Application = _doors(settings, models, cluster).bind(*behind)
    return built


def from_anywhere(settings: ModelSettings) -> ModelSettings:
    """The settings for processes that run in other folders."""
    names = ("asr_model", "assistant_model", "diarization_model")
    folders = {name: value for name in names if (value := getattr(settings, name)) and Path(value).is_dir()}
    return settings.model_copy(update={name: str(Path(value).resolve()) for name, value in folders.items()})


def _doors(settings: ServerSettings, models: ModelSettings, cluster: Cluster) -> Any:
    def application() -> FastAPI:
        """In each replica, when it starts."""
        log_lines()
        disable_created_metrics()  # type: ignore[no-untyped-call]
        name = serve.get_replica_context().app_name

        def calls(deployment: str) -> Calls:
            return Calls(serve.get_deployment_handle(deployment, name))

        def transcriber() -> Transcriber:
            door: Door = found.state.service.door
            engine = FarEngine(calls("Recogniser"), _long(cluster), lambda: door.crowd)
            return Transcriber(models, engine, lambda _: FarDiarizer(calls("Diarizer")))

        found = create_app(settings, transcriber, wait=True)  # in an update the door before it answers until then
        return found

    most = settings.max_running + settings.max_waiting + settings.max_uploads + _BESIDE
    return serve.deployment(
        name="Door", num_replicas=cluster.doors, max_ongoing_requests=most,  # who is too many, Door itself tells
        max_surge_percent=100, health_check_period_s=_LOOK, graceful_shutdown_timeout_s=settings.shutdown_seconds,
        ray_actor_options={"num_cpus": 1},
    )(serve.ingress(application)())  # fmt: skip


def _long(cluster: Cluster) -> int:
    """Windows of long requests that a door may have at each recogniser: all doors together fill half of its places."""
    return max(MOST // (2 * cluster.doors), 1)


def _recognisers(models: ModelSettings, cluster: Cluster) -> Any:
    return serve.deployment(
        name="Recogniser", max_ongoing_requests=MOST, graceful_shutdown_timeout_s=120, max_surge_percent=cluster.surge,
        health_check_period_s=_LOOK,
        ray_actor_options={"num_cpus": cluster.recogniser_cpus, "num_gpus": cluster.recogniser_gpus},
        autoscaling_config=AutoscalingConfig(
            min_replicas=cluster.min_recognisers, max_replicas=cluster.max_recognisers,
            policy=AutoscalingPolicy(  # type: ignore[no-untyped-call]
                policy_function=ByAudio, policy_kwargs={"seconds": cluster.audio_seconds}),
        ),
    )(Recogniser).bind(models)  # fmt: skip


def _diarizers(models: ModelSettings, cluster: Cluster) -> Any:
    return serve.deployment(
        name="Diarizer", max_ongoing_requests=WAITING, graceful_shutdown_timeout_s=900, max_surge_percent=cluster.surge,
        health_check_period_s=_LOOK,
        ray_actor_options={"num_cpus": cluster.diarizer_cpus, "num_gpus": cluster.diarizer_gpus},
        autoscaling_config=AutoscalingConfig(
            min_replicas=cluster.min_diarizers, max_replicas=cluster.max_diarizers, target_ongoing_requests=1,
        ),
    )(DiarizerReplica).bind(models)  # fmt: skip


EPILOG = """examples:
  python cluster.py transcribe recordings --output transcripts --model openai/whisper-large-v3-turbo --gpus 1
  python cluster.py transcribe s3://bucket/calls list.csv "more/*.mp3" --output transcripts --format srt
  python cluster.py transcribe samples --output transcripts --model models/demo-whisper

Run again, it does what is not yet done. Exit codes: 0 all are done, 1 some could not be, 2 the call was wrong, or no
more could be written."""


def parser() -> argparse.ArgumentParser:
    """The command line."""
    top = argparse.ArgumentParser(description="Many machines at once. To serve: serve run cluster:app")
    command = top.add_subparsers(required=True, metavar="COMMAND").add_parser(
        "transcribe", help="transcribe archives of recordings", epilog=EPILOG,
        description="Transcribe archives of recordings, on this machine or a Ray cluster.",
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )  # fmt: skip
    command.add_argument(
        "sources", nargs="+", metavar="SOURCE",
        help="folders, patterns, files, or manifests (.txt, .csv, .tsv, .jsonl); paths or any address fsspec reads",
    )  # fmt: skip
    command.add_argument("--output", type=Path, required=True, metavar="DIR", help="JSON lines and a Parquet table")
    documents = [name for name, form in FORMATS.items() if form.extension != "json"]
    command.add_argument(
        "--format", action="append", default=[], choices=documents,
        help="a document for each recording besides; may be repeated",
    )  # fmt: skip
    add_request_options(command)
    command.add_argument(
        "--workers", type=count, default=(1, 1), metavar="N", help="processes with the models: 4, or 1-8"
    )
    command.add_argument("--gpus", type=float, default=0.0, help="of a GPU for each worker: 1, or a fraction")
    command.add_argument("--cpus", type=float, default=1.0, help="CPU cores for each worker")
    command.add_argument("--together", type=positive, default=8, help="recordings that a worker has at a time")
    command.add_argument("--address", help="of a Ray cluster (default: $RAY_ADDRESS, or this machine)")
    command.add_argument("--quiet", action="store_true", help="no progress on standard error")
    return top


def positive(text: str) -> int:
    """A number from 1 up. Raises ValueError."""
    if int(text) < 1:
        raise ValueError
    return int(text)


def count(text: str) -> tuple[int, int]:
    """The least and the most of "4" or "1-8". Raises ValueError."""
    least, _, most = text.partition("-")
    found = int(least), int(most or least)
    if not 1 <= found[0] <= found[1]:
        raise ValueError
    return found


def main(arguments: Sequence[str] | None = None) -> int:
    """Runs the command; the exit code."""
    options = parser().parse_args(arguments)
    os.environ.setdefault("RAY_BACKEND_LOG_LEVEL", "fatal")  # Ray's own advice about actors means its developers
    try:
        form = "rttm" if "rttm" in options.format else "chunks"  # which asks for speakers
        settings, config = from_anywhere(settings_of(options)), config_of(options, form)
        found = recordings(options.sources)
        with Archive(options.output) as archive:
            return transcribe(options, found, archive, settings, config)
    except TranscriptionError as error:
        print(f"error: {error}", file=sys.stderr)
        return 2


def transcribe(
    options: argparse.Namespace, found: Sequence[Recording], archive: Archive, settings: ModelSettings,
    config: InferenceConfig,
) -> int:  # fmt: skip
    """Transcribes what the archive does not have yet; the exit code.

    Raises InvalidSettings, and InvalidRequest where the archive takes no more.
    """
    left = [recording for recording in found if recording.source not in archive.done]
    failed = 0
    with counted(len(found), len(found) - len(left), options.quiet) as tell:
        least, most = options.workers
        workers = Workers(least, most, options.gpus, options.cpus, options.together)
        if left:
            connect(options.address, workers)
        for outcome in transcribed(left, settings, config, options.format, workers):
            error = outcome.error or kept(archive, outcome)
            if error is not None:
                failed += 1
                print(f"error: {outcome.recording.source}: {error}", file=sys.stderr)
                archive.fail(outcome.recording.source, error)
            tell(outcome.answer["duration"] if outcome.answer else 0.0, failed)
    archive.tabulate()
    return 1 if failed else 0


def kept(archive: Archive, outcome: Outcome) -> str | None:
    """Puts a transcript into the archive; why it cannot be put there, None where it is.

    Raises InvalidRequest where no other can be put there either.
    """
    try:
        archive.add(outcome.recording, outcome.answer or {}, outcome.documents or {})
    except OSError as error:
        return f"its transcript cannot be written: {error.strerror}"
    return None


def connect(address: str | None, workers: Workers) -> None:
    """To a Ray that runs, or to one that is started on this machine. Raises InvalidSettings."""
    try:
        ray.init(address, log_to_driver=False, logging_level=logging.ERROR, ignore_reinit_error=True)
    except ConnectionError:
        raise InvalidSettings("no Ray answers: name a running one as --address, or none to start one here") from None
    nodes = ray.nodes()  # type: ignore[no-untyped-call]
    machines = [node["Resources"] for node in nodes if node["Alive"]]
    if not any(one.get("GPU", 0) >= workers.gpus and one.get("CPU", 0) >= workers.cpus for one in machines):
        wanted = f"{workers.gpus:g} GPU and {workers.cpus:g} CPU"
        print(f"warning: no machine has the {wanted} that a worker is to get: waiting for one", file=sys.stderr)


if __name__ == "__main__":
    try:
        sys.exit(main())
    except KeyboardInterrupt:
        sys.exit(130)  # what shells expect of who was interrupted
