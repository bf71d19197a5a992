"""Where a line or a cue may end, and what that costs: nothing at the end of a sentence, most inside a phrase."""

import re
from collections.abc import Callable, Iterable, Sequence
from itertools import pairwise

from transcription.formats.pieces import Piece
from transcription.sentences import ends_sentence

SENTENCE, CLAUSE, CONJUNCTION, SPACE, INSIDE = 0.0, 1.0, 2.0, 4.0, 6.0
"""Costs of a break: after a sentence, after a comma or a pause, before a conjunction, between words, and elsewhere."""
PAUSE = 0.5  # seconds; a pause of this length is as good as a comma
_CLAUSE_END = re.compile(r"[,;:–—，、；：､،][\"'”’»)\]」』】]*$")
_HIRAGANA = re.compile("[\u3041-\u309f]")
_CONJUNCTIONS = {
    "en": "and but or nor so because although though while when which that who if unless until since where than",
    "de": "und oder aber sondern denn weil dass wenn ob obwohl während als damit bevor nachdem",
    "fr": "et ou mais donc car que qui quand si parce lorsque puisque comme",
    "es": "y e o u pero sino porque que cuando si aunque como donde",
    "it": "e ed o ma perché che quando se mentre dove come",
    "pt": "e ou mas porque que quando se embora como onde",
    "nl": "en of maar want omdat dat als toen terwijl",
}
_CONJUNCTION_SETS = {language: frozenset(words.split()) for language, words in _CONJUNCTIONS.items()}


def break_costs(pieces: Sequence[Piece], language: str | None) -> list[float]:
    """Return the cost of a break after each piece. language: Whisper's code; None is English."""
    conjunctions = _CONJUNCTION_SETS.get(language or "en", frozenset())
    costs = [_cost(left, right, conjunctions) for left, right in pairwise(pieces)]
    return [*costs, SENTENCE] if pieces else []


def _cost(left: Piece, right: Piece, conjunctions: frozenset[str]) -> float:
    if ends_sentence(left.text):
        return CLAUSE if right.text[0].islower() else SENTENCE
    if _CLAUSE_END.search(left.text) or right.is_first or right.start - left.end >= PAUSE:
        return CLAUSE
    if right.text.strip("\"'“‘«([").casefold() in conjunctions:
        return CONJUNCTION
    ends_phrase = _HIRAGANA.match(left.text[-1]) and not _HIRAGANA.match(right.text)  # in Japanese
    return SPACE if right.has_space or ends_phrase else INSIDE


def split(count: int, costs: Callable[[int], Iterable[float]]) -> list[slice]:
    """Divide `count` things into consecutive parts with the smallest total cost.

    costs: yields the cost of the part of one thing that begins at an index, of the part of two, and so on. It yields
    at least one, and ends where no longer part is possible.
    """
    totals, firsts = [0.0] + [float("inf")] * count, [0] * (count + 1)
    for first in range(count):
        for last, cost in enumerate(costs(first), start=first + 1):
            if totals[first] + cost < totals[last]:
                totals[last], firsts[last] = totals[first] + cost, first
    parts, last = [], count
    while last:
        parts.append(slice(firsts[last], last))
        last = firsts[last]
    return parts[::-1]
