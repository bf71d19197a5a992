"""Give the words of a text, which is spoken in a recording, the times of the same words in a transcript.

1. The keys of both texts (`keys_of`) are matched (`text_matching`).
2. A match counts only if most words around it match too: two texts of one language share many words by chance.
3. Words between two matches that count, where the model wrote other words, have the time of those words.
4. All other words are not said, as far as the model heard.

This is no forced alignment: the model is not asked for the probability of the text. The batching engine does that next
(engines/batching/forced_alignment.py).
"""

from collections.abc import Iterator, Sequence
from dataclasses import replace
from difflib import SequenceMatcher
from itertools import accumulate, pairwise
from typing import NamedTuple

from transcription.transcript import Segment, Transcript, Word
from transcription.whisper.given_text import keys_of, sentences_of
from transcription.whisper.text_matching import Pair, match

_NEAR = 8  # keys in a row
_ENOUGH = 4  # matches among them, so that they count
_MIN_SHARE = 0.3  # of the letters of words without a match that the model wrote as other words
_MAX_FREE = 4  # keys in a row that may be any other words
_MAX_RUN = 200  # letters of more keys, which may be similar words
_MIN_SIMILAR = 0.45  # difflib's ratio of the letters
_DIGIT = 4  # letters that a digit stands for: "25" is "twenty-five"
_MAX_HEARD = 3  # times the letters of words without a match, of the other words that they are compared with


class Span(NamedTuple):
    """Where a word is said, in seconds; the probability of the model's word, None if it wrote another one."""

    start: float
    end: float
    probability: float | None


class _Key(NamedTuple):
    text: str
    span: Span


def align_text(transcript: Transcript, text: str) -> Transcript:
    """Return a transcript that has the words of `text`, with the times and probabilities of `transcript`.

    transcript: what a model heard, with words. text: what is spoken there; a segment of the result is a sentence or a
    line of it. The start of a word is never before that of an earlier one, and its end never after the next start.
    """
    sentences = sentences_of(text)
    words = [word for sentence in sentences for word in sentence]
    owners = [(number, key) for number, word in enumerate(words) for key in keys_of(word)]
    heard = list(_heard_keys(transcript.segments))
    spans: list[list[Span]] = [[] for _ in words]
    found = _spans([key for _, key in owners], heard)
    for (number, _), span in zip(owners, found, strict=True):
        if span is not None:
            spans[number].append(span)
    segments = tuple(Segment("", 0.0, 0.0, tuple(Word(word, 0.0, 0.0) for word in sentence)) for sentence in sentences)
    aligned = with_spans(replace(transcript, segments=segments), [_joined(parts) for parts in spans])
    segments = tuple(replace(one, language=_language_at(one.start, transcript)) for one in aligned.segments)
    aligned = replace(aligned, segments=segments)
    unsaid = sum(not word.said for word in aligned.words)
    if unsaid:
        return aligned.with_warnings(f"{unsaid} of {len(words)} words of the text were not found in the recording")
    return aligned


def with_spans(aligned: Transcript, spans: Sequence[Span | None]) -> Transcript:
    """Return an aligned text with other times. spans: one for each word, None if it is not said."""
    timed = iter(_timed_words([word.word for word in aligned.words], spans, aligned.duration))
    segments = [replace(one, words=tuple(next(timed) for _ in one.words)) for one in aligned.segments]
    return replace(aligned, segments=tuple(map(_with_bounds, segments)))


def _language_at(time: float, transcript: Transcript) -> str | None:
    """Return the language of what is heard at a time."""
    before = [segment.language for segment in transcript.segments if segment.start <= time and segment.language]
    return before[-1] if before else transcript.language


def _heard_keys(segments: Sequence[Segment]) -> Iterator[_Key]:
    """Yield the keys of words; those of one word, or of a segment without words, share its time by their letters."""
    for word in (word for segment in segments for word in segment.words or [_whole(segment)]):
        keys = keys_of(word.word)
        ends = list(accumulate(map(_letters, keys), initial=0))
        seconds = max(word.end - word.start, 0.0)
        for key, (before, after) in zip(keys, pairwise(ends), strict=True):
            start, end = (word.start + seconds * count / ends[-1] for count in (before, after))
            yield _Key(key, Span(start, end, word.probability))


def _whole(segment: Segment) -> Word:
    return Word(segment.text, segment.start, segment.end)


def _letters(key: str) -> int:
    return sum(_DIGIT if character.isdigit() else 1 for character in key)


def _spans(given: Sequence[str], heard: Sequence[_Key]) -> list[Span | None]:
    """Return where each given key is said, None if it is not."""
    spans: list[Span | None] = [None] * len(given)
    pairs = _trusted(match(given, [key.text for key in heard]), len(given))
    for i, j in pairs:
        spans[i] = heard[j].span
    for (i, j), (next_i, next_j) in pairwise([(-1, -1), *pairs, (len(given), len(heard))] if pairs else []):
        left, others = given[i + 1 : next_i], heard[j + 1 : next_j]
        if left and others:
            spans[i + 1 : next_i] = _replaced(left, others, from_end=i < 0)
    return spans


def _trusted(pairs: Sequence[Pair], count: int) -> list[Pair]:
    """Return the pairs that are among enough pairs near to each other. count: the number of given keys."""
    enough = min(_ENOUGH, -(-2 * count // 3))
    steps = [max(i - last_i, j - last_j) for (last_i, last_j), (i, j) in pairwise(pairs)]
    places = list(accumulate(steps, initial=0))
    trusted: set[int] = set()
    for first in range(len(pairs) - enough + 1):
        if places[first + enough - 1] - places[first] < _NEAR:
            trusted.update(range(first, first + enough))
    return [pairs[at] for at in sorted(trusted)]


def _replaced(given: Sequence[str], heard: Sequence[_Key], from_end: bool) -> list[Span | None]:
    """Return the spans of keys for which the model wrote others, None for each if it wrote too little.

    from_end: the last of the others are the nearest to a match.
    """
    wanted, found, near = sum(map(_letters, given)), 0, list[_Key]()
    for key in reversed(heard) if from_end else heard:
        if near and found + _letters(key.text) > max(_MAX_HEARD * wanted, 8):
            break
        near.append(key)
        found += _letters(key.text)
    if found < _MIN_SHARE * wanted or not _is_plausible(given, [key.text for key in near]):
        return [None] * len(given)
    start, end = min(key.span.start for key in near), max(key.span.end for key in near)
    ends = list(accumulate(map(_letters, given), initial=0))
    times = [start + (end - start) * letters / ends[-1] for letters in ends]
    return [Span(first, last, None) for first, last in pairwise(times)]


def _is_plausible(given: Sequence[str], heard: Sequence[str]) -> bool:
    """Return whether a model may have written `heard` for `given`: many words of another sound are not said."""
    if len(given) <= _MAX_FREE:
        return True
    letters = "".join(given), "".join(heard)
    return len(letters[0]) <= _MAX_RUN and SequenceMatcher(None, *letters, autojunk=False).ratio() >= _MIN_SIMILAR


def _joined(parts: Sequence[Span]) -> Span | None:
    """Return the span of a word from those of its keys that were found."""
    if not parts:
        return None
    known = [part.probability for part in parts if part.probability is not None]
    return Span(parts[0].start, max(part.end for part in parts), min(known, default=None))


def _timed_words(words: Sequence[str], spans: Sequence[Span | None], duration: float) -> Iterator[Word]:
    """Yield the words with times in order, inside the recording."""
    starts = iter(accumulate((min(max(span.start, 0.0), duration) for span in spans if span), max))
    start, next_start, now = 0.0, next(starts, duration), 0.0
    for word, span in zip(words, spans, strict=True):
        if span is None:
            yield Word(word, now, now, said=False)
            continue
        start, next_start = next_start, next(starts, duration)
        now = max(min(span.end, next_start), start)
        yield Word(word, start, now, span.probability)


def _with_bounds(segment: Segment) -> Segment:
    """Return a segment with the text, the start and the end of its words."""
    said = [word for word in segment.words if word.said] or segment.words[:1]
    text = "".join(word.word for word in segment.words)
    return replace(segment, text=text, start=said[0].start, end=said[-1].end)
