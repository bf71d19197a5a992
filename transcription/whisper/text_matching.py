"""Match two texts of the same recording: the words of one that stand in the other too, in the same order.

Long texts are first cut at runs of words that occur once in both (patience diff, Bram Cohen). Between them, global
alignment (Needleman and Wunsch, 1970) finds the other words.
"""

from bisect import bisect_left
from collections.abc import Iterator, Sequence
from itertools import pairwise
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

Pair = tuple[int, int]
"""The indices of a word in both texts."""

_RUNS = (4, 2)  # words of a run that occurs once
_MAX_CELLS = 4_000_000  # of a table; a larger one is cut first
_MATCH, _OTHER, _GAP = 5, -3, -2


def match(one: Sequence[str], other: Sequence[str]) -> list[Pair]:
    """Return the pairs of equal words, in order in both texts. `one` may be a part of `other`."""
    codes = {word: code for code, word in enumerate(dict.fromkeys([*one, *other]))}
    first, second = (np.array([codes[word] for word in words], dtype=np.int64) for words in (one, other))
    return list(_match(first, second, _Place(0, 0, True, True), _RUNS))


Codes = npt.NDArray[np.int64]


class _Place(NamedTuple):
    """Where two parts of the texts begin, and whether they begin and end the texts."""

    first: int
    second: int
    is_start: bool
    is_end: bool


def _match(one: Codes, other: Codes, place: _Place, runs: Sequence[int]) -> Iterator[Pair]:
    """Yield pairs of two parts of the texts."""
    first, second = place.first, place.second
    if len(one) * len(other) <= _MAX_CELLS:
        yield from ((first + i, second + j) for i, j in _aligned(one, other, place))
    elif runs:
        anchors = _unique_runs(one, other, runs[0])
        for (i, j), (next_i, next_j) in pairwise([(-1, -1), *anchors, (len(one), len(other))]):
            inner = _Place(first + i + 1, second + j + 1, place.is_start and i < 0, place.is_end and next_i == len(one))
            yield from _match(one[i + 1 : next_i], other[j + 1 : next_j], inner, runs[1:])
            if next_i < len(one):
                yield first + next_i, second + next_j


def _unique_runs(one: Codes, other: Codes, length: int) -> list[Pair]:
    """Return the words of runs that occur once in both texts, in the longest order that both have."""
    starts = [_once(text, length) for text in (one, other)]
    common = sorted((start, starts[1][run]) for run, start in starts[0].items() if run in starts[1])
    pairs = dict.fromkeys((i + step, j + step) for i, j in _longest_increasing(common) for step in range(length))
    return _longest_increasing(sorted(pairs))


def _once(text: Codes, length: int) -> dict[tuple[int, ...], int]:
    """Return the runs that occur once, and where."""
    found: dict[tuple[int, ...], int] = {}
    codes = text.tolist()
    for start in range(len(codes) - length + 1):
        run = tuple(codes[start : start + length])
        found[run] = -1 if run in found else start
    return {run: start for run, start in found.items() if start >= 0}


def _longest_increasing(pairs: Sequence[Pair]) -> list[Pair]:
    """Return the longest part of sorted pairs in which both numbers grow."""
    tails: list[int] = []
    ends: list[int] = []
    before: list[int] = []
    for index, (_, j) in enumerate(pairs):
        place = bisect_left(tails, j)
        before.append(ends[place - 1] if place else -1)
        if place == len(tails):
            tails.append(j)
            ends.append(index)
        elif j < tails[place]:
            tails[place], ends[place] = j, index
    chain: list[Pair] = []
    previous = ends[-1] if ends else -1
    while previous >= 0:
        chain.append(pairs[previous])
        previous = before[previous]
    chain.reverse()
    return [pair for at, pair in enumerate(chain) if at == 0 or pair[0] > chain[at - 1][0]]


def _aligned(one: Codes, other: Codes, place: _Place) -> list[Pair]:
    """Return the equal pairs of the best global alignment. What `other` has before and after `one` costs nothing.

    A row of the table is computed at once: a gap in `other` is a running maximum over differences.
    """
    gaps = np.arange(len(other) + 1, dtype=np.int32) * _GAP
    table = np.empty((len(one) + 1, len(other) + 1), dtype=np.int32)
    table[0] = 0 if place.is_start else gaps
    for row, code in enumerate(one, start=1):
        diagonal = table[row - 1, :-1] + np.where(other == code, _MATCH, _OTHER).astype(np.int32)
        best = table[row - 1] + _GAP
        best[1:] = np.maximum(best[1:], diagonal)
        table[row] = np.maximum.accumulate(best - gaps) + gaps
    pairs: list[Pair] = []
    row, column = len(one), int(table[-1].argmax()) if place.is_end else len(other)
    while row and column:
        is_equal = bool(one[row - 1] == other[column - 1])
        if table[row, column] == table[row - 1, column - 1] + (_MATCH if is_equal else _OTHER):
            row, column = row - 1, column - 1
            if is_equal:
                pairs.append((row, column))
        elif table[row, column] == table[row - 1, column] + _GAP:
            row -= 1
        else:
            column -= 1
    return pairs[::-1]
