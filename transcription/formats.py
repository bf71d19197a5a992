"""How a transcript is written down: one function and one row of FORMATS each."""

import textwrap
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any

from transcription.transcript import Segment, TokenLogprob, Transcript, Word

MAX_LINE_WIDTH = 42  # characters of a subtitle line, two lines a cue: the broadcasters' usual limit; a name is added
MAX_LINE_COUNT = 2

Document = dict[str, Any] | str


@dataclass(frozen=True)
class Format:
    """A way to write a transcript, and its media type."""

    render: Callable[[Transcript], Document]
    media_type: str = "application/json"
    extension: str = "json"


def to_chunks(transcript: Transcript) -> dict[str, Any]:
    """The handler's own answer: text, chunks (words where there are word times) and speakers."""
    parts: Sequence[Word | Segment] = transcript.words or transcript.segments
    return {
        "text": transcript.text,
        "chunks": [_chunk(part, transcript) for part in parts],
        "speakers": [
            {"speaker": one.speaker, "text": one.text, "timestamp": _span(one.start, one.end)}
            for one in talk(transcript)
        ],
        "language": transcript.language,
        "duration": round(transcript.duration, 3),
        **({"num_speakers": len(transcript.speakers)} if transcript.turns is not None else {}),
        **({"partial": True} if transcript.partial else {}),
        **({"warnings": list(transcript.warnings)} if transcript.warnings else {}),
    }


def _chunk(part: Word | Segment, transcript: Transcript) -> dict[str, Any]:
    text = part.word if isinstance(part, Word) else part.text
    chunk: dict[str, Any] = {"text": text, "timestamp": _span(part.start, part.end)}
    if transcript.turns is not None:
        chunk |= _attribution(part) if isinstance(part, Word) else {"speaker": part.speaker}
    return chunk


def _attribution(word: Word) -> dict[str, Any]:
    """Who says a word, how surely, and what makes it unsure."""
    return {
        "speaker": word.speaker,
        "confidence": None if word.confidence is None else round(word.confidence, 3),
        **({"second_speaker": word.second_speaker} if word.second_speaker else {}),
        **({"overlap": True} if word.overlap else {}),
    }


def _span(start: float, end: float) -> list[float]:
    return [round(start, 3), round(end, 3)]


def talk(transcript: Transcript) -> list[Segment]:
    """Turns of talk: consecutive segments of one speaker as one; none where speakers were not told apart."""
    if transcript.turns is None:
        return []
    turns: list[Segment] = []
    for one in transcript.segments:
        if turns and turns[-1].speaker == one.speaker:
            last = turns[-1]
            turns[-1] = replace(last, text=last.text + one.text, end=max(last.end, one.end))
        else:
            turns.append(Segment(one.text, one.start, one.end, speaker=one.speaker))
    return turns


def to_json(transcript: Transcript) -> dict[str, Any]:
    """OpenAI's json; log-probabilities where they were asked for."""
    tokens = [token for segment in transcript.segments for token in segment.logprobs]
    if not tokens:
        return {"text": transcript.text}
    return {"text": transcript.text, "logprobs": [to_logprob(token) for token in tokens]}


def to_logprob(token: TokenLogprob) -> dict[str, Any]:
    """OpenAI's logprobs entry."""
    return {"token": token.token, "bytes": list(token.data), "logprob": token.logprob}


def to_text(transcript: Transcript) -> str:
    """The words alone."""
    return transcript.text + "\n" if transcript.text else ""


def to_verbose_json(transcript: Transcript) -> dict[str, Any]:
    """OpenAI's verbose_json; words where there are word times, each with its probability and its speaker."""
    document: dict[str, Any] = {
        "task": transcript.task,
        "language": transcript.language,
        "duration": round(transcript.duration, 3),
        "text": transcript.text,
        "segments": [_segment(number, one) for number, one in enumerate(transcript.segments)],
    }
    if transcript.words:
        document["words"] = [_word(word) for word in transcript.words]
    if transcript.turns is not None:
        for shown, segment in zip(document["segments"], transcript.segments, strict=True):
            shown["speaker"] = segment.speaker
        for shown, word in zip(document.get("words", ()), transcript.words, strict=True):
            shown.update(_attribution(word))
    return document


def to_diarized_json(transcript: Transcript) -> dict[str, Any]:
    """OpenAI's diarized_json: speakers are A, B, … in order of appearance; one segment per turn of talk.

    Where speakers were not told apart, or nobody's turn is near, the speaker is null.
    """
    turns = talk(transcript) if transcript.turns is not None else list(transcript.segments)
    letters: dict[str | None, str | None] = {None: None}
    for turn in turns:
        letters.setdefault(turn.speaker, _letters(len(letters) - 1))
    return {
        "task": transcript.task,
        "duration": round(transcript.duration, 3),
        "text": transcript.text,
        "segments": [
            {
                "type": "transcript.text.segment",
                "id": f"seg_{number:03}",
                "start": round(turn.start, 3),
                "end": round(turn.end, 3),
                "text": turn.text,
                "speaker": letters[turn.speaker],
            }
            for number, turn in enumerate(turns)
        ],
    }


def _letters(number: int) -> str:
    """A … Z, AA, AB, … as spreadsheets count."""
    rest, last = divmod(number, 26)
    return (_letters(rest - 1) if rest else "") + chr(ord("A") + last)


def to_rttm(transcript: Transcript) -> str:
    """NIST's Rich Transcription Time Marked: who speaks when, overlaps included."""
    return "".join(
        f"SPEAKER audio 1 {turn.start:.3f} {turn.end - turn.start:.3f} <NA> <NA> {_field(turn.speaker)} <NA> <NA>\n"
        for turn in transcript.turns or ()
    )


def _field(name: str) -> str:
    """A name as one field of a line whose fields end at white space."""
    return "_".join(name.split()) or "<NA>"


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
    """What stands on the screen from start to end, and who says it."""

    start: float
    end: float
    lines: tuple[str, ...]
    speaker: str | None = None


def cues(transcript: Transcript) -> Iterator[Cue]:
    """Subtitles of at most two lines; a longer segment becomes several, timed by its words."""
    for segment in transcript.segments:
        lines = textwrap.wrap(segment.text.strip(), MAX_LINE_WIDTH, break_long_words=True)
        blocks = [tuple(lines[at : at + MAX_LINE_COUNT]) for at in range(0, len(lines), MAX_LINE_COUNT)]
        bounds = _bounds(segment, [sum(len(line.split()) for line in block) for block in blocks])
        for block, (start, end) in zip(blocks, bounds, strict=True):
            yield Cue(start, end, block, segment.speaker)


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
    """SubRip; each cue opens with its speaker."""
    return "\n".join(
        f"{number}\n{clock(cue.start, ',')} --> {clock(cue.end, ',')}\n{_named(cue)}\n"
        for number, cue in enumerate(cues(transcript), start=1)
    )


def to_vtt(transcript: Transcript) -> str:
    """WebVTT, with voice tags; the header stands there also when nobody speaks."""
    return "WEBVTT\n" + "".join(
        f"\n{clock(cue.start, '.')} --> {clock(cue.end, '.')}\n{_voiced(cue)}\n" for cue in cues(transcript)
    )


def to_tsv(transcript: Transcript) -> str:
    """Tab-separated milliseconds and text, as openai/whisper writes it."""
    rows = [
        f"{round(one.start * 1000)}\t{round(one.end * 1000)}\t{' '.join(one.text.split())}"
        for one in transcript.segments
    ]
    return "\n".join(["start\tend\ttext", *rows]) + "\n"


def _named(cue: Cue) -> str:
    text = "\n".join(line.replace("-->", "->") for line in cue.lines)
    return f"{cue.speaker}: {text}" if cue.speaker else text


def _voiced(cue: Cue) -> str:
    text = "\n".join(map(_escaped, cue.lines))
    return f"<v {_escaped(cue.speaker)}>{text}</v>" if cue.speaker else text


def _escaped(text: str) -> str:
    return text.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")


FORMATS: dict[str, Format] = {
    "chunks": Format(to_chunks),
    "json": Format(to_json),
    "text": Format(to_text, "text/plain; charset=utf-8", "txt"),
    "verbose_json": Format(to_verbose_json),
    "diarized_json": Format(to_diarized_json),
    "srt": Format(to_srt, "application/x-subrip; charset=utf-8", "srt"),
    "vtt": Format(to_vtt, "text/vtt; charset=utf-8", "vtt"),
    "tsv": Format(to_tsv, "text/tab-separated-values; charset=utf-8", "tsv"),
    "rttm": Format(to_rttm, "text/plain; charset=utf-8", "rttm"),
}
