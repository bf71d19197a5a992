"""What a terminal shows: a transcript for reading, who speaks when, and how far the work is."""

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn
from rich.text import Text

from transcription.context import RequestContext
from transcription.transcript import SpeakerTurn, Transcript, Word

COLOURS = ("cyan", "magenta", "yellow", "green", "blue", "red")  # of speakers, again and again
UNSURE = 2 / 3  # a word's speaker is marked below this confidence
WIDTH = 60  # characters of a timeline
_LINE = 30.0  # seconds between two lines in a log


def readable(transcript: Transcript) -> Text:
    """For reading: what was found, then a line per segment with its speaker's colour, its words' times below.

    A question mark after a word's time: its speaker is not sure.
    """
    colours = _colours(transcript)
    told = Text(_found(transcript) + "\n").append_text(timeline(transcript))
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


def _found(transcript: Transcript) -> str:
    """The first line: length, language, how many speak."""
    sure = transcript.language_probability
    told = f" (detected, {sure:.0%})" if sure is not None else ""
    count = len(transcript.speakers)
    speakers = f", {count} speaker{'' if count == 1 else 's'}" if transcript.turns is not None else ""
    return f"{transcript.duration:.1f} s, language {transcript.language}{told}{speakers}"


def _timed(word: Word) -> str:
    unsure = word.confidence is not None and word.confidence < UNSURE
    return f"{word.word.strip()} {word.start:.2f}{'?' if unsure else ''}"


def timeline(transcript: Transcript) -> Text:
    """A line for each speaker, from the start of the audio to its end: filled where they speak."""
    told = Text()
    for speaker, colour in _colours(transcript).items():
        told.append(f"{speaker} ", f"bold {colour}")
        told.append(_filled(speaker, transcript) + "\n", colour)
    return told


def _filled(speaker: str, transcript: Transcript) -> str:
    """One character for each part of the audio, by how much of it somebody speaks."""
    part = transcript.duration / WIDTH
    turns = [turn for turn in transcript.turns or () if turn.speaker == speaker]
    return "".join(" ░▒▓█"[round(4 * _share(turns, at * part, (at + 1) * part))] for at in range(WIDTH))


def _share(turns: list[SpeakerTurn], start: float, end: float) -> float:
    """How much of a stretch the turns cover, 0 to 1."""
    covered = sum(max(min(turn.end, end) - max(turn.start, start), 0.0) for turn in turns)
    return min(covered / (end - start), 1.0) if end > start else 0.0


def _colours(transcript: Transcript) -> dict[str, str]:
    return {speaker: COLOURS[at % len(COLOURS)] for at, speaker in enumerate(transcript.speakers)}


@contextmanager
def progress(name: str, seconds: float, quiet: bool) -> Iterator[RequestContext]:
    """Bars on standard error while a file of so many seconds is worked on, with the speed in times real time."""
    with Progress(
        TextColumn("{task.description}"), BarColumn(),
        TextColumn("{task.completed:.0f} of {task.total:.0f} s of audio in"), TimeElapsedColumn(),
        TextColumn("{task.fields[speed]}"), console=Console(stderr=True), disable=quiet,
    ) as bars:  # fmt: skip
        stages = {"transcribe": bars.add_task(name, total=seconds, speed="")}

        def told(stage: str, done: float, total: float) -> None:
            if stage not in stages:
                stages[stage] = bars.add_task(f"{name}, speakers", total=total, speed="")
            took = bars.tasks[stages[stage]].elapsed
            bars.update(
                stages[stage], completed=done, total=total, speed=f"{done / took:.0f} × real time" if took else ""
            )

        yield RequestContext(told)


Tell = Callable[[float, int], None]
"""Told of one more recording: seconds of its audio, and how many have failed so far."""


@contextmanager
def counted(total: int, before: int, quiet: bool) -> Iterator[Tell]:
    """How far an archive is, on standard error: a bar on a terminal, elsewhere a line now and then.

    before: how many were done when this run began.
    """
    console, began, said = Console(stderr=True, quiet=quiet), time.monotonic(), 0.0
    done, audio, failures = before, 0.0, 0

    def state() -> str:
        took = time.monotonic() - began
        speed = f", {audio / took:.0f} × real time" if audio else ""
        told = f"{done} of {total} done" + (f", {before} of them before" if before else "") + speed
        return told + (f", {failures} failed" if failures else "")

    with Progress(
        BarColumn(), TextColumn("{task.description}"), console=console, disable=not console.is_terminal
    ) as bar:
        task = bar.add_task(state(), total=total, completed=before)

        def tell(seconds: float, failed: int) -> None:
            nonlocal done, audio, failures, said
            done, audio, failures = done + (failed == failures), audio + seconds, failed
            bar.update(task, completed=done + failed, description=state())
            if not console.is_terminal and time.monotonic() > said + _LINE:
                said = time.monotonic()
                console.print(state(), highlight=False)

        yield tell
    if not console.is_terminal:
        console.print(state(), highlight=False)
