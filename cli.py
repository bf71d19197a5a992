"""Files in, transcripts out: `python cli.py meeting.flac --model openai/whisper-large-v3-turbo`.

Exit codes: 0 all files done, 1 some file failed (the others are done), 2 the call itself was wrong.
"""

import argparse
import glob
import json
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from config import DIARIZATION_MODEL, InferenceConfig, ModelSettings
from errors import TranscriptionError
from formats import FORMATS

if TYPE_CHECKING:
    from rich.text import Text

    from transcribe import Transcriber
    from transcript import Transcript, Word

COLOURS = ("cyan", "magenta", "yellow", "green", "blue", "red")  # of speakers, again and again
UNSURE = 2 / 3  # a word's speaker is marked below this confidence

EPILOG = """examples:
  python cli.py talk.mp3 --model openai/whisper-large-v3-turbo
  python cli.py recordings/*.wav --format srt --output-dir subtitles
  cat talk.ogg | python cli.py - --timestamps word --format verbose_json
  python cli.py meeting.m4a --model openai/whisper-large-v3-turbo --diarize --num-speakers 3
  python cli.py call.wav --model openai/whisper-large-v3-turbo --multichannel
  python cli.py samples/german.ogg --model models/demo-whisper --task translate"""


def parser() -> argparse.ArgumentParser:
    """The command line."""
    command = argparse.ArgumentParser(
        description="Transcribe audio files with a Whisper model.",
        epilog=EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    command.add_argument("files", nargs="+", metavar="FILE", help="audio files, patterns, or - for standard input")
    command.add_argument("--model", help="Whisper checkpoint: Hub name or directory (default: $ASR_MODEL)")
    command.add_argument("--assistant", help="smaller checkpoint that drafts (speculative decoding, same text)")
    command.add_argument("--language", help="en, de, … (default: detected)")
    command.add_argument(
        "--task", choices=("transcribe", "translate"), default="transcribe", help="translate: to English"
    )
    command.add_argument("--timestamps", choices=("none", "segment", "word"), default="segment")
    command.add_argument("--prompt", help="text that came before, or how names are spelt")
    speakers = command.add_argument_group("speakers")
    speakers.add_argument(
        "--diarize", action=argparse.BooleanOptionalAction, default=None,
        help="tell speakers apart (default: where a diarization model is named)",
    )  # fmt: skip
    speakers.add_argument(
        "--diarization-model", metavar="MODEL", help=f"default: $DIARIZATION_MODEL, or {DIARIZATION_MODEL}"
    )
    speakers.add_argument("--num-speakers", type=int, metavar="N", help="how many people speak, if known")
    speakers.add_argument("--min-speakers", type=int, metavar="N")
    speakers.add_argument("--max-speakers", type=int, metavar="N")
    speakers.add_argument("--multichannel", action="store_true", help="each channel is one speaker (calls)")
    command.add_argument(
        "--format", choices=("transcript", *FORMATS), default="transcript", help="default: %(default)s, for reading"
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
        settings, config = settings_of(options), config_of(options)
        from transcribe import Transcriber  # here, so that --help and mistakes answer at once

        transcriber = Transcriber(settings)
    except TranscriptionError as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    failed = False
    for name in expanded(options.files):
        try:
            transcript = transcribe_file(name, transcriber, config, quiet=options.quiet)
            write(name, transcript, options.format, options.output_dir)
        except (TranscriptionError, OSError) as error:
            print(f"error: {name}: {error}", file=sys.stderr)
            failed = True
    return 1 if failed else 0


def settings_of(options: argparse.Namespace) -> ModelSettings:
    """The environment's settings with the command line's on top. Raises InvalidSettings."""
    settings = ModelSettings.from_environment(
        asr_model=options.model, assistant_model=options.assistant, diarization_model=options.diarization_model
    )
    if options.diarize is False or options.multichannel:
        return settings.model_copy(update={"diarization_model": None})
    if options.diarize and settings.diarization_model is None:
        return settings.model_copy(update={"diarization_model": DIARIZATION_MODEL})
    return settings


def config_of(options: argparse.Namespace) -> InferenceConfig:
    """What the command line asks for. Raises InvalidRequest."""
    named = options.diarization_model is not None and not options.multichannel
    return InferenceConfig.from_request(
        {
            "language": options.language, "task": options.task, "timestamps": options.timestamps,
            "prompt": options.prompt, "assisted": options.assistant is not None,
            "diarize": True if named and options.diarize is None else options.diarize,
            "num_speakers": options.num_speakers, "min_speakers": options.min_speakers,
            "max_speakers": options.max_speakers, "multichannel": options.multichannel,
            "response_format": "chunks" if options.format == "transcript" else options.format,
        }
    )  # fmt: skip


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
    from rich.console import Console
    from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn

    from audio import decode_audio, read_file
    from watch import Watch

    limits, channels = transcriber.limits, config.multichannel
    if name == "-":
        audio = decode_audio(sys.stdin.buffer.read(), limits, channels)
    else:
        audio = read_file(Path(name), limits, channels)
    shown = "standard input" if name == "-" else Path(name).name
    with Progress(
        TextColumn("{task.description}"), BarColumn(),
        TextColumn("{task.completed:.0f} of {task.total:.0f} s of audio in"), TimeElapsedColumn(),
        console=Console(stderr=True), disable=quiet,
    ) as bars:  # fmt: skip
        stages = {"transcribe": bars.add_task(shown, total=audio.duration)}

        def told(stage: str, done: float, total: float) -> None:
            if stage not in stages:
                stages[stage] = bars.add_task(f"{shown}, speakers", total=total)
            bars.update(stages[stage], completed=done, total=total)

        transcript = transcriber.transcribe(audio, config, Watch(told))
    for warning in transcript.warnings:
        print(f"warning: {shown}: {warning}", file=sys.stderr)
    return transcript


def write(name: str, transcript: "Transcript", form: str, folder: Path | None) -> None:
    """The transcript in one format, to standard output or to a file in `folder`."""
    if form == "transcript" and folder is None:
        from rich.console import Console

        Console(file=sys.stdout, highlight=False, soft_wrap=True).print(readable(transcript), end="")
        return
    if form == "transcript":
        document: str = readable(transcript).plain
        extension = "txt"
    else:
        rendered = FORMATS[form].render(transcript)
        extension = FORMATS[form].extension
        document = rendered if isinstance(rendered, str) else json.dumps(rendered, ensure_ascii=False, indent=2) + "\n"
    if folder is None:
        sys.stdout.write(document)
        sys.stdout.flush()
        return
    folder.mkdir(parents=True, exist_ok=True)
    stem = "standard-input" if name == "-" else Path(name).stem
    (folder / f"{stem}.{extension}").write_text(document, encoding="utf-8")


def readable(transcript: "Transcript") -> "Text":
    """For reading: what was found, then a line per segment with its speaker's colour, its words' times below.

    A question mark after a word's time: its speaker is not sure.
    """
    from rich.text import Text

    colours = {speaker: COLOURS[at % len(COLOURS)] for at, speaker in enumerate(transcript.speakers)}
    told = Text(_found(transcript) + "\n")
    for segment in transcript.segments:
        style = colours.get(segment.speaker or "", "")
        who = f"{segment.speaker or 'nobody known'}: " if transcript.turns is not None else ""
        told.append(f"[{segment.start:7.2f} → {segment.end:7.2f}] ", "dim")
        told.append(who, f"bold {style}").append(segment.text.strip() + "\n", style)
        if segment.words:
            told.append(" " * 22 + "  ".join(map(_timed, segment.words)) + "\n", "dim")
    if not transcript.segments:
        told.append("nobody speaks\n")
    return told


def _found(transcript: "Transcript") -> str:
    """The first line: length, language, how many speak."""
    sure = transcript.language_probability
    told = f" (detected, {sure:.0%})" if sure is not None else ""
    count = len(transcript.speakers)
    speakers = f", {count} speaker{'' if count == 1 else 's'}" if transcript.turns is not None else ""
    return f"{transcript.duration:.1f} s, language {transcript.language}{told}{speakers}"


def _timed(word: "Word") -> str:
    unsure = word.confidence is not None and word.confidence < UNSURE
    return f"{word.word.strip()} {word.start:.2f}{'?' if unsure else ''}"


if __name__ == "__main__":
    try:
        sys.exit(main())
    except KeyboardInterrupt:
        sys.exit(130)  # what shells expect of who was interrupted
