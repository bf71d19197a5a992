"""Count the tokens that differ from transformers' generate() in float32: `python -m benchmarks.identity`.

The cases are those of `tests/test_slots.py`: random models of several shapes, prompts, tasks and languages, with and
without timestamps, one to sixteen slots, and an assistant whose drafts are mostly wrong.
"""

import argparse
import itertools

import torch

from tests.test_slots import CASES, decode_both


def main() -> None:
    """Run the command."""
    argparse.ArgumentParser(description=__doc__).parse_args()
    tokens = different = 0
    for case in CASES:
        for result, expected in zip(*decode_both(case, torch.float32, windows=5), strict=True):
            tokens += len(expected)
            different += sum(ours != theirs for ours, theirs in itertools.zip_longest(result, expected))
    print(f"{tokens} tokens, {different} differ")


if __name__ == "__main__":
    main()
