"""Compares two answers: words, times and speakers must be equal, probabilities may differ by rounding.

The batch size of a decoder step changes how its sums are rounded, and it differs in every run: it depends on the other
requests, on the tokens that the assistant drafts and on the number of threads.
"""

from collections.abc import Iterator
from typing import Any

import pytest


def differences(one: Any, other: Any, path: str = "") -> Iterator[tuple[str, Any, Any]]:
    """Yield path and values of each difference between two JSON documents, except for rounding."""
    if isinstance(one, dict) and isinstance(other, dict) and one.keys() == other.keys():
        for key in one:
            yield from differences(one[key], other[key], f"{path}/{key}")
    elif isinstance(one, (list, tuple)) and isinstance(other, (list, tuple)) and len(one) == len(other):
        for number, (left, right) in enumerate(zip(one, other, strict=True)):
            yield from differences(left, right, f"{path}/{number}")
    elif one != (pytest.approx(other, abs=2e-3) if isinstance(other, float) else other):
        yield path, one, other
