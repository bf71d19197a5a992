"""Pieces: the shortest parts of a text that a line break does not divide, with their times."""

import re
import unicodedata
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from functools import lru_cache

from transcription.transcript import Segment

_UNSPACED = re.compile(
    "[\u0e00-\u0eff\u1000-\u109f\u1780-\u17ff\u3000-\u30ff\u31f0-\u31ff\u3400-\u9fff\uf900-\ufaff\uff00-\uff9f\U00020000-\U0003ffff]"
)
"""Characters of scripts without spaces: Thai, Lao, Burmese, Khmer, Chinese, Japanese. Korean has spaces."""
_NEVER_FIRST = frozenset("ぁぃぅぇぉっゃゅょゎァィゥェォッャュョヮヵヶ")  # small kana do not begin a line


@dataclass(frozen=True)
class Piece:
    """A word, or a character of a script without spaces.

    columns: its width; a full-width character has two columns.
    has_space: a space comes before it, unless it begins a line. is_first: it begins a segment of the model.
    """

    text: str
    start: float
    end: float
    columns: int
    has_space: bool = False
    is_first: bool = False


def pieces_of(segment: Segment, max_columns: int) -> list[Piece]:
    """Return the pieces of a segment, each at most `max_columns` wide.

    Times are those of the words. If the words do not spell the text, each character has the same share of the segment.
    """
    merged: list[Piece] = []
    for piece in _timed_parts(segment):
        if merged and not piece.has_space and not _may_break(merged[-1].text[-1], piece.text[0]):
            last = merged[-1]
            text = last.text + piece.text
            merged[-1] = replace(last, text=text, end=max(last.end, piece.end), columns=columns(text))
        else:
            merged.append(piece)
    pieces = [part for piece in merged for part in _fitting(piece, max_columns)]
    return [replace(pieces[0], has_space=True, is_first=True), *pieces[1:]] if pieces else []


def is_unspaced(character: str) -> bool:
    """Return whether a character belongs to a script without spaces."""
    return _UNSPACED.match(character) is not None


def columns(text: str) -> int:
    """Return the width of a text: two columns for a full-width character, none for a combining one."""
    return sum(map(_columns, text))


@lru_cache(maxsize=1 << 16)
def _columns(character: str) -> int:
    if unicodedata.category(character) in ("Mn", "Me", "Cf"):
        return 0
    return 2 if unicodedata.east_asian_width(character) in ("W", "F") else 1


def _timed_parts(segment: Segment) -> Iterator[Piece]:
    """Yield the words, or all parts between which a line may break if the times of words are unknown."""
    spelled = "".join(word.word for word in segment.words)
    if spelled.split() == segment.text.split():
        spans = [(re.findall(r"\s+|\S+", word.word), word.start, word.end) for word in segment.words]
    else:
        spans = [(list(_all_parts(segment.text)), segment.start, segment.end)]
    has_space = False
    for parts, start, end in spans:
        for text, part_start, part_end in _spread(parts, start, max(start, end)):
            if text.isspace():
                has_space = True
            else:
                yield Piece(text, part_start, part_end, columns(text), has_space)
                has_space = False


def _all_parts(text: str) -> Iterator[str]:
    """Yield the parts of a text between which a line may break, and the spaces."""
    for part in re.findall(r"\s+|\S+", text):
        first = 0
        for at in range(1, len(part)):
            if _may_break(part[at - 1], part[at]):
                yield part[first:at]
                first = at
        yield part[first:]


def _may_break(left: str, right: str) -> bool:
    """Return whether a line may end between two characters that no space separates."""
    if not (_UNSPACED.match(left) or _UNSPACED.match(right)) or right in _NEVER_FIRST:
        return False
    begins = unicodedata.category(right)
    return begins in ("Lo", "Lu", "Ll", "Nd", "Ps", "Pi") and unicodedata.category(left) not in ("Ps", "Pi")


def _fitting(piece: Piece, max_columns: int) -> Iterator[Piece]:
    """Yield the parts of a piece that is wider than a line."""
    if piece.columns <= max_columns:
        yield piece
        return
    parts, width = [""], 0
    for character in piece.text:
        if width + _columns(character) > max_columns:
            parts.append("")
            width = 0
        parts[-1] += character
        width += _columns(character)
    for number, (text, start, end) in enumerate(_spread(parts, piece.start, piece.end)):
        yield Piece(text, start, end, columns(text), piece.has_space and number == 0)


def _spread(parts: Sequence[str], start: float, end: float) -> Iterator[tuple[str, float, float]]:
    """Yield the parts of a text with their times, by their shares of the characters. Spaces take no time."""
    counts = [0 if part.isspace() else len(part) for part in parts]
    total, before = sum(counts), 0
    for part, count in zip(parts, counts, strict=True):
        first = start + (end - start) * before / max(total, 1)
        before += count
        yield part, first, start + (end - start) * before / max(total, 1)
