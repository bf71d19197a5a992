"""The command `transcribe`: transcribe audio files, e.g. `transcribe talk.mp3 --model openai/whisper-large-v3-turbo`.

Exit codes: 0 if all files are transcribed, 1 if some file failed (the others are transcribed), 2 if the options are
wrong.
"""

import argparse
import glob
import json
import sys
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from transcription.cli.completion import add_completion
from transcription.cli.given_turns import GivenTurns
from transcription.cli.inputs import expand_patterns, watch
from transcription.cli.live import JSON_LINES, check_options, name_of, run_live
from transcription.cli.options import add_request_options, format_list, inference_config, model_settings, with_needs
from transcription.cli.program import exit_with
from transcription.cli.voices import add_save_option, with_voices, write_voices
from transcription.config import InferenceConfig
from transcription.errors import InvalidRequest, TranscriptionError
from transcription.formats import FORMATS, formats_of

if TYPE_CHECKING:
    from transcription.transcriber import Transcriber
    from transcription.transcript import Transcript

FORMAT_NAMES = ("transcript", *formats_of("transcribe"))

EPILOG = """examples:
  transcribe talk.mp3 --model openai/whisper-large-v3-turbo
  transcribe recordings/*.wav --format srt,vtt,json --output-dir subtitles
  transcribe --watch inbox --format srt --output-dir subtitles
  cat talk.ogg | transcribe - --timestamps word --format verbose_json
  transcribe meeting.m4a --model openai/whisper-large-v3-turbo --diarize --num-speakers 3
  transcribe meeting.m4a --model openai/whisper-large-v3-turbo --turns meeting.rttm
  transcribe meeting.m4a --model openai/whisper-large-v3-turbo --speaker Maria=maria.wav
  transcribe call.wav --model openai/whisper-large-v3-turbo --multichannel
  ffmpeg -i talk.mp3 -f s16le -ac 1 -ar 16000 - | transcribe --live -
  transcribe talk.mp3 --align @script.txt --format srt
  transcribe samples/german.ogg --model models/demo-whisper --task translate

exit codes: 0 all files are transcribed, 1 some file failed, 2 the options are wrong"""


def parser() -> argparse.ArgumentParser:
    """Return the parser of the command line."""
    command = argparse.ArgumentParser(
        prog="transcribe",
        description="Transcribe audio files with a Whisper model.",
        epilog=EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    command.add_argument("files", nargs="*", metavar="FILE", help="audio files, glob patterns, or - for standard input")
    command.add_argument(
        "--watch", type=Path, metavar="DIR",
        help="transcribe all audio files in a directory, wait for new files, and stop at Ctrl-C",
    )  # fmt: skip
    add_request_options(command)
    command.add_argument(
        "--format", "--output-format", action="extend", type=format_list((*FORMAT_NAMES, JSON_LINES)), metavar="LIST",
        help=f"formats of the output, e.g. srt,vtt,json: {', '.join(FORMAT_NAMES)}; transcript is text for reading"
        " (default: transcript)",
    )  # fmt: skip
    command.add_argument(
        "--output-dir", type=Path, metavar="DIR",
        help="write a file for each input and format into this directory (default: write to standard output)",
    )  # fmt: skip
    command.add_argument(
        "--turns", dest="turns_file", type=Path, metavar="FILE",
        help="RTTM file of speaker turns, used instead of a diarization model. With several recordings, it names the"
        " file of each turn",
    )  # fmt: skip
    add_save_option(command)
    command.add_argument(
        "--live", action="store_true",
        help="transcribe the microphone while somebody speaks, until Ctrl-C; with -, a pipe of raw 16-bit samples at"
        f" 16 kHz; the format {JSON_LINES} has a line for each turn",
    )  # fmt: skip
    command.add_argument("--quiet", action="store_true", help="show no progress bars")
    add_completion(command)
    return command


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command and return the exit code."""
    options = parser().parse_args(arguments)
    if options.save_voices is not None:
        options.voiceprints = True
    try:
        formats = output_formats(options)
        names = iter(()) if options.live else input_files(options, formats)
        given = GivenTurns.read(options) if options.turns_file else None
        settings, requested = model_settings(options), inference_config(options)
        config = with_needs(requested, formats)
        if given is not None:
            given.check(requested)
            settings = settings.model_copy(update={"diarization_model": None})
        from transcription.transcriber import Transcriber  # here, because torch is slow to import

        transcriber = Transcriber(settings, needs_speakers=config.diarize is True)
    except TranscriptionError as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    if options.live:
        return transcribe_live(options, formats, transcriber, config)
    failed = False
    for name in names:
        try:
            file_config = config if given is None else config.model_copy(update={"turns": given.of(name)})
            transcript = transcribe_file(name, transcriber, file_config, quiet=options.quiet)
            if options.save_voices is not None:
                config = with_voices(config, transcript.voiceprints)
                write_voices(options.save_voices, config)
            plain = transcriber.with_requested_words(transcript, requested)
            write_all(name, transcript, plain, formats, options.output_dir, config)
        except (TranscriptionError, OSError) as error:
            print(f"error: {name}: {error}", file=sys.stderr)
            failed = True
    return 1 if failed else 0


def transcribe_live(
    options: argparse.Namespace, formats: Sequence[str], transcriber: "Transcriber", config: InferenceConfig
) -> int:
    """Transcribe the microphone or a pipe, write the transcript at the end, and return the exit code."""
    try:
        transcript, is_whole = run_live(options, formats, transcriber, config)
        plain = transcriber.with_requested_words(transcript, inference_config(options))
        rest = [name for name in formats if name != JSON_LINES and (options.output_dir or name != "transcript")]
        write_all(name_of(options), transcript, plain, rest, options.output_dir, config)
    except (TranscriptionError, OSError) as error:
        print(f"error: {error}", file=sys.stderr)
        return 1
    return 0 if is_whole else 1


def write_all(
    name: str, transcript: "Transcript", plain: "Transcript", formats: Sequence[str], folder: Path | None,
    config: InferenceConfig,
) -> None:  # fmt: skip
    """Write a transcript in each format. plain: without words, unless they were requested."""
    for format_name in formats:
        needs_words = format_name in FORMATS and FORMATS[format_name].needs_words
        write(name, transcript if needs_words else plain, format_name, folder, config)


def output_formats(options: argparse.Namespace) -> list[str]:
    """Return the names of the formats to write.

    Raises InvalidRequest if several of them would go to one file or to standard output.
    """
    formats = list(dict.fromkeys(options.format or ["transcript"]))
    if options.live:
        check_options(options)
    elif JSON_LINES in formats:
        raise InvalidRequest(f"the format {JSON_LINES} needs --live")
    if len(formats) > 1 and options.output_dir is None:
        raise InvalidRequest("several formats need --output-dir")
    by_extension: dict[str, str] = {}
    for name in formats:
        other = by_extension.setdefault(extension(name), name)
        if other != name:
            raise InvalidRequest(f"the formats {other} and {name} have the same file name: choose one")
    return formats


def input_files(options: argparse.Namespace, formats: Sequence[str]) -> Iterator[str]:
    """Return the names of the files to transcribe. With --watch, the iterator does not end.

    Raises InvalidRequest if the options name no files.
    """
    if options.watch is None:
        if not options.files:
            raise InvalidRequest("name at least one file, or a directory with --watch")
        if options.align is not None and (len(options.files) > 1 or glob.has_magic(options.files[0])):
            raise InvalidRequest("--align is the text of one recording: name one file")
        return expand_patterns(options.files)
    if options.files or options.align is not None:
        raise InvalidRequest("--watch cannot be combined with files or --align")
    if options.output_dir is None:
        raise InvalidRequest("--watch needs --output-dir")
    if not options.watch.is_dir():
        raise InvalidRequest(f"--watch {options.watch} is not a directory")
    outputs = [extension(name) for name in formats]
    return watch(
        options.watch, lambda path: all(output_path(str(path), one, options.output_dir).exists() for one in outputs)
    )


def transcribe_file(
    name: str, transcriber: "Transcriber", config: InferenceConfig, quiet: bool = False
) -> "Transcript":
    """Return the transcript of one file. Progress and warnings go to standard error.

    Raises TranscriptionError.
    """
    from transcription.audio import decode_audio, read_file
    from transcription.cli.display import file_progress

    limits, keep_channels = transcriber.limits, config.multichannel
    if name == "-":
        audio = decode_audio(sys.stdin.buffer.read(), limits, keep_channels)
    else:
        audio = read_file(Path(name), limits, keep_channels)
    title = "standard input" if name == "-" else Path(name).name
    with file_progress(title, audio.duration, quiet) as context:
        transcript = transcriber.transcribe(audio, config, context)
    transcript = replace(transcript, name="" if name == "-" else Path(name).stem)
    for warning in transcript.warnings:
        print(f"warning: {title}: {warning}", file=sys.stderr)
    return transcript


def write(name: str, transcript: "Transcript", format_name: str, folder: Path | None, config: InferenceConfig) -> None:
    """Write the transcript to a file in `folder`, or to standard output."""
    if format_name == "transcript" and folder is None:
        from rich.console import Console

        from transcription.cli.display import to_rich_text

        Console(file=sys.stdout, highlight=False, soft_wrap=True).print(to_rich_text(transcript), end="")
        return
    document = render(transcript, format_name, config)
    if folder is None:
        sys.stdout.write(document)
        sys.stdout.flush()
        return
    folder.mkdir(parents=True, exist_ok=True)
    output_path(name, extension(format_name), folder).write_text(document, encoding="utf-8")


def render(transcript: "Transcript", format_name: str, config: InferenceConfig) -> str:
    """Return the text of a transcript file."""
    if format_name == "transcript":
        from transcription.cli.display import to_rich_text

        return to_rich_text(transcript).plain
    document = FORMATS[format_name].render(transcript, config)
    return document if isinstance(document, str) else json.dumps(document, ensure_ascii=False, indent=2) + "\n"


def extension(format_name: str) -> str:
    """Return the file extension of a format."""
    own = {"transcript": "txt", JSON_LINES: JSON_LINES}
    return own.get(format_name) or FORMATS[format_name].extension


def output_path(name: str, suffix: str, folder: Path) -> Path:
    """Return the path of the transcript of a file."""
    return folder / f"{'standard-input' if name == '-' else Path(name).stem}.{suffix}"


def run() -> None:
    """Run the command as a program."""
    exit_with(main, at_once=True)


if __name__ == "__main__":
    run()
