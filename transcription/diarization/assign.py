"""Assign speakers to words. Text is never lost, reordered or changed.

The rules:
1. Longest overlap: a word belongs to the speaker who talks longest during it in the exclusive diarization.
2. Tie: the speaker of the previous word wins, then the turn with the nearest middle, then the first label.
3. Gap: a word outside all turns belongs to the nearest turn within MAX_GAP seconds, or to no speaker.
4. Missing times: words without valid times are spread evenly between their neighbours.
5. Long words: a word over MAX_WORD_DURATION seconds is shortened to the first speech in it.
6. Lone word: it follows its sentence, unless it is a turn of its own (labels.follow_sentences).
7. No duration: a word shorter than a frame follows its sentence.

Words and turns are read once, in order of time: the time is linear in their number after sorting.
"""

from collections.abc import Iterator, Sequence
from dataclasses import replace
from itertools import groupby, pairwise
from typing import NamedTuple

from transcription.diarization.labels import MIN_DURATION, Label, follow_sentences
from transcription.transcript import Segment, SpeakerTurn, Transcript, Word

MAX_GAP = 3.0  # seconds between a word and its turn
MAX_WORD_DURATION = 1.5  # seconds; a longer word includes silence
MIN_CONFIDENCE = 2 / 3  # below this, the word gets a second speaker
MIN_OVERLAP = 0.5  # share of a word during which several people talk
MAX_TIME = 1e8  # seconds: three years
_TOLERANCE = 1e-6  # seconds

Interval = tuple[float, float]


class ActiveSpeakers(NamedTuple):
    """An interval in which the same people talk."""

    start: float
    end: float
    speakers: tuple[str, ...]


def assign_speakers(
    transcript: Transcript, turns: Sequence[SpeakerTurn], exclusive: Sequence[SpeakerTurn] | None = None
) -> Transcript:
    """Return the transcript with a speaker on every word that is inside a turn or near one.

    turns: the regular diarization; turns may overlap.
    exclusive: the exclusive diarization, one speaker at a time. Default: exclusive_turns(turns).

    A segment is split where the speaker changes. The parts have the scores of the segment; the first part has its
    tokens. A segment without words gets one speaker, by the same rules.
    """
    exclusive = exclusive_turns(turns if exclusive is None else exclusive)
    units = [unit for segment in transcript.segments for unit in segment.words or (segment,)]
    labels = iter(follow_sentences(units, list(_label_units(units, exclusive, timeline(turns)))))
    segments = [
        part
        for segment in transcript.segments
        for part in _split_by_speaker(segment, [next(labels) for _ in segment.words or (segment,)])
    ]
    turns = sorted(_valid(turns), key=lambda turn: (turn.start, turn.end, turn.speaker))
    return replace(transcript, segments=tuple(segments), turns=tuple(turns))


def timeline(turns: Sequence[SpeakerTurn]) -> list[ActiveSpeakers]:
    """Return all intervals in which someone talks, in order of time."""
    return [
        ActiveSpeakers(start, end, tuple(dict.fromkeys(turn.speaker for turn in active)))
        for start, end, active in _active_turns(turns)
    ]


def exclusive_turns(turns: Sequence[SpeakerTurn]) -> list[SpeakerTurn]:
    """Return turns with one speaker at a time. During overlap, the speaker of the longest turn is kept.

    Whisper usually writes the words of this speaker. The shorter or the later turn gives twice as many words with
    a wrong speaker (measured on ten minutes with 90 overlaps).
    """
    exclusive: list[SpeakerTurn] = []
    for start, end, active in _active_turns(turns):
        speaker = max(active, key=lambda turn: (turn.end - turn.start, turn.speaker)).speaker
        if exclusive and exclusive[-1].speaker == speaker and exclusive[-1].end == start:
            exclusive[-1] = SpeakerTurn(speaker, exclusive[-1].start, end)
        else:
            exclusive.append(SpeakerTurn(speaker, start, end))
    return exclusive


def _valid(turns: Sequence[SpeakerTurn]) -> list[SpeakerTurn]:
    return [turn for turn in turns if _is_time(turn.start) and _is_time(turn.end) and turn.end > turn.start]


def _is_time(seconds: float | None) -> bool:
    """Return whether this is a valid time: the words and turns of a caller may have None, NaN or infinity."""
    return seconds is not None and abs(seconds) < MAX_TIME  # false for NaN


def _active_turns(turns: Sequence[SpeakerTurn]) -> Iterator[tuple[float, float, list[SpeakerTurn]]]:
    """Yield each interval (start, end) in which the active turns do not change, with these turns."""
    valid = _valid(turns)
    by_start = sorted(valid, key=lambda turn: turn.start)
    bounds = sorted({bound for turn in valid for bound in (turn.start, turn.end)})
    active: list[SpeakerTurn] = []
    index = 0
    for start, end in pairwise(bounds):
        active = [turn for turn in active if turn.end > start]
        while index < len(by_start) and by_start[index].start <= start:
            active.append(by_start[index])
            index += 1
        if active:
            yield start, end, active


def _valid_times(units: Sequence[Word | Segment]) -> list[Interval]:
    """Return the time of each unit, finite and with starts in order (rule 4)."""
    times: list[Interval] = []
    missing, last_start, last_end = 0, -MAX_TIME, 0.0

    def fill(until: float) -> None:
        step = max(until - last_end, 0.0) / missing
        times.extend((last_end + step * n, last_end + max(step * (n + 1), MIN_DURATION)) for n in range(missing))

    for unit in units:
        start, end = unit.start, unit.end
        if not _is_time(start) or start < last_start:
            missing += 1
            continue
        if missing:
            fill(start)
        missing, last_start = 0, start
        last_end = end if _is_time(end) and end >= start + MIN_DURATION else start + MIN_DURATION
        times.append((start, last_end))
    if missing:
        fill(last_end)
    return times


def _label_units(
    units: Sequence[Word | Segment], exclusive: Sequence[SpeakerTurn], regular: Sequence[ActiveSpeakers]
) -> Iterator[Label]:
    """Yield the label of each unit. Units, turns and intervals are in order of time."""
    first_turn = first_interval = 0
    previous: str | None = None
    for unit, (unit_start, unit_end) in zip(units, _valid_times(units), strict=True):
        start, end = unit_start, unit_end
        while first_turn < len(exclusive) and exclusive[first_turn].end <= start:
            first_turn += 1
        is_long = end - start > MAX_WORD_DURATION and isinstance(unit, Word)
        if is_long and first_turn < len(exclusive) and exclusive[first_turn].start < end:
            start = max(start, exclusive[first_turn].start)
            end = min(end, start + MAX_WORD_DURATION)
        while first_interval < len(regular) and regular[first_interval].end <= unit_start:
            first_interval += 1
        label = _label(start, end, exclusive, first_turn, regular, first_interval, previous)
        previous = label.speaker or previous
        yield label


def _label(
    start: float, end: float, exclusive: Sequence[SpeakerTurn], first_turn: int,
    regular: Sequence[ActiveSpeakers], first_interval: int, previous: str | None,
) -> Label:  # fmt: skip
    """Return the label by rules 1 to 3. first_turn and first_interval are the first that end after `start`."""
    if first_turn < len(exclusive) and exclusive[first_turn].start <= start and exclusive[first_turn].end >= end:
        interval = regular[first_interval] if first_interval < len(regular) else None
        if interval is not None and interval.end >= end and len(interval.speakers) == 1:  # true for most words
            return Label(exclusive[first_turn].speaker, 1.0)
    overlaps: dict[str, float] = {}
    distances: dict[str, float] = {}  # between the middles of the word and the turn, doubled
    index = first_turn
    while index < len(exclusive) and exclusive[index].start < end:
        turn = exclusive[index]
        overlaps[turn.speaker] = overlaps.get(turn.speaker, 0.0) + min(turn.end, end) - max(turn.start, start)
        distance = abs(turn.start + turn.end - start - end)
        distances[turn.speaker] = min(distances.get(turn.speaker, distance), distance)
        index += 1
    if not overlaps:
        return _nearest_speaker(start, end, exclusive, first_turn, previous)
    longest = max(overlaps.values())
    tied = [speaker for speaker, seconds in overlaps.items() if seconds >= longest - _TOLERANCE]
    speaker = previous if previous in tied else min(tied, key=lambda name: (distances[name], name))
    return _with_confidence(str(speaker), overlaps, start, end, regular, first_interval)


def _with_confidence(
    speaker: str, overlaps: dict[str, float], start: float, end: float,
    regular: Sequence[ActiveSpeakers], first_interval: int,
) -> Label:  # fmt: skip
    """Return the label with the confidence: the time of the speaker against the time of the second speaker."""
    talk: dict[str, float] = {}
    overlap, index = 0.0, first_interval
    while index < len(regular) and regular[index].start < end:
        interval = regular[index]
        seconds = max(min(interval.end, end) - max(interval.start, start), 0.0)  # rule 5 may have moved the start
        overlap += seconds if len(interval.speakers) > 1 else 0.0
        for name in interval.speakers:
            talk[name] = talk.get(name, 0.0) + seconds
        index += 1
    for name, seconds in overlaps.items():
        talk[name] = max(talk.get(name, 0.0), seconds)
    own = talk.pop(speaker)
    other, second_speaker = max(((seconds, name) for name, seconds in talk.items()), default=(0.0, None))
    confidence = own / (own + other)
    return Label(
        speaker,
        confidence,
        second_speaker if confidence < MIN_CONFIDENCE else None,
        overlap >= MIN_OVERLAP * (end - start) - _TOLERANCE,
    )


def _nearest_speaker(
    start: float, end: float, exclusive: Sequence[SpeakerTurn], first_turn: int, previous: str | None
) -> Label:
    """Return the label by rule 3. The confidence is 0.5 beside the turn and 0 at a distance of MAX_GAP."""
    near = [(start - exclusive[first_turn - 1].end, exclusive[first_turn - 1].speaker)] if first_turn > 0 else []
    if first_turn < len(exclusive):
        near.append((exclusive[first_turn].start - end, exclusive[first_turn].speaker))
    near = [(gap, speaker) for gap, speaker in near if gap <= MAX_GAP]
    if not near:
        return Label()
    near.sort(key=lambda item: (item[0], item[1] != previous, item[1]))
    gap, speaker = near[0]
    second_speaker = next((name for _, name in near if name != speaker), None)
    return Label(speaker, 0.5 * (1 - max(gap, 0.0) / MAX_GAP), second_speaker)


def _split_by_speaker(segment: Segment, labels: Sequence[Label]) -> Iterator[Segment]:
    """Yield the segment with its labels, in parts of one speaker each."""
    if not segment.words:
        yield replace(segment, speaker=labels[0].speaker)
        return
    words = [replace(word, **label._asdict()) for word, label in zip(segment.words, labels, strict=True)]
    groups = [tuple(group) for _, group in groupby(words, key=lambda word: word.speaker)]
    texts = _split_text(segment.text, groups) if len(groups) > 1 else None
    if texts is None:
        yield replace(segment, words=tuple(words), speaker=_main_speaker(words))
        return
    for number, (group, text) in enumerate(zip(groups, texts, strict=True)):
        is_first, is_last = number == 0, number == len(groups) - 1
        yield replace(
            segment,
            text=text,
            start=segment.start if is_first else group[0].start,
            end=segment.end if is_last else group[-1].end,
            words=group,
            speaker=group[0].speaker,
            tokens=segment.tokens if is_first else (),
        )


def _split_text(text: str, groups: Sequence[tuple[Word, ...]]) -> list[str] | None:
    """Return the text of each group of words, or None if the text does not contain the words in order."""
    texts = ["".join([word.word for word in group]) for group in groups]
    if "".join(texts) == text:
        return texts
    cuts, end = [0], 0
    for number, group in enumerate(groups):
        for index, word in enumerate(group):
            stripped = word.word.strip()
            start = text.find(stripped, end)
            if start < 0:
                return None
            if number and index == 0:
                cuts.append(end + len(text[end:start].rstrip()))
            end = start + len(stripped)
    return [text[start:end] for start, end in pairwise([*cuts, len(text)])]


def _main_speaker(words: Sequence[Word]) -> str | None:
    """Return the speaker of most of the words, by duration."""
    seconds: dict[str | None, float] = {}
    for word in words:
        seconds[word.speaker] = seconds.get(word.speaker, 0.0) + max(word.end - word.start, 0.0)
    return max(seconds, key=lambda speaker: seconds[speaker])
