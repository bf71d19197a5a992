"""Repetition: text that loops, and text that is copied from the prompt. Both are signs of a lost decoder."""

from collections.abc import Sequence
from difflib import SequenceMatcher

LOOP_CHECK = 32
"""Tokens between two looks for a loop, while a window is decoded."""
_MAX_PERIOD = 24  # tokens of the phrase that a loop repeats
_MIN_REPEATS = 5
_MIN_IN_A_ROW = 4
_MIN_LOOP = 30  # tokens; people do say a word ten times
_COPIED_RUN = 5  # tokens in the order of the prompt that count as copied
_MAX_COPIED = 0.5  # share of a text
_MIN_LIKENESS = 0.6  # of two texts of the same speech


def has_repeats(tokens: Sequence[int]) -> bool:
    """Return whether some phrase is there several times in a row; people do say a sentence two or three times."""
    for period in range(1, min(_MAX_PERIOD, len(tokens)) + 1):
        run = 0
        for index in range(period, len(tokens)):
            run = run + 1 if tokens[index] == tokens[index - period] else 0
            if run >= (_MIN_IN_A_ROW - 1) * period:
                return True
    return False


def ends_in_loop(tokens: Sequence[int]) -> bool:
    """Return whether text tokens end with one phrase many times over."""
    for period in range(1, min(_MAX_PERIOD, len(tokens)) + 1):
        repeated = 0
        while repeated < len(tokens) - period and tokens[-1 - repeated] == tokens[-1 - repeated - period]:
            repeated += 1
        if repeated + period >= max(_MIN_LOOP, _MIN_REPEATS * period):
            return True
    return False


def is_copied(tokens: Sequence[int], prompt: Sequence[int]) -> bool:
    """Return whether most of the text tokens are runs of tokens of the prompt."""
    length = min(_COPIED_RUN, len(tokens))
    if not length:
        return False
    runs = {tuple(prompt[index : index + length]) for index in range(len(prompt) - length + 1)}
    copied = [False] * len(tokens)
    for index in range(len(tokens) - length + 1):
        if tuple(tokens[index : index + length]) in runs:
            copied[index : index + length] = [True] * length
    return sum(copied) > _MAX_COPIED * len(tokens)


def are_alike(tokens: Sequence[int], others: Sequence[int]) -> bool:
    """Return whether two sequences of text tokens are readings of the same speech."""
    return SequenceMatcher(None, tokens, others, autojunk=False).ratio() >= _MIN_LIKENESS
