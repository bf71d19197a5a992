"""Speaker turns onto words: who says each word. Text is never lost, reordered or changed.

The rules, in order:
1. Longest overlap: a word belongs to whoever talks longest during it, one speaker at a time.
2. Ties go to the speaker of the word before, then to the turn with the nearest middle, then by label.
3. Gap: a word that no turn touches belongs to the nearest turn within MAX_GAP seconds, else to nobody.
4. Untimed: a word whose times are missing or run backwards is placed evenly between its neighbours.
5. Stretched: a word longer than MAX_WORD_DURATION seconds is heard where someone first speaks in it.

One sweep over words and turns, both in order of time: linear in their number once the turns are sorted.
"""

from collections.abc import Iterator, Sequence
from dataclasses import replace
from itertools import groupby, pairwise
from typing import NamedTuple

from transcription.transcript import Segment, SpeakerTurn, Transcript, Word

MAX_GAP = 3.0  # seconds to a turn that may still claim a word in a gap
MAX_WORD_DURATION = 1.5  # seconds; longer words reach over silence
MIN_DURATION = 0.02  # seconds: one frame of Whisper
UNSURE_BELOW = 2 / 3  # confidence under which the second-best speaker is named
OVERLAP_SHARE = 0.5  # share of a word during which others talk too, from which it counts as overlap
FOREVER = 1e8  # seconds: three years
_EQUAL = 1e-6  # seconds

Interval = tuple[float, float]


class Label(NamedTuple):
    """Who says one word, how surely (0 to 1), who else it may be, and whether others talk over it."""

    speaker: str | None = None
    confidence: float | None = None
    second: str | None = None
    overlap: bool = False


class Piece(NamedTuple):
    """A stretch of time during which the same people speak."""

    start: float
    end: float
    speakers: tuple[str, ...]


def assign_speakers(
    transcript: Transcript, turns: Sequence[SpeakerTurn], exclusive: Sequence[SpeakerTurn] | None = None
) -> Transcript:
    """The same transcript, with a speaker on every word that a turn covers or nearly covers.

    turns: who speaks when; they may overlap. exclusive: the same with one speaker at a time, which decides
    (absent: made of `turns`). Segments are split where the speaker changes; a segment without word times
    belongs to whoever talks longest during it. The parts of a split segment share its scores, and the
    first keeps its tokens.
    """
    alone = exclusive_turns(turns if exclusive is None else exclusive)
    units = [unit for segment in transcript.segments for unit in segment.words or (segment,)]
    labels = _labels(units, alone, timeline(turns))
    segments = [
        part
        for segment in transcript.segments
        for part in _labelled(segment, [next(labels) for _ in segment.words or (segment,)])
    ]
    ordered = sorted(_valid(turns), key=lambda turn: (turn.start, turn.end, turn.speaker))
    return replace(transcript, segments=tuple(segments), turns=tuple(ordered))


def by_channel(parts: Sequence[Transcript]) -> Transcript:
    """One transcript of the transcripts of a recording's channels, each spoken by one person.

    SPEAKER_00 is the first channel, whoever speaks first. Segments stand in order of time.
    """
    spoken = [
        replace(segment, speaker=name, words=tuple(replace(w, speaker=name, confidence=1.0) for w in segment.words))
        for name, part in ((f"SPEAKER_{number:02}", part) for number, part in enumerate(parts))
        for segment in part.segments
    ]
    ordered = sorted(spoken, key=lambda segment: (segment.start, segment.end))
    turns = tuple(SpeakerTurn(str(one.speaker), one.start, one.end) for one in ordered if one.end > one.start)
    first = max(parts, key=lambda part: len(part.text))  # whose language counts
    return replace(first, segments=tuple(ordered), turns=turns)


def timeline(turns: Sequence[SpeakerTurn]) -> list[Piece]:
    """Who speaks together when: consecutive pieces in which someone speaks."""
    return [
        Piece(start, end, tuple(dict.fromkeys(turn.speaker for turn in active)))
        for start, end, active in _moments(turns)
    ]


def exclusive_turns(turns: Sequence[SpeakerTurn]) -> list[SpeakerTurn]:
    """The same turns with one speaker at a time: where several talk, whoever has the longest turn.

    That is whose words a speech model writes down: giving overlaps to the shorter turn, or to the later one,
    doubled the words with a wrong speaker (measured on ten minutes with 90 overlaps).
    """
    found: list[SpeakerTurn] = []
    for start, end, active in _moments(turns):
        speaker = max(active, key=lambda turn: (turn.end - turn.start, turn.speaker)).speaker
        if found and found[-1].speaker == speaker and found[-1].end == start:
            found[-1] = SpeakerTurn(speaker, found[-1].start, end)
        else:
            found.append(SpeakerTurn(speaker, start, end))
    return found


def _valid(turns: Sequence[SpeakerTurn]) -> list[SpeakerTurn]:
    return [turn for turn in turns if _is_time(turn.start) and _is_time(turn.end) and turn.end > turn.start]


def _is_time(seconds: float | None) -> bool:
    """Whether it is one: a caller's own words and turns may lack times, or hold nonsense."""
    return seconds is not None and abs(seconds) < FOREVER  # false for not-a-number


def _moments(turns: Sequence[SpeakerTurn]) -> Iterator[tuple[float, float, list[SpeakerTurn]]]:
    """Stretches of time between two changes, with the turns that are on."""
    valid = _valid(turns)
    starts = sorted(valid, key=lambda turn: turn.start)
    bounds = sorted({bound for turn in valid for bound in (turn.start, turn.end)})
    active: list[SpeakerTurn] = []
    at = 0
    for start, end in pairwise(bounds):
        active = [turn for turn in active if turn.end > start]
        while at < len(starts) and starts[at].start <= start:
            active.append(starts[at])
            at += 1
        if active:
            yield start, end, active


def _heard(units: Sequence[Word | Segment]) -> list[Interval]:
    """When each unit is heard, for the comparison with turns: finite, and with starts in order (rule 4)."""
    spans: list[Interval] = []
    missing, last, before = 0, -FOREVER, 0.0

    def fill(until: float) -> None:
        room = max(until - before, 0.0) / missing
        spans.extend((before + room * n, before + max(room * (n + 1), MIN_DURATION)) for n in range(missing))

    for unit in units:
        start, end = unit.start, unit.end
        if not _is_time(start) or start < last:
            missing += 1
            continue
        if missing:
            fill(start)
        missing, last = 0, start
        before = end if _is_time(end) and end >= start + MIN_DURATION else start + MIN_DURATION
        spans.append((start, before))
    if missing:
        fill(before)
    return spans


def _labels(
    units: Sequence[Word | Segment], alone: Sequence[SpeakerTurn], together: Sequence[Piece]
) -> Iterator[Label]:
    """The sweep: for every unit its label. Units, turns and pieces all come in order of time."""
    turn = piece = 0
    previous: str | None = None
    for unit, (begin, finish) in zip(units, _heard(units), strict=True):
        start, end = begin, finish
        while turn < len(alone) and alone[turn].end <= start:
            turn += 1
        stretched = end - start > MAX_WORD_DURATION and isinstance(unit, Word)
        if stretched and turn < len(alone) and alone[turn].start < end:
            start = max(start, alone[turn].start)
            end = min(end, start + MAX_WORD_DURATION)
        while piece < len(together) and together[piece].end <= begin:
            piece += 1
        label = _label(start, end, alone, turn, together, piece, previous)
        previous = label.speaker or previous
        yield label


def _label(
    start: float, end: float, alone: Sequence[SpeakerTurn], turn: int,
    together: Sequence[Piece], piece: int, previous: str | None,
) -> Label:  # fmt: skip
    """Rules 1 to 3 for one span; `turn` and `piece` are the first that end after its start."""
    if turn < len(alone) and alone[turn].start <= start and alone[turn].end >= end:
        here = together[piece] if piece < len(together) else None
        if here is not None and here.end >= end and len(here.speakers) == 1:  # nearly every word
            return Label(alone[turn].speaker, 1.0)
    seconds: dict[str, float] = {}
    middles: dict[str, float] = {}
    at = turn
    while at < len(alone) and alone[at].start < end:
        one = alone[at]
        seconds[one.speaker] = seconds.get(one.speaker, 0.0) + min(one.end, end) - max(one.start, start)
        distance = abs(one.start + one.end - start - end)
        middles[one.speaker] = min(middles.get(one.speaker, distance), distance)
        at += 1
    if not seconds:
        return _in_gap(start, end, alone, turn, previous)
    most = max(seconds.values())
    tied = [speaker for speaker, value in seconds.items() if value >= most - _EQUAL]
    speaker = previous if previous in tied else min(tied, key=lambda one: (middles[one], one))
    return _weighed(str(speaker), seconds, start, end, together, piece)


def _weighed(
    speaker: str, seconds: dict[str, float], start: float, end: float, together: Sequence[Piece], piece: int
) -> Label:
    """How sure the choice is: the speaker's time in the word against the strongest other's."""
    talk: dict[str, float] = {}
    crowded, at = 0.0, piece
    while at < len(together) and together[at].start < end:
        one = together[at]
        length = min(one.end, end) - max(one.start, start)
        crowded += length if len(one.speakers) > 1 else 0.0
        for name in one.speakers:
            talk[name] = talk.get(name, 0.0) + length
        at += 1
    for name, value in seconds.items():
        talk[name] = max(talk.get(name, 0.0), value)
    own = talk.pop(speaker)
    rival, other = max(((value, name) for name, value in talk.items()), default=(0.0, None))
    confidence = own / (own + rival)
    return Label(
        speaker,
        confidence,
        other if confidence < UNSURE_BELOW else None,
        crowded >= OVERLAP_SHARE * (end - start) - _EQUAL,
    )


def _in_gap(start: float, end: float, alone: Sequence[SpeakerTurn], turn: int, previous: str | None) -> Label:
    """Rule 3; the confidence falls from a half, beside the turn, to nothing."""
    near = [(start - alone[turn - 1].end, alone[turn - 1].speaker)] if turn > 0 else []
    near += [(alone[turn].start - end, alone[turn].speaker)] if turn < len(alone) else []
    near = sorted((one for one in near if one[0] <= MAX_GAP), key=lambda one: (one[0], one[1] != previous, one[1]))
    if not near:
        return Label()
    distance, speaker = near[0]
    second = next((name for _, name in near if name != speaker), None)
    return Label(speaker, 0.5 * (1 - max(distance, 0.0) / MAX_GAP), second)


def _labelled(segment: Segment, labels: Sequence[Label]) -> Iterator[Segment]:
    """The segment with its labels, in parts of one speaker each."""
    if not segment.words:
        yield replace(segment, speaker=labels[0].speaker)
        return
    words = [
        Word(word.word, word.start, word.end, word.probability, one.speaker, one.confidence, one.second, one.overlap)
        for word, one in zip(segment.words, labels, strict=True)
    ]
    if len({one.speaker for one in labels}) == 1:
        yield replace(segment, words=tuple(words), speaker=labels[0].speaker)
        return
    groups = [tuple(group) for _, group in groupby(words, key=lambda word: word.speaker)]
    texts = _parted(segment.text, groups)
    if texts is None:
        yield replace(segment, words=tuple(words), speaker=_majority(words))
        return
    for number, (group, text) in enumerate(zip(groups, texts, strict=True)):
        first, last = number == 0, number == len(groups) - 1
        yield replace(
            segment,
            text=text,
            start=segment.start if first else group[0].start,
            end=segment.end if last else group[-1].end,
            words=group,
            speaker=group[0].speaker,
            tokens=segment.tokens if first else (),
        )


def _parted(text: str, groups: Sequence[tuple[Word, ...]]) -> list[str] | None:
    """The text cut before each group's first word; None where the words do not stand in it in order."""
    plain = ["".join([word.word for word in group]) for group in groups]
    if "".join(plain) == text:
        return plain
    cuts, at = [0], 0
    for number, group in enumerate(groups):
        for place, word in enumerate(group):
            bare = word.word.strip()
            found = text.find(bare, at)
            if found < 0:
                return None
            if number and place == 0:
                cuts.append(at + len(text[at:found].rstrip()))
            at = found + len(bare)
    return [text[start:end] for start, end in pairwise([*cuts, len(text)])]


def _majority(words: Sequence[Word]) -> str | None:
    """Whoever says most of the words, by duration."""
    seconds: dict[str | None, float] = {}
    for word in words:
        seconds[word.speaker] = seconds.get(word.speaker, 0.0) + max(word.end - word.start, 0.0)
    return max(seconds, key=lambda speaker: seconds[speaker])
