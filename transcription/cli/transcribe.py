"""Files in, transcripts out: `transcribe meeting.flac --model openai/whisper-large-v3-turbo`.

Exit codes: 0 all files done, 1 some file failed (the others are done), 2 the call itself was wrong.
"""

import argparse
import glob
import json
import stat
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from transcription.audio import AUDIO_SUFFIXES
from transcription.cli.options import add_request_options, config_of, settings_of
from transcription.config import InferenceConfig
from transcription.errors import InvalidRequest, TranscriptionError
from transcription.formats import FORMATS, formats_of

if TYPE_CHECKING:
    from transcription.transcriber import Transcriber
    from transcription.transcript import Transcript

_LOOK = 1.0  # seconds between two looks into a folder

EPILOG = """examples:
  transcribe talk.mp3 --model openai/whisper-large-v3-turbo
  transcribe recordings/*.wav --format srt --output-dir subtitles
  transcribe --watch inbox --format srt --output-dir subtitles
  cat talk.ogg | transcribe - --timestamps word --format verbose_json
  transcribe meeting.m4a --model openai/whisper-large-v3-turbo --diarize --num-speakers 3
  transcribe call.wav --model openai/whisper-large-v3-turbo --multichannel
  transcribe samples/german.ogg --model models/demo-whisper --task translate"""


def parser() -> argparse.ArgumentParser:
    """The command line."""
    command = argparse.ArgumentParser(
        description="Transcribe audio files with a Whisper model.",
        epilog=EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    command.add_argument("files", nargs="*", metavar="FILE", help="audio files, patterns, or - for standard input")
    command.add_argument(
        "--watch", type=Path, metavar="DIR", help="transcribe what lies in a folder, and what arrives, until Ctrl-C"
    )
    add_request_options(command)
    command.add_argument(
        "--format",
        choices=("transcript", *formats_of("transcribe")),
        default="transcript",
        help="default: %(default)s, for reading",
    )
    command.add_argument(
        "--output-dir", type=Path, metavar="DIR", help="write one file per input here (default: standard output)"
    )
    command.add_argument("--quiet", action="store_true", help="no progress on standard error")
    return command


def main(arguments: Sequence[str] | None = None) -> int:
    """Runs the command; the exit code."""
    options = parser().parse_args(arguments)
    try:
        names = wanted(options)
        form = "chunks" if options.format == "transcript" else options.format
        settings, config = settings_of(options), config_of(options, form)
        from transcription.transcriber import Transcriber  # here, so that --help and mistakes answer at once

        transcriber = Transcriber(settings)
    except TranscriptionError as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    failed = False
    for name in names:
        try:
            transcript = transcribe_file(name, transcriber, config, quiet=options.quiet)
            write(name, transcript, options.format, options.output_dir)
        except (TranscriptionError, OSError) as error:
            print(f"error: {name}: {error}", file=sys.stderr)
            failed = True
    return 1 if failed else 0


def wanted(options: argparse.Namespace) -> Iterator[str]:
    """The names of the files to transcribe; with --watch they do not end. Raises InvalidRequest."""
    if options.watch is None:
        if not options.files:
            raise InvalidRequest("name a file, or a folder to --watch")
        return expanded(options.files)
    if options.files or options.output_dir is None:
        raise InvalidRequest("--watch takes a folder in place of files, and needs --output-dir")
    if not options.watch.is_dir():
        raise InvalidRequest(f"--watch {options.watch} is not a folder")
    return arriving(options.watch, lambda path: written_to(str(path), options.format, options.output_dir).exists())


def arriving(folder: Path, is_done: Callable[[Path], bool]) -> Iterator[str]:
    """Recordings in a folder, for ever: each when it has not grown between two looks, again when it has changed.

    Those that are done when they are first seen are left alone: a command that is started anew goes on.
    """
    before: dict[Path, tuple[int, int]] = {}
    told: dict[Path, tuple[int, int]] = {}
    while True:
        for path in sorted(folder.iterdir()):
            state = _state(path)
            if state is None:
                continue
            if path not in before and is_done(path):
                told[path] = state
            if before.get(path) == state != told.get(path):
                told[path] = state
                yield str(path)
            before[path] = state
        time.sleep(_LOOK)


def _state(path: Path) -> tuple[int, int] | None:
    """What changes as a recording is written; None of what is none, or has gone."""
    try:
        found = path.stat()
    except OSError:
        return None
    is_recording = path.suffix.lower() in AUDIO_SUFFIXES and stat.S_ISREG(found.st_mode)
    return (found.st_size, found.st_mtime_ns) if is_recording else None


def expanded(names: Sequence[str]) -> Iterator[str]:
    """File names, patterns replaced by what they match; a name that matches nothing stays, to be reported."""
    for name in names:
        if name == "-" or Path(name).exists():
            yield name
        else:
            yield from sorted(glob.glob(name, recursive=True)) or [name]


def transcribe_file(
    name: str, transcriber: "Transcriber", config: InferenceConfig, quiet: bool = False
) -> "Transcript":
    """One file's transcript, with progress bars and warnings on standard error. Raises TranscriptionError."""
    from transcription.audio import decode_audio, read_file
    from transcription.cli.display import progress

    limits, channels = transcriber.limits, config.multichannel
    if name == "-":
        audio = decode_audio(sys.stdin.buffer.read(), limits, channels)
    else:
        audio = read_file(Path(name), limits, channels)
    shown = "standard input" if name == "-" else Path(name).name
    with progress(shown, audio.duration, quiet) as context:
        transcript = transcriber.transcribe(audio, config, context)
    for warning in transcript.warnings:
        print(f"warning: {shown}: {warning}", file=sys.stderr)
    return transcript


def write(name: str, transcript: "Transcript", form: str, folder: Path | None) -> None:
    """The transcript in one format, to standard output or to a file in `folder`."""
    if form == "transcript" and folder is None:
        from rich.console import Console

        from transcription.cli.display import readable

        Console(file=sys.stdout, highlight=False, soft_wrap=True).print(readable(transcript), end="")
        return
    document = text_of(transcript, form)
    if folder is None:
        sys.stdout.write(document)
        sys.stdout.flush()
        return
    folder.mkdir(parents=True, exist_ok=True)
    written_to(name, form, folder).write_text(document, encoding="utf-8")


def text_of(transcript: "Transcript", form: str) -> str:
    """The transcript in one format, as a file holds it."""
    if form == "transcript":
        from transcription.cli.display import readable

        return readable(transcript).plain
    rendered = FORMATS[form].render(transcript)
    return rendered if isinstance(rendered, str) else json.dumps(rendered, ensure_ascii=False, indent=2) + "\n"


def written_to(name: str, form: str, folder: Path) -> Path:
    """Where the transcript of a file goes."""
    stem = "standard-input" if name == "-" else Path(name).stem
    return folder / f"{stem}.{'txt' if form == 'transcript' else FORMATS[form].extension}"


def run() -> None:
    """Run the command as a program."""
    try:
        sys.exit(main())
    except KeyboardInterrupt:
        sys.exit(130)  # the exit code that shells expect after an interrupt


if __name__ == "__main__":
    run()
