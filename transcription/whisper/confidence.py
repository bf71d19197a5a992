"""The probability of a word, from those of its tokens.

The rule was chosen on real recordings (benchmarks/README.md, Confidence of words). It finds more of the wrong words
than the mean of the tokens, and is closer to the share of words that are right.
"""

import math
import unicodedata
from collections.abc import Sequence

_EXPONENT = 0.6  # fitted: a bare product is too low, because the tokens of a word depend on each other
_INCOMPLETE = "\ufffd"


def word_probability(probabilities: Sequence[float], tokens: Sequence[bytes]) -> float:
    """Return the probability that a word is right, 0 to 1.

    tokens: their bytes, which may end inside a character. Punctuation counts only if the word has nothing else: nobody
    says it.
    """
    spoken = [value for value, token in zip(probabilities, tokens, strict=True) if not _is_punctuation(token)]
    return float(min(math.prod(spoken or probabilities), 1.0) ** _EXPONENT)


def _is_punctuation(token: bytes) -> bool:
    """Return whether a token has only punctuation, symbols and spaces; a part of a character is none of them."""
    return all(
        character != _INCOMPLETE and (character.isspace() or unicodedata.category(character)[0] in "PS")
        for character in token.decode("utf-8", "replace")
    )
