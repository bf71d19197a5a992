"""The formats that are subtitles: SubRip and WebVTT."""

import textwrap
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from transcription.transcript import Segment, Transcript

MAX_LINE_WIDTH = 42  # characters, the usual limit of broadcasters; the name of the speaker is not counted
MAX_LINE_COUNT = 2  # lines of a cue


@dataclass(frozen=True)
class Cue:
    """The lines on the screen from start to end, in seconds, and their speaker."""

    start: float
    end: float
    lines: tuple[str, ...]
    speaker: str | None = None


def cues(transcript: Transcript) -> Iterator[Cue]:
    """Yield cues of at most two lines; a longer segment becomes several, timed by its words."""
    for segment in transcript.segments:
        lines = textwrap.wrap(segment.text.strip(), MAX_LINE_WIDTH, break_long_words=True)
        blocks = [tuple(lines[at : at + MAX_LINE_COUNT]) for at in range(0, len(lines), MAX_LINE_COUNT)]
        times = _times(segment, [sum(len(line.split()) for line in block) for block in blocks])
        for block, (start, end) in zip(blocks, times, strict=True):
            yield Cue(start, end, block, segment.speaker)


def _times(segment: Segment, word_counts: Sequence[int]) -> list[tuple[float, float]]:
    """Return start and end of consecutive parts of a segment, given the number of words of each."""
    total, duration = max(sum(word_counts), 1), segment.end - segment.start
    times, first = [], 0
    for count in word_counts:
        after = first + count
        if len(segment.words) == sum(word_counts):
            times.append((segment.words[first].start, segment.words[after - 1].end))
        else:
            times.append((segment.start + duration * first / total, segment.start + duration * after / total))
        first = after
    return times


def clock(seconds: float, separator: str) -> str:
    """Return HH:MM:SS, the separator and milliseconds."""
    milliseconds = round(seconds * 1000)  # round before carrying: 59.9996 s is 00:01:00,000
    minutes, rest = divmod(milliseconds, 60_000)
    hours, minutes = divmod(minutes, 60)
    return f"{hours:02}:{minutes:02}:{rest // 1000:02}{separator}{rest % 1000:03}"


def to_srt(transcript: Transcript) -> str:
    """Return SubRip; each cue begins with its speaker."""
    return "\n".join(
        f"{number}\n{clock(cue.start, ',')} --> {clock(cue.end, ',')}\n{_srt_text(cue)}\n"
        for number, cue in enumerate(cues(transcript), start=1)
    )


def _srt_text(cue: Cue) -> str:
    text = "\n".join(line.replace("-->", "->") for line in cue.lines)
    return f"{cue.speaker}: {text}" if cue.speaker else text


def to_vtt(transcript: Transcript) -> str:
    """Return WebVTT with voice tags; an empty transcript is the header alone."""
    return "WEBVTT\n" + "".join(
        f"\n{clock(cue.start, '.')} --> {clock(cue.end, '.')}\n{_vtt_text(cue)}\n" for cue in cues(transcript)
    )


def _vtt_text(cue: Cue) -> str:
    text = "\n".join(map(_escaped, cue.lines))
    return f"<v {_escaped(cue.speaker)}>{text}</v>" if cue.speaker else text


def _escaped(text: str) -> str:
    return text.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")
