"""Tokens are split into segments at timestamps, and into words at spaces."""

from itertools import pairwise

import pytest
from transformers import AutoTokenizer

from tests.conftest import DEMO
from transcription.whisper.tokens import Span, split_finished, split_segments, split_words

END, FIRST_TIMESTAMP = 10, 100  # text tokens are below END


def at(seconds: float) -> int:
    """Return the timestamp token of a time."""
    return FIRST_TIMESTAMP + round(seconds * 50)


CASES = {
    "no tokens": ([], []),
    "two timestamps without text": ([at(0), at(1)], []),
    "a segment between two timestamps": ([at(0.5), 1, 2, at(2)], [Span(1, 3, 0.5, 2.0)]),
    "two segments": (
        [at(0), 1, at(1), at(1.5), 2, 3, at(4)],
        [Span(1, 2, 0.0, 1.0), Span(4, 6, 1.5, 4.0)],
    ),
    "without an end timestamp a segment ends with the window": ([at(1), 1, 2], [Span(1, 3, 1.0, 5.0)]),
    "text without timestamps": ([1, 2], [Span(0, 2, 0.0, 5.0)]),
    "tokens after the end of text are ignored": ([at(0), 1, END, 2, at(3)], [Span(1, 2, 0.0, 5.0)]),
    "a timestamp beyond the window is limited to its end": ([at(4), 1, at(29)], [Span(1, 2, 4.0, 5.0)]),
    "a timestamp that decreases is limited to the last one": (
        [at(2), 1, at(3), at(1), 2, at(2)],
        [Span(1, 2, 2.0, 3.0), Span(4, 5, 3.0, 3.0)],
    ),
    "segments that share a timestamp": (
        [at(0), 1, at(1), 2, at(2)],
        [Span(1, 2, 0.0, 1.0), Span(3, 4, 1.0, 2.0)],
    ),
}  # fmt: skip


@pytest.mark.parametrize("name", CASES)
def test_tokens_are_split_into_segments(name: str) -> None:
    tokens, expected = CASES[name]
    assert split_segments(tokens, FIRST_TIMESTAMP, END, 5.0) == expected


@pytest.mark.parametrize(
    ("tokens", "kept", "resume"),
    [
        ([], 0, None),
        ([1, 2], 2, None),  # one unfinished segment
        ([at(0), 1, at(2)], 3, None),  # the only segment is finished
        ([at(0), 1, at(2), at(2.5), 2], 3, 2.0),  # the second segment is unfinished
        ([at(0), 1, at(2), at(2), 2, at(4)], 6, None),
        ([at(0), 1, at(2), at(2), 2, at(4), at(4)], 6, 4.0),
        ([at(0), at(0), 1], 3, None),  # resuming at 0 would repeat the window
    ],
)
def test_decoding_resumes_after_the_last_finished_segment(tokens: list[int], kept: int, resume: float | None) -> None:
    assert split_finished(tokens, FIRST_TIMESTAMP) == (kept, resume)


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("", []),
        (" Good morning.", [" Good", " morning."]),
        (' He said, "Go!"', [" He", " said,", ' "Go!"']),
        (" It's 3:30 now", [" It's", " 3:30", " now"]),
        (" Zürich", [" Zürich"]),
    ],
)
def test_words_contain_all_tokens_and_join_to_the_text(text: str, words: list[str]) -> None:
    tokenizer = AutoTokenizer.from_pretrained(DEMO)
    tokens = tokenizer(text, add_special_tokens=False).input_ids
    split = split_words(tokens, tokenizer, "en")
    assert [word.text for word in split] == words
    edges = [*(word.first for word in split), len(tokens)]
    assert [(word.first, word.last) for word in split] == list(pairwise(edges))


def test_languages_without_spaces_are_split_by_character() -> None:
    tokenizer = AutoTokenizer.from_pretrained(DEMO)
    tokens = tokenizer("日本語。", add_special_tokens=False).input_ids
    assert [word.text for word in split_words(tokens, tokenizer, "ja")] == ["日", "本", "語。"]
