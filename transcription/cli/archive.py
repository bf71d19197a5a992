"""transcribe-archive: transcribe archives of recordings, on this machine or on a Ray cluster."""

import argparse
import logging
import os
import re
import sys
from collections.abc import Sequence
from pathlib import Path

os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")  # Ray would report usage to its makers

import ray

from transcription.batch.archive import Archive
from transcription.batch.recording import Recording
from transcription.batch.sources import find_recordings
from transcription.batch.workers import Outcome, WorkerPool, transcribe_recordings
from transcription.cli.completion import add_completion
from transcription.cli.display import archive_progress
from transcription.cli.options import add_request_options, format_list, inference_config, model_settings
from transcription.cli.program import exit_with
from transcription.config import InferenceConfig, ModelSettings, with_absolute_paths
from transcription.errors import InvalidRequest, InvalidSettings, TranscriptionError
from transcription.formats import formats_of

EPILOG = """examples:
  transcribe-archive recordings --output transcripts --model openai/whisper-large-v3-turbo --gpus 1
  transcribe-archive s3://bucket/calls list.csv "more/*.mp3" --output transcripts --format srt
  transcribe-archive samples --output transcripts --model models/demo-whisper

A manifest is a text file with one address per line, or a table with one of the columns file_name, path, audio, address,
url, file or audio_filepath, and optionally the column id. A recording is known by its id, or else by its address. Give
ids if addresses change between runs, as signed addresses do.

Run the same command again to continue: finished recordings are skipped.
Exit codes: 0 all recordings are done, 1 some recordings failed, 2 the arguments are wrong, the models cannot be loaded
or the output cannot be written."""


def parser() -> argparse.ArgumentParser:
    """Return the parser of the command line."""
    command = argparse.ArgumentParser(
        prog="transcribe-archive", epilog=EPILOG, formatter_class=argparse.RawDescriptionHelpFormatter,
        description="Transcribe archives of recordings, on this machine or on a Ray cluster.",
    )  # fmt: skip
    command.add_argument(
        "sources", nargs="+", metavar="SOURCE",
        help="folder, pattern, file or manifest (.txt, .csv, .tsv, .jsonl); a path or any address that fsspec can read",
    )  # fmt: skip
    command.add_argument(
        "--output", type=Path, required=True, metavar="DIR", help="folder for the JSON lines and the Parquet table"
    )
    command.add_argument(
        "--format", "--output-format", action="extend", default=[], type=format_list(formats_of("archive")),
        metavar="LIST",
        help=f"also write these formats for each recording, e.g. srt,vtt: {', '.join(formats_of('archive'))}",
    )  # fmt: skip
    add_request_options(command)
    command.add_argument(
        "--workers", type=worker_range, default=(1, 1), metavar="N", help="number of workers, or a range such as 1-8"
    )
    command.add_argument("--gpus", type=float, default=0.0, help="GPUs per worker; may be fractional (default: 0)")
    command.add_argument("--cpus", type=float, default=1.0, help="CPU cores per worker (default: 1)")
    command.add_argument(
        "--together", type=positive, default=8, metavar="N",
        help="recordings that a worker transcribes at the same time (default: 8)",
    )  # fmt: skip
    command.add_argument("--address", help="address of a Ray cluster (default: $RAY_ADDRESS, or this machine)")
    command.add_argument("--quiet", action="store_true", help="print no progress")
    add_completion(command)
    return command


def positive(text: str) -> int:
    """Return a whole number from 1 up. Raises ArgumentTypeError."""
    if not text.isdecimal() or int(text) < 1:
        raise argparse.ArgumentTypeError("give a whole number from 1 up")
    return int(text)


def worker_range(text: str) -> tuple[int, int]:
    """Return the minimum and the maximum of "4" or "1-8". Raises ArgumentTypeError."""
    match = re.fullmatch(r"(\d+)(?:-(\d+))?", text)
    minimum, maximum = (int(match[1]), int(match[2] or match[1])) if match else (0, 0)
    if not 1 <= minimum <= maximum:
        raise argparse.ArgumentTypeError("give a whole number from 1 up, or a range such as 1-8")
    return minimum, maximum


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command and return its exit code."""
    options = parser().parse_args(arguments)
    os.environ.setdefault("RAY_BACKEND_LOG_LEVEL", "fatal")  # Ray's warnings about actors are for Ray's developers
    try:
        settings = with_absolute_paths(model_settings(options))
        config = inference_config(options)
        if config.align is not None:
            raise InvalidRequest("align is the text of one recording: use transcribe --align")
        recordings = find_recordings(options.sources)
        with Archive(options.output) as archive:
            return transcribe_into(archive, recordings, options, settings, config)
    except TranscriptionError as error:
        print(f"error: {error}", file=sys.stderr)
        return 2


def transcribe_into(
    archive: Archive, recordings: Sequence[Recording], options: argparse.Namespace, settings: ModelSettings,
    config: InferenceConfig,
) -> int:  # fmt: skip
    """Transcribe the recordings that are not done yet, and return the exit code.

    Raises InvalidSettings if the models cannot be loaded, and InvalidRequest if the archive cannot be written.
    """
    pending = [recording for recording in recordings if recording.source not in archive.done]
    min_workers, max_workers = options.workers
    pool = WorkerPool(min_workers, max_workers, options.gpus, options.cpus, options.together)
    failed = 0
    with archive_progress(len(recordings), len(recordings) - len(pending), options.quiet) as report:
        if pending:
            connect(options.address, pool)
        for outcome in transcribe_recordings(pending, settings, config, options.format, pool):
            error = outcome.error or write(archive, outcome)
            if error is not None:
                failed += 1
                print(f"error: {outcome.recording.source}: {error}", file=sys.stderr)
                archive.fail(outcome.recording.source, error)
            report(outcome.answer["duration"] if outcome.answer else 0.0, failed)
    archive.write_table()
    return 1 if failed else 0


def write(archive: Archive, outcome: Outcome) -> str | None:
    """Add a transcript to the archive, and return the error if this one cannot be written.

    Raises InvalidRequest if no transcript can be written.
    """
    try:
        archive.add(outcome.recording, outcome.answer or {}, outcome.documents or {})
    except OSError as error:
        return f"the transcript cannot be written: {error.strerror}"
    return None


def connect(address: str | None, pool: WorkerPool) -> None:
    """Connect to a running Ray, or start one on this machine. Raises InvalidSettings if none answers."""
    try:
        ray.init(address, log_to_driver=False, logging_level=logging.ERROR, ignore_reinit_error=True)
    except ConnectionError:
        raise InvalidSettings(
            "no Ray answers at this address; give the --address of a running one, or leave it out to start one here"
        ) from None
    nodes = ray.nodes()  # type: ignore[no-untyped-call]
    machines = [node["Resources"] for node in nodes if node["Alive"]]
    if not any(machine.get("GPU", 0) >= pool.gpus and machine.get("CPU", 0) >= pool.cpus for machine in machines):
        needs = f"{pool.gpus:g} GPU and {pool.cpus:g} CPU"
        print(f"warning: a worker needs {needs}, and no machine has them; waiting for one", file=sys.stderr)


def run() -> None:
    """Run the command as a program."""
    exit_with(main)


if __name__ == "__main__":
    run()
