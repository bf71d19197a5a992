"""The command `transcribe-export`: write a Whisper checkpoint as ONNX graphs for ENGINE=onnx."""

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

import onnx  # noqa: F401  # at once, so that the command names the extra that it needs

from transcription.cli.completion import add_completion
from transcription.cli.program import exit_with
from transcription.config import ModelSettings
from transcription.errors import TranscriptionError

EPILOG = """examples:
  transcribe-export openai/whisper-base base
  transcribe-export openai/whisper-base base-int8 --int8
  ENGINE=onnx transcribe talk.mp3 --model base-int8

exit codes: 0 the checkpoint is written, 2 it cannot be read or written, or the options are wrong"""


def parser() -> argparse.ArgumentParser:
    """Return the parser of the command line."""
    command = argparse.ArgumentParser(
        prog="transcribe-export", description="Write a Whisper checkpoint as ONNX graphs, for ENGINE=onnx.",
        epilog=EPILOG, formatter_class=argparse.RawDescriptionHelpFormatter,
    )  # fmt: skip
    command.add_argument("model", metavar="MODEL", help="Whisper checkpoint: a Hub name or a directory")
    command.add_argument(
        "folder", metavar="DIR", type=Path, help="directory to write; files of these names are replaced"
    )
    command.add_argument("--int8", action="store_true", help="write 8-bit weights (default: float32)")
    add_completion(command)
    return command


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command and return the exit code."""
    options = parser().parse_args(arguments)
    try:
        from transcription.engines.edge.export import export  # here, because torch is slow to import

        export(ModelSettings.from_environment(asr_model=options.model), options.folder, options.int8)
    except TranscriptionError as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    return 0


def run() -> None:
    """Run the command as a program."""
    exit_with(main)


if __name__ == "__main__":
    run()
