"""Two answers beside each other: words, times and speakers must be equal, probabilities as far as rounding goes.

How many rows a step of the decoder has changes how its sums are rounded, and that is another thing on every run: which
requests are there at once, how many tokens the assistant is asked for, how many threads there are.
"""

from collections.abc import Iterator
from typing import Any

import pytest


def differences(one: Any, other: Any, where: str = "") -> Iterator[tuple[str, Any, Any]]:
    """Where two documents (of JSON's types) are not equal, but for what was rounded otherwise."""
    if isinstance(one, dict) and isinstance(other, dict) and one.keys() == other.keys():
        for key in one:
            yield from differences(one[key], other[key], f"{where}/{key}")
    elif isinstance(one, (list, tuple)) and isinstance(other, (list, tuple)) and len(one) == len(other):
        for number, (mine, its) in enumerate(zip(one, other, strict=True)):
            yield from differences(mine, its, f"{where}/{number}")
    elif one != (pytest.approx(other, abs=2e-3) if isinstance(other, float) else other):
        yield where, one, other
