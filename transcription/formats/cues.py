"""Cues: a transcript as lines on the screen, by the rules of subtitles.

1. Text: a cue ends at the end of a sentence, else at a comma or a pause, else before a conjunction (`breaks`). It never
   bridges a pause of MAX_PAUSE seconds or a change of the speaker.
2. Lines: as few as possible, broken by the same rules, then of similar width.
3. Times: a cue begins with its first word. It ends with its last word, or later if it is short or long to read. The
   next cue limits it.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

from transcription.config import InferenceConfig
from transcription.formats.breaks import SENTENCE, break_costs, split
from transcription.formats.pieces import Piece, columns, pieces_of
from transcription.transcript import Segment, Transcript

MAX_PAUSE = 2.0  # seconds of silence within a cue
_MAX_DELAY = 0.5  # seconds by which a cue may begin late, so that the cue before it can be read
_SHORTEST = 0.1  # seconds; also where several people talk at the same time
# The costs of a cue beside its break. They decide whether two short sentences share a cue: those of a second do, those
# of two seconds do not.
_CUE = 1.5
_SENTENCE_INSIDE = 2.0
_TOO_SHORT = 2.0  # of a cue without duration; none from twice the minimum
_FULL = 0.3  # of a cue with all its columns; halves of similar length cost less
_LINE = 100.0  # more than all else: as few lines as possible
_BREAK_OF_LINE = 0.1  # of the cost of a break; width counts too

Line = tuple[Piece, ...]


@dataclass(frozen=True)
class Cue:
    """The lines on the screen from start to end, in seconds, and their speaker."""

    start: float
    end: float
    lines: tuple[Line, ...]
    speaker: str | None = None

    @property
    def texts(self) -> tuple[str, ...]:
        """The texts of the lines."""
        return tuple(map(line_text, self.lines))


def line_text(line: Line) -> str:
    """Return the text of a line."""
    return "".join(" " * (piece.has_space and at > 0) + piece.text for at, piece in enumerate(line))


def cues(transcript: Transcript, config: InferenceConfig) -> list[Cue]:
    """Return the cues of a transcript in order of time. None overlaps the next one, none is empty."""
    found: list[Cue] = []
    for speaker, block in _blocks(transcript, config):
        costs = break_costs(block, transcript.language)
        latest = 0.0
        for part in split(len(block), _CueCosts(block, costs, config)):
            pieces = block[part]
            latest = max(latest, pieces[0].start)
            lines = split(len(pieces), _LineCosts(pieces, costs[part], config))
            end = max(piece.end for piece in pieces)
            found.append(Cue(latest, end, tuple(tuple(pieces[line]) for line in lines), speaker))
    found.sort(key=lambda cue: cue.start)  # people who talk at the same time
    return _timed(found, transcript.duration, config)


def _blocks(transcript: Transcript, config: InferenceConfig) -> Iterator[tuple[str | None, list[Piece]]]:
    """Yield the pieces of one speaker between two long pauses."""
    speaker: str | None = None
    block: list[Piece] = []
    for segment in map(_said, transcript.segments):
        for piece in pieces_of(segment, config.max_line_width):
            if block and (segment.speaker != speaker or piece.start - block[-1].end > MAX_PAUSE):
                yield speaker, block
                block = []
            speaker = segment.speaker
            block.append(piece)
    if block:
        yield speaker, block


def _said(segment: Segment) -> Segment:
    """Return a segment without the words of a given text that are not said."""
    if all(word.said for word in segment.words):
        return segment
    words = tuple(word for word in segment.words if word.said)
    return replace(segment, text="".join(word.word for word in words), words=words)


@dataclass(frozen=True)
class _CueCosts:
    """The costs of the cues that begin at a piece of a block."""

    pieces: Sequence[Piece]
    breaks: Sequence[float]
    config: InferenceConfig

    def __call__(self, first: int) -> Iterator[float]:
        """Yield the cost of a cue of one piece, of two pieces, and so on, while they fit on the screen."""
        config, start = self.config, self.pieces[first].start
        capacity, shortest = config.max_line_width * config.max_line_count, max(2 * config.min_cue_s, 0.1)
        lines, width, words, total, inside = 1, 0, 0, 0, 0.0
        for at in range(first, len(self.pieces)):
            piece = self.pieces[at]
            if at > first and piece.end - start > config.max_cue_s:
                return
            if words and not _fits(piece, width, words, config):
                lines, width, words = lines + 1, 0, 0
                if lines > config.max_line_count:
                    return
            added = piece.columns + (piece.has_space and words > 0)
            width, words, total = width + added, words + 1, total + added
            is_last = at + 1 == len(self.pieces)
            until = piece.end if is_last else max(piece.end, self.pieces[at + 1].start)
            short = max(0.0, 1 - (until - start) / shortest)
            yield _CUE + self.breaks[at] + inside + _TOO_SHORT * short + _FULL * (total / capacity) ** 2
            pause = until - piece.end
            inside += pause + (_SENTENCE_INSIDE if self.breaks[at] == SENTENCE else 0.0)


@dataclass(frozen=True)
class _LineCosts:
    """The costs of the lines that begin at a piece of a cue."""

    pieces: Sequence[Piece]
    breaks: Sequence[float]
    config: InferenceConfig

    def __call__(self, first: int) -> Iterator[float]:
        """Yield the cost of a line of one piece, of two pieces, and so on, while they fit."""
        width = 0
        for words, piece in enumerate(self.pieces[first:]):
            if words and not _fits(piece, width, words, self.config):
                return
            width += piece.columns + (piece.has_space and words > 0)
            yield _LINE + _BREAK_OF_LINE * self.breaks[first + words] + (width / self.config.max_line_width) ** 2


def _fits(piece: Piece, width: int, words: int, config: InferenceConfig) -> bool:
    """Return whether a piece fits into a line that has this width and number of words."""
    has_room = config.max_words_per_line is None or words < config.max_words_per_line
    return has_room and width + piece.columns + piece.has_space <= config.max_line_width


def _timed(spoken: Sequence[Cue], duration: float, config: InferenceConfig) -> list[Cue]:
    """Return cues with times to read them, from cues with the times of their words. All times are milliseconds."""
    gap, starts = config.cue_gap_ms / 1000, list[float]()
    for cue in spoken:
        start = max(0.0, cue.start)
        if starts:
            readable = min(starts[-1] + config.min_cue_s + gap, start + _MAX_DELAY)
            start = max(start, readable, starts[-1] + _SHORTEST + gap)
        starts.append(round(start, 3))
    limits = [start - gap for start in starts[1:]]
    if spoken:
        limits.append(max(duration, spoken[-1].end, starts[-1] + _SHORTEST))
    return [
        replace(cue, start=start, end=round(min(limit, _wanted_end(cue, start, config)), 3))
        for cue, start, limit in zip(spoken, starts, limits, strict=True)
    ]


def _wanted_end(cue: Cue, start: float, config: InferenceConfig) -> float:
    """Return the end of a cue that has all the time that it needs."""
    width = sum(map(columns, cue.texts))
    seconds = max(cue.end - start, config.min_cue_s, width / config.max_chars_per_s, _SHORTEST)
    return start + min(seconds, config.max_cue_s)
