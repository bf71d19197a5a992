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

from config import InferenceConfig, ModelSettings
from errors import TranscriptionError
from formats import FORMATS

if TYPE_CHECKING:
    from transcribe import Transcriber
    from transcript import Transcript

EPILOG = """examples:
  python cli.py talk.mp3 --model openai/whisper-large-v3-turbo
  python cli.py recordings/*.wav --format srt --output-dir subtitles
  cat talk.ogg | python cli.py - --timestamps word --format verbose_json
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
        settings = ModelSettings.from_environment(asr_model=options.model, assistant_model=options.assistant)
        config = InferenceConfig.from_request(
            {
                "language": options.language, "task": options.task, "timestamps": options.timestamps,
                "prompt": options.prompt, "assisted": options.assistant is not None,
            }
        )  # fmt: skip
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
    """One file's transcript, with a progress bar on a terminal. Raises TranscriptionError."""
    from rich.console import Console
    from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn

    from audio import decode_audio, read_file

    limits = transcriber.limits
    audio = decode_audio(sys.stdin.buffer.read(), limits) if name == "-" else read_file(Path(name), limits)
    with Progress(
        TextColumn("{task.description}"), BarColumn(),
        TextColumn("{task.completed:.0f} of {task.total:.0f} s of audio in"), TimeElapsedColumn(),
        console=Console(stderr=True), disable=quiet,
    ) as bars:  # fmt: skip
        bar = bars.add_task("standard input" if name == "-" else Path(name).name, total=audio.duration)
        return transcriber.transcribe(audio, config, lambda done, total: bars.update(bar, completed=done, total=total))


def write(name: str, transcript: "Transcript", form: str, folder: Path | None) -> None:
    """The transcript in one format, to standard output or to a file in `folder`."""
    if form == "transcript":
        document: str = readable(transcript)
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


def readable(transcript: "Transcript") -> str:
    """For reading: language and length, then a line per segment, its words with their times below."""
    sure = transcript.language_probability
    told = f" (detected, {sure:.0%})" if sure is not None else ""
    lines = [f"{transcript.duration:.1f} s, language {transcript.language}{told}"]
    for segment in transcript.segments:
        lines.append(f"[{segment.start:7.2f} → {segment.end:7.2f}] {segment.text.strip()}")
        if segment.words:
            lines.append(" " * 21 + "  ".join(f"{word.word.strip()} {word.start:.2f}" for word in segment.words))
    if not transcript.segments:
        lines.append("nobody speaks")
    return "\n".join(lines) + "\n"


if __name__ == "__main__":
    sys.exit(main())
