"""How many tokens differ from generate() in float32: `python -m benchmarks.identity`.

The cases are those of `tests/test_slots.py`: random models of several shapes, prompts, tasks and languages, with
and without time stamps, slots from one to sixteen, and a drafter that is mostly wrong.
"""

import itertools

import torch

import transcription.engines  # noqa: F401  # before transformers, which it lets be imported
from tests.test_slots import CASES, decode_both


def main() -> None:
    tokens = differ = 0
    for case in CASES:
        for found, expected in zip(*decode_both(case, torch.float32, windows=5), strict=True):
            tokens += len(expected)
            differ += sum(ours != theirs for ours, theirs in itertools.zip_longest(found, expected))
    print(f"{tokens} tokens, {differ} differ")


if __name__ == "__main__":
    main()
