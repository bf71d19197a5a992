"""Terminal output: transcripts for reading, a timeline of the speakers, and progress."""

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn
from rich.text import Text

from transcription.context import RequestContext
from transcription.diarization.assign import MIN_CONFIDENCE
from transcription.transcript import SpeakerTurn, Transcript, Word

COLOURS = ("cyan", "magenta", "yellow", "green", "blue", "red")
"""Colours of the speakers; a seventh speaker gets the first again."""
TIMELINE_WIDTH = 60  # characters
_LOG_INTERVAL = 30.0  # seconds


def to_rich_text(transcript: Transcript) -> Text:
    """Return a transcript for reading: a summary, a timeline, then one line per segment, in the speaker's colour.

    Words are on the next line with their start times. A question mark means that the speaker is not certain.
    """
    colours = _colours(transcript)
    text = Text(_summary(transcript) + "\n").append_text(timeline(transcript))
    for segment in transcript.segments:
        style = colours.get(segment.speaker or "", "")
        speaker = f"{segment.speaker or 'unknown speaker'}: " if transcript.turns is not None else ""
        text.append(f"[{segment.start:7.2f} → {segment.end:7.2f}] ", "dim")
        text.append(speaker, f"bold {style}").append(segment.text.strip() + "\n", style)
        if segment.words:
            text.append(" " * 22 + "  ".join(map(_word_with_time, segment.words)) + "\n", "dim")
    if not transcript.segments:
        text.append("no speech\n")
    return text


def _summary(transcript: Transcript) -> str:
    """Return the duration, the language and the number of speakers."""
    probability = transcript.language_probability
    detected = f" (detected, {probability:.0%})" if probability is not None else ""
    count = len(transcript.speakers)
    speakers = f", {count} speaker{'' if count == 1 else 's'}" if transcript.turns is not None else ""
    return f"{transcript.duration:.1f} s, language {transcript.language}{detected}{speakers}"


def _word_with_time(word: Word) -> str:
    if not word.said:
        return f"{word.word.strip()} (not said)"
    is_uncertain = word.confidence is not None and word.confidence < MIN_CONFIDENCE
    return f"{word.word.strip()} {word.start:.2f}{'?' if is_uncertain else ''}"


def timeline(transcript: Transcript) -> Text:
    """Return one line per speaker, from the start to the end of the audio, filled where the speaker talks."""
    text = Text()
    for speaker, colour in _colours(transcript).items():
        text.append(f"{speaker} ", f"bold {colour}")
        text.append(_timeline_of(speaker, transcript) + "\n", colour)
    return text


def _timeline_of(speaker: str, transcript: Transcript) -> str:
    """Return one character per step of the audio. A darker character means more talk."""
    step = transcript.duration / TIMELINE_WIDTH
    turns = [turn for turn in transcript.turns or () if turn.speaker == speaker]
    shares = [_share_of_talk(turns, index * step, (index + 1) * step) for index in range(TIMELINE_WIDTH)]
    return "".join(" ░▒▓█"[round(4 * share)] for share in shares)


def _share_of_talk(turns: list[SpeakerTurn], start: float, end: float) -> float:
    """Return the share of an interval that the turns cover, 0 to 1."""
    covered = sum(max(min(turn.end, end) - max(turn.start, start), 0.0) for turn in turns)
    return min(covered / (end - start), 1.0) if end > start else 0.0


def _colours(transcript: Transcript) -> dict[str, str]:
    return {speaker: COLOURS[index % len(COLOURS)] for index, speaker in enumerate(transcript.speakers)}


@contextmanager
def file_progress(name: str, seconds: float, quiet: bool) -> Iterator[RequestContext]:
    """Show progress bars for one file on standard error, with the speed in times real time.

    seconds: the length of the audio.
    """
    with Progress(
        TextColumn("{task.description}"), BarColumn(),
        TextColumn("{task.completed:.0f} of {task.total:.0f} s of audio in"), TimeElapsedColumn(),
        TextColumn("{task.fields[speed]}"), console=Console(stderr=True), disable=quiet,
    ) as bars:  # fmt: skip
        stages = {"transcribe": bars.add_task(name, total=seconds, speed="")}

        def update(stage: str, done: float, total: float) -> None:
            if stage not in stages:
                stages[stage] = bars.add_task(f"{name}, speakers", total=total, speed="")
            elapsed = bars.tasks[stages[stage]].elapsed
            speed = f"{done / elapsed:.0f} × real time" if elapsed else ""
            bars.update(stages[stage], completed=done, total=total, speed=speed)

        yield RequestContext(update)


UpdateProgress = Callable[[float, int], None]
"""Called after each recording with its seconds of audio and the number of failures so far."""


@contextmanager
def archive_progress(total: int, done_before: int, quiet: bool) -> Iterator[UpdateProgress]:
    """Show the progress of an archive on standard error: a bar on a terminal, else a line every 30 seconds.

    total: recordings in all. done_before: recordings that an earlier run has done.
    """
    console, start, last_line = Console(stderr=True, quiet=quiet), time.monotonic(), 0.0
    done, audio, failures = done_before, 0.0, 0

    def summary() -> str:
        elapsed = time.monotonic() - start
        earlier = f", {done_before} of them before" if done_before else ""
        speed = f", {audio / elapsed:.0f} × real time" if audio else ""
        failed = f", {failures} failed" if failures else ""
        return f"{done} of {total} done{earlier}{speed}{failed}"

    with Progress(
        BarColumn(), TextColumn("{task.description}"), console=console, disable=not console.is_terminal
    ) as bar:
        task = bar.add_task(summary(), total=total, completed=done_before)

        def update(seconds: float, failed: int) -> None:
            nonlocal done, audio, failures, last_line
            done, audio, failures = done + (failed == failures), audio + seconds, failed
            bar.update(task, completed=done + failed, description=summary())
            if not console.is_terminal and time.monotonic() > last_line + _LOG_INTERVAL:
                last_line = time.monotonic()
                console.print(summary(), highlight=False)

        yield update
    if not console.is_terminal:
        console.print(summary(), highlight=False)
