"""Archives of recordings, on one machine or a Ray cluster: `transcribe-archive recordings --output transcripts`."""

import argparse
import logging
import os
import sys
from collections.abc import Sequence
from pathlib import Path

os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")  # nothing is reported to anyone

import ray

from transcription.batch.archive import Archive
from transcription.batch.sources import Recording, recordings
from transcription.batch.workers import Outcome, Workers, transcribed
from transcription.cli.display import counted
from transcription.cli.options import add_request_options, config_of, settings_of
from transcription.config import InferenceConfig, ModelSettings, with_absolute_paths
from transcription.errors import InvalidSettings, TranscriptionError
from transcription.formats import FORMATS, formats_of

EPILOG = """examples:
  transcribe-archive recordings --output transcripts --model openai/whisper-large-v3-turbo --gpus 1
  transcribe-archive s3://bucket/calls list.csv "more/*.mp3" --output transcripts --format srt
  transcribe-archive samples --output transcripts --model models/demo-whisper

Run again, it does what is not yet done. Exit codes: 0 all are done, 1 some could not be, 2 the call was wrong, or no
more could be written."""


def parser() -> argparse.ArgumentParser:
    """The command line."""
    command = argparse.ArgumentParser(
        description="Transcribe archives of recordings, on this machine or a Ray cluster.",
        epilog=EPILOG, formatter_class=argparse.RawDescriptionHelpFormatter,
    )  # fmt: skip
    command.add_argument(
        "sources", nargs="+", metavar="SOURCE",
        help="folders, patterns, files, or manifests (.txt, .csv, .tsv, .jsonl); paths or any address fsspec reads",
    )  # fmt: skip
    command.add_argument("--output", type=Path, required=True, metavar="DIR", help="JSON lines and a Parquet table")
    command.add_argument(
        "--format", action="append", default=[], choices=list(formats_of("archive")),
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
    return command


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
        form = next((name for name in options.format if FORMATS[name].needs_speakers), "chunks")
        settings, config = with_absolute_paths(settings_of(options)), config_of(options, form)
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


def run() -> None:
    """Run the command as a program."""
    try:
        sys.exit(main())
    except KeyboardInterrupt:
        sys.exit(130)  # the exit code that shells expect after an interrupt


if __name__ == "__main__":
    run()
