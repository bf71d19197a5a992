"""`transcribe --live`: words while they are spoken, from the microphone or from a pipe of raw samples."""

import argparse
import json
import shutil
import sys
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, TextIO

from transcription.audio import SAMPLE_RATE, Samples
from transcription.audio.streams import StreamDecoder
from transcription.config import InferenceConfig
from transcription.errors import InvalidRequest
from transcription.live.events import LiveEvent, TurnCompleted, TurnFailed, WordsAdded
from transcription.live.parameters import WITHOUT_EFFECT
from transcription.transcript import Segment, Transcript

if TYPE_CHECKING:
    from transcription.transcriber import Transcriber

JSON_LINES = "jsonl"
"""A format of live sessions: a line for each turn, as soon as it is complete."""
_PIECE = SAMPLE_RATE // 10
_MAX_PENDING_TURNS = 4  # a pipe that is faster than the model waits
_FILES = (b"RIFF", b"fLaC", b"OggS", b"ID3")  # first bytes of audio files
_RAW = "ffmpeg -i FILE -f s16le -ac 1 -ar 16000 - | transcribe --live -"


def check_options(options: argparse.Namespace) -> None:
    """Raise InvalidRequest for options that have no effect with --live."""
    if options.watch is not None or options.files not in ([], ["-"]):
        raise InvalidRequest(f"--live takes no files: leave them out for the microphone, or use a pipe: {_RAW}")
    for name in sorted((WITHOUT_EFFECT - {"timestamps"}) | {"turns_file"}):
        if getattr(options, name, None) is not None:
            raise InvalidRequest(
                f"--{name.removesuffix('_file').replace('_', '-')} has no effect with --live: leave it out"
            )


def source_of(options: argparse.Namespace) -> Iterator[Samples]:
    """Return the samples at 16 kHz as they arrive. Raises InvalidRequest if there is no microphone."""
    return _pipe() if options.files else _microphone()


def _pipe() -> Iterator[Samples]:
    decoder, is_first = StreamDecoder(), True
    while data := sys.stdin.buffer.read1(2 * _PIECE):  # type: ignore[union-attr]
        if is_first and data.startswith(_FILES):
            raise InvalidRequest(f"standard input is an audio file, --live takes raw 16-bit samples: {_RAW}")
        is_first = False
        yield decoder.decode(data)


def _microphone() -> Iterator[Samples]:
    try:
        import sounddevice
    except ImportError:
        raise InvalidRequest('the microphone needs an extra: pip install ".[live]"') from None
    except OSError:
        raise InvalidRequest("the microphone needs PortAudio: install libportaudio2, or use a pipe") from None
    decoder = StreamDecoder()
    try:
        with sounddevice.RawInputStream(SAMPLE_RATE, channels=1, dtype="int16") as stream:
            print("listening: stop with Ctrl-C", file=sys.stderr)
            while True:
                yield decoder.decode(bytes(stream.read(_PIECE)[0]))
    except sounddevice.PortAudioError as error:
        raise InvalidRequest(f"the microphone cannot be opened: {error}") from None


@dataclass
class Printer:
    """Writes what a session reports. stream: of the lines; on a terminal, the last one grows in place.

    json_lines: of turns, None without them.
    """

    stream: TextIO | None
    json_lines: TextIO | None = None
    turns: list[Transcript] = field(default_factory=list)
    errors: list[str] = field(default_factory=list)
    _text: str = ""

    def add(self, event: LiveEvent) -> None:
        """Take an event of the session."""
        if isinstance(event, WordsAdded):
            self._text += event.text
            self._show_words()
        elif isinstance(event, TurnFailed):
            self.errors.append(str(event.error))
            print(f"error: {event.error}", file=sys.stderr)
        elif isinstance(event, TurnCompleted):
            self._text = ""
            self.turns.append(event.transcript)
            self._write_turn(event.transcript)

    def transcript(self) -> Transcript:
        """Return the transcript of all turns."""
        segments = tuple(segment for turn in self.turns for segment in turn.segments)
        language = next((turn.language for turn in self.turns if turn.segments), None)
        has_speakers = any(turn.turns is not None for turn in self.turns)
        turns = tuple(part for turn in self.turns for part in turn.turns or ()) if has_speakers else None
        end = max((segment.end for segment in segments), default=0.0)
        return Transcript(segments, language, end, turns=turns)

    def _show_words(self) -> None:
        if self.stream is not None and self.stream.isatty():
            width = shutil.get_terminal_size().columns - 1
            self.stream.write(f"\r\x1b[K{self._text.strip()[-width:]}")
            self.stream.flush()

    def _write_turn(self, turn: Transcript) -> None:
        if self.stream is not None:
            start = "\r\x1b[K" if self.stream.isatty() else ""
            self.stream.write(start + "".join(f"{_line(segment)}\n" for segment in turn.segments))
            self.stream.flush()
        if self.json_lines is not None and turn.segments:
            self.json_lines.write(json.dumps(_document(turn), ensure_ascii=False) + "\n")
            self.json_lines.flush()


def _line(segment: Segment) -> str:
    speaker = f"{segment.speaker}: " if segment.speaker else ""
    return f"[{segment.start:7.2f} → {segment.end:7.2f}] {speaker}{segment.text.strip()}"


def _document(turn: Transcript) -> dict[str, object]:
    words = [{"word": one.word.strip(), "start": round(one.start, 3), "end": round(one.end, 3)} for one in turn.words]
    start, end = turn.segments[0].start, turn.segments[-1].end
    return {"start": round(start, 3), "end": round(end, 3), "text": turn.text, "language": turn.language,
            "words": words}  # fmt: skip


def listen(
    transcriber: "Transcriber", config: InferenceConfig, source: Iterator[Samples], printer: Printer
) -> Transcript:
    """Transcribe what comes from a source until it ends, or until Ctrl-C. Raises InvalidRequest."""
    from transcription.live.session import LiveSession
    from transcription.live.turns import TurnSettings

    with ThreadPoolExecutor(1, "live") as thread:
        session = LiveSession(transcriber, config, TurnSettings(), thread, printer.add)
        try:
            try:
                for samples in source:
                    session.feed(samples)
                    session.wait_for_room(_MAX_PENDING_TURNS)
            except KeyboardInterrupt:
                print(file=sys.stderr)
            session.finish()
        finally:
            session.cancel()
    return printer.transcript()


def run_live(
    options: argparse.Namespace, formats: Sequence[str], transcriber: "Transcriber", config: InferenceConfig
) -> tuple[Transcript, bool]:
    """Run a session with the options of `transcribe`; return the transcript, and whether all turns are in it.

    Raises InvalidRequest, OSError.
    """
    lines = sys.stdout if "transcript" in formats else None
    if JSON_LINES not in formats or options.output_dir is None:
        printer = Printer(lines, sys.stdout if JSON_LINES in formats else None)
        return listen(transcriber, config, source_of(options), printer), not printer.errors
    options.output_dir.mkdir(parents=True, exist_ok=True)
    path: Path = options.output_dir / f"{name_of(options)}.{JSON_LINES}"
    with path.open("w", encoding="utf-8") as file:
        printer = Printer(lines, file)
        return listen(transcriber, config, source_of(options), printer), not printer.errors


def name_of(options: argparse.Namespace) -> str:
    """Return the name of the files of a session."""
    return "standard-input" if options.files else "microphone"
