"""How a transcript is written down: one function and one row of FORMATS each."""

import textwrap
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

from transcript import Segment, Transcript, Word

LINE_LENGTH = 42  # characters of a subtitle line, two lines a cue: the broadcasters' usual limit
LINES = 2

Document = dict[str, Any] | str


@dataclass(frozen=True)
class Format:
    """A way to write a transcript, and its media type."""

    render: Callable[[Transcript], Document]
    media_type: str = "application/json"
    extension: str = "json"


def to_chunks(transcript: Transcript) -> dict[str, Any]:
    """The handler's own answer: text, chunks (words where there are word times) and speakers."""
    parts: list[tuple[str, float, float]] = [(word.word, word.start, word.end) for word in transcript.words] or [
        (segment.text, segment.start, segment.end) for segment in transcript.segments
    ]
    return {
        "text": transcript.text,
        "chunks": [{"text": text, "timestamp": [round(start, 3), round(end, 3)]} for text, start, end in parts],
        "speakers": [],
        "language": transcript.language,
        "duration": round(transcript.duration, 3),
        **({"partial": True} if transcript.partial else {}),
    }


def to_json(transcript: Transcript) -> dict[str, Any]:
    """OpenAI's json."""
    return {"text": transcript.text}


def to_text(transcript: Transcript) -> str:
    """The words alone."""
    return transcript.text + "\n" if transcript.text else ""


def to_verbose_json(transcript: Transcript) -> dict[str, Any]:
    """OpenAI's verbose_json; words where there are word times, each with its probability."""
    document: dict[str, Any] = {
        "task": transcript.task,
        "language": transcript.language,
        "duration": round(transcript.duration, 3),
        "text": transcript.text,
        "segments": [_segment(number, one) for number, one in enumerate(transcript.segments)],
    }
    if transcript.words:
        document["words"] = [_word(word) for word in transcript.words]
    return document


def _segment(number: int, segment: Segment) -> dict[str, Any]:
    return {
        "id": number,
        "seek": round(segment.start * 100),  # Whisper's feature frames, 10 ms
        "start": round(segment.start, 3),
        "end": round(segment.end, 3),
        "text": segment.text,
        "tokens": list(segment.tokens),
        "temperature": segment.temperature,
        "avg_logprob": segment.avg_logprob,
        "compression_ratio": segment.compression_ratio,
        "no_speech_prob": segment.no_speech_prob,
    }


def _word(word: Word) -> dict[str, Any]:
    return {
        "word": word.word.strip(),
        "start": round(word.start, 3),
        "end": round(word.end, 3),
        "probability": word.probability,
    }


@dataclass(frozen=True)
class Cue:
    """What stands on the screen from start to end."""

    start: float
    end: float
    lines: tuple[str, ...]


def cues(transcript: Transcript) -> Iterator[Cue]:
    """Subtitles of at most two lines; a longer segment becomes several, timed by its words."""
    for segment in transcript.segments:
        lines = textwrap.wrap(segment.text.strip(), LINE_LENGTH, break_long_words=True)
        blocks = [tuple(lines[at : at + LINES]) for at in range(0, len(lines), LINES)]
        bounds = _bounds(segment, [sum(len(line.split()) for line in block) for block in blocks])
        for block, (start, end) in zip(blocks, bounds, strict=True):
            yield Cue(start, end, block)


def _bounds(segment: Segment, counts: list[int]) -> list[tuple[float, float]]:
    """Start and end of consecutive parts of a segment that have so many words each."""
    if len(segment.words) == sum(counts):
        bounds, at = [], 0
        for count in counts:
            bounds.append((segment.words[at].start, segment.words[at + count - 1].end))
            at += count
        return bounds
    total, length, done = max(sum(counts), 1), segment.end - segment.start, 0
    bounds = []
    for count in counts:
        begin = segment.start + length * done / total
        done += count
        bounds.append((begin, segment.start + length * done / total))
    return bounds


def clock(seconds: float, mark: str) -> str:
    """HH:MM:SS and milliseconds after `mark`, rounded before it is carried."""
    milliseconds = round(seconds * 1000)
    minutes, rest = divmod(milliseconds, 60_000)
    hours, minutes = divmod(minutes, 60)
    return f"{hours:02}:{minutes:02}:{rest // 1000:02}{mark}{rest % 1000:03}"


def to_srt(transcript: Transcript) -> str:
    """SubRip."""
    return "\n".join(
        f"{number}\n{clock(cue.start, ',')} --> {clock(cue.end, ',')}\n{_plain(cue.lines)}\n"
        for number, cue in enumerate(cues(transcript), start=1)
    )


def to_vtt(transcript: Transcript) -> str:
    """WebVTT; the header stands there also when nobody speaks."""
    return "WEBVTT\n" + "".join(
        f"\n{clock(cue.start, '.')} --> {clock(cue.end, '.')}\n{_escaped(cue.lines)}\n" for cue in cues(transcript)
    )


def to_tsv(transcript: Transcript) -> str:
    """Tab-separated milliseconds and text, as openai/whisper writes it."""
    rows = [
        f"{round(one.start * 1000)}\t{round(one.end * 1000)}\t{' '.join(one.text.split())}"
        for one in transcript.segments
    ]
    return "\n".join(["start\tend\ttext", *rows]) + "\n"


def _plain(lines: tuple[str, ...]) -> str:
    return "\n".join(line.replace("-->", "->") for line in lines)


def _escaped(lines: tuple[str, ...]) -> str:
    return "\n".join(line.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;") for line in lines)


FORMATS: dict[str, Format] = {
    "chunks": Format(to_chunks),
    "json": Format(to_json),
    "text": Format(to_text, "text/plain; charset=utf-8", "txt"),
    "verbose_json": Format(to_verbose_json),
    "srt": Format(to_srt, "application/x-subrip; charset=utf-8", "srt"),
    "vtt": Format(to_vtt, "text/vtt; charset=utf-8", "vtt"),
    "tsv": Format(to_tsv, "text/tab-separated-values; charset=utf-8", "tsv"),
}
