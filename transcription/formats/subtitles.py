"""The formats that are subtitles: SubRip, WebVTT and Advanced SubStation Alpha."""

import re
from collections.abc import Callable, Iterator
from dataclasses import replace

from transcription.config import InferenceConfig
from transcription.formats.cues import Cue, Line, cues
from transcription.formats.pieces import Piece
from transcription.transcript import Transcript

_ASS_HEADER = """[Script Info]
ScriptType: v4.00+
PlayResX: 1920
PlayResY: 1080
WrapStyle: 2
ScaledBorderAndShadow: yes

[V4+ Styles]
Format: Name, Fontname, Fontsize, PrimaryColour, SecondaryColour, OutlineColour, BackColour, Bold, Italic, Underline, \
StrikeOut, ScaleX, ScaleY, Spacing, Angle, BorderStyle, Outline, Shadow, Alignment, MarginL, MarginR, MarginV, Encoding
Style: Default,Arial,64,&H00FFFFFF,&H00A0A0A0,&H00000000,&H80000000,0,0,0,0,100,100,0,0,1,3,1,2,60,60,50,1

[Events]
Format: Layer, Start, End, Style, Name, MarginL, MarginR, MarginV, Effect, Text
"""
_WORD_JOINER = "\u2060"


def to_srt(transcript: Transcript, config: InferenceConfig) -> str:
    """Return SubRip; each cue begins with its speaker."""
    return "\n".join(
        f"{number}\n{clock(cue.start, ',')} --> {clock(cue.end, ',')}\n{_srt_text(cue, spoken)}\n"
        for number, (cue, spoken) in enumerate(_shown(transcript, config), start=1)
    )


def _srt_text(cue: Cue, spoken: Piece | None) -> str:
    text = _marked_text(cue, spoken, lambda text: re.sub("-{2,}>", "->", text))
    return f"{cue.speaker}: {text}" if cue.speaker else text


def to_vtt(transcript: Transcript, config: InferenceConfig) -> str:
    """Return WebVTT with voice tags; an empty transcript is the header alone."""
    return "WEBVTT\n" + "".join(
        f"\n{clock(cue.start, '.')} --> {clock(cue.end, '.')}\n{_vtt_text(cue, spoken)}\n"
        for cue, spoken in _shown(transcript, config)
    )


def _vtt_text(cue: Cue, spoken: Piece | None) -> str:
    text = _marked_text(cue, spoken, _escaped)
    return f"<v {_escaped(cue.speaker)}>{text}</v>" if cue.speaker else text


def _escaped(text: str) -> str:
    return text.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")


def to_ass(transcript: Transcript, config: InferenceConfig) -> str:
    r"""Return Advanced SubStation Alpha with the time of each word in \k; the name of an event is its speaker."""
    return _ASS_HEADER + "".join(
        f"Dialogue: 0,{_ass_clock(cue.start)},{_ass_clock(cue.end)},Default,{_ass_name(cue)},0,0,0,,{_karaoke(cue)}\n"
        for cue in cues(transcript, config)
    )


def _ass_clock(seconds: float) -> str:
    """Return H:MM:SS and hundredths."""
    minutes, hundredths = divmod(round(seconds * 100), 6000)
    return f"{minutes // 60}:{minutes % 60:02}:{hundredths // 100:02}.{hundredths % 100:02}"


def _ass_name(cue: Cue) -> str:
    return " ".join((cue.speaker or "").replace(",", " ").split())  # a comma ends the field


def _karaoke(cue: Cue) -> str:
    r"""Return the text of a cue with \k before each word: the hundredths of a second until the next word."""
    words = [piece for line in cue.lines for piece in line]
    ends = [min(max(word.start, cue.start), cue.end) for word in words[1:]] + [min(max(words[-1].end, 0), cue.end)]
    now = round(cue.start * 100)
    silence = round(min(max(words[0].start, cue.start), cue.end) * 100) - now
    text, number = f"{{\\k{silence}}}" if silence > 0 else "", 0
    now += silence
    for line in cue.lines:
        text += "\\N" if number else ""
        for at, piece in enumerate(line):
            length = max(0, round(ends[number] * 100) - now)
            text += f"{' ' * (piece.has_space and at > 0)}{{\\k{length}}}{_ass_escaped(piece.text)}"
            now, number = now + length, number + 1
    return text


def _ass_escaped(text: str) -> str:
    """Return text without commands: a word joiner keeps a backslash from being one."""
    return text.replace("\\", f"\\{_WORD_JOINER}").replace("{", "\\{").replace("}", "\\}")


def clock(seconds: float, separator: str) -> str:
    """Return HH:MM:SS, the separator and milliseconds."""
    milliseconds = round(seconds * 1000)  # round before carrying: 59.9996 s is 00:01:00,000
    minutes, rest = divmod(milliseconds, 60_000)
    hours, minutes = divmod(minutes, 60)
    return f"{hours:02}:{minutes:02}:{rest // 1000:02}{separator}{rest % 1000:03}"


def _shown(transcript: Transcript, config: InferenceConfig) -> Iterator[tuple[Cue, Piece | None]]:
    """Yield each cue, and with highlight_words one copy for each of its words and each pause between them.

    The second value is the word that is spoken, None in a pause.
    """
    for cue in cues(transcript, config):
        if not config.highlight_words:
            yield cue, None
            continue
        now = cue.start
        for piece in (piece for line in cue.lines for piece in line):
            start, end = (round(min(max(time, now), cue.end), 3) for time in (piece.start, piece.end))
            if now < start:
                yield replace(cue, start=now, end=start), None
            if start < end:
                yield replace(cue, start=start, end=end), piece
            now = end
        if now < cue.end:
            yield replace(cue, start=now), None


def _marked_text(cue: Cue, spoken: Piece | None, escape: Callable[[str], str]) -> str:
    """Return the lines of a cue, with the spoken word underlined."""

    def marked(line: Line) -> str:
        parts = []
        for at, piece in enumerate(line):
            text = escape(piece.text)
            parts.append(" " * (piece.has_space and at > 0) + (f"<u>{text}</u>" if piece is spoken else text))
        return "".join(parts)

    return "\n".join(map(marked, cue.lines))
