"""Subtitles as a player reads them, what is wrong with them, and transcripts to make them of."""

import re
import unicodedata
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import pairwise

from transcription.config import InferenceConfig
from transcription.transcript import Segment, Transcript, Word

_TIMES = re.compile(r"(\d+):(\d\d):(\d\d)[.,](\d{3}) --> (\d+):(\d\d):(\d\d)[.,](\d{3})")
_EVENT = re.compile(r"Dialogue: 0,(\d+):(\d\d):(\d\d)\.(\d\d),(\d+):(\d\d):(\d\d)\.(\d\d),Default,([^,]*),0,0,0,,(.*)")


@dataclass(frozen=True)
class Shown:
    """What is on the screen from start to end, in milliseconds."""

    start: int
    end: int
    lines: tuple[str, ...]
    speaker: str = ""


def read_srt(text: str) -> list[Shown]:
    """Return the cues of a SubRip file. The name of a speaker stays in its line."""
    numbers, found = [], []
    for block in text.split("\n\n"):
        if block.strip():
            number, times, *lines = block.rstrip("\n").split("\n")
            numbers.append(int(number))
            found.append(Shown(*_milliseconds(times), tuple(lines)))
    assert numbers == list(range(1, len(found) + 1))
    return found


def read_vtt(text: str) -> list[Shown]:
    """Return the cues of a WebVTT file, without its escapes."""
    header, *blocks = text.split("\n\n")
    assert header.rstrip("\n") == "WEBVTT"
    return [_vtt_cue(*block.rstrip("\n").split("\n")) for block in blocks]


def _vtt_cue(times: str, *lines: str) -> Shown:
    text = "\n".join(lines)
    voice = re.fullmatch(r"<v ([^>]*)>(.*)</v>", text, re.DOTALL)
    speaker, text = (voice[1], voice[2]) if voice else ("", text)
    plain = text.replace("&lt;", "<").replace("&gt;", ">").replace("&amp;", "&")
    return Shown(*_milliseconds(times), tuple(plain.split("\n")), speaker)


def read_ass(text: str) -> list[Shown]:
    r"""Return the events of an Advanced SubStation Alpha file, without the karaoke times."""
    events = [found for line in text.splitlines() if (found := _EVENT.fullmatch(line))]
    assert len(events) == text.count("\nDialogue:")
    return [
        Shown(
            _ass_milliseconds(event.groups()[:4]), _ass_milliseconds(event.groups()[4:8]),
            tuple(_ass_plain(line) for line in event[10].split("\\N")), event[9],
        )
        for event in events
    ]  # fmt: skip


def karaoke(text: str) -> list[list[tuple[int, str]]]:
    r"""Return the \k times of each event, in hundredths of a second, and the words behind them."""
    events = [event[10].replace("\\N", " ") for line in text.splitlines() if (event := _EVENT.fullmatch(line))]
    return [[(int(k), word.strip()) for k, word in re.findall(r"\{\\k(\d+)\}([^{]*)", event)] for event in events]


def _milliseconds(times: str) -> tuple[int, int]:
    found = _TIMES.fullmatch(times)
    assert found, times
    h, m, s, ms, *end = map(int, found.groups())
    return ((h * 60 + m) * 60 + s) * 1000 + ms, ((end[0] * 60 + end[1]) * 60 + end[2]) * 1000 + end[3]


def _ass_milliseconds(parts: Sequence[str]) -> int:
    hours, minutes, seconds, hundredths = map(int, parts)
    return ((hours * 60 + minutes) * 60 + seconds) * 1000 + hundredths * 10


def _ass_plain(line: str) -> str:
    return re.sub(r"(?<!\\)\{\\k\d+\}", "", line).replace("\\{", "{").replace("\\}", "}").replace("\u2060", "")


def timed(text: str, start: float = 0.0, seconds: float = 0.4, pause: float = 0.0) -> Segment:
    """Return a segment whose words last `seconds` each and have pauses between them."""
    words, now = [], start
    for word in text.split():
        words.append(Word(f" {word}", now, now + seconds))
        now += seconds + pause
    return Segment(f" {text}", start, words[-1].end, tuple(words))


def talk(*segments: Segment, language: str | None = "en") -> Transcript:
    """Return a transcript of a recording that ends ten seconds after its last segment."""
    return Transcript(segments, language=language, duration=max(one.end for one in segments) + 10)


READERS = {"srt": read_srt, "vtt": read_vtt, "ass": read_ass}


def width(line: str) -> int:
    """Return the columns of a line: a full-width character has two, a combining one has none."""
    return sum(
        0 if unicodedata.category(one) in ("Mn", "Me", "Cf") else 1 + (unicodedata.east_asian_width(one) in "WF")
        for one in line
    )


def letters(text: str) -> str:
    """Return a text without spaces."""
    return "".join(text.split())


def _without_arrows(text: str) -> str:
    """Return a text with short arrows, as SubRip has them: a long one separates times there."""
    return re.sub("-+>", "->", text)


def problems(shown: Sequence[Shown], text: str, config: InferenceConfig) -> Iterator[str]:
    """Yield what is wrong with subtitles without names of speakers that show this text."""
    shown_text = "".join(line for one in shown for line in one.lines)
    if _without_arrows(letters(shown_text)) != _without_arrows(letters(text)):
        yield "text is missing, added or out of order"
    for one in shown:
        if one.start >= one.end:
            yield f"no time: {one}"
        if one.end - one.start > config.max_cue_s * 1000 + 10:  # hundredths are rounded
            yield f"too long: {one}"
        if not 1 <= len(one.lines) <= config.max_line_count:
            yield f"number of lines: {one}"
        if any(width(line) > config.max_line_width for line in one.lines):
            yield f"too wide: {one}"
        if any(line != line.strip() or not line for line in one.lines):
            yield f"spaces: {one}"
    for one, after in pairwise(shown):
        pause = after.start - one.end
        if pause < config.cue_gap_ms - 10:
            yield f"no gap of {config.cue_gap_ms} ms: {one}, {after}"
        if pause > config.cue_gap_ms + 10:
            yield from _hurried(one, config)


def _hurried(one: Shown, config: InferenceConfig) -> Iterator[str]:
    """Yield what is wrong with a cue that ends before the next one needs it to."""
    if one.end - one.start < config.min_cue_s * 1000 - 10:
        yield f"too short: {one}"
    seconds = min(sum(map(width, one.lines)) / config.max_chars_per_s, config.max_cue_s)
    if one.end - one.start < seconds * 1000 - 10:
        yield f"too fast: {one}"
