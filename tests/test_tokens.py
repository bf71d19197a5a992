from itertools import pairwise

import pytest
from transformers import AutoTokenizer

from tests.conftest import DEMO
from transcription.whisper.tokens import Span, WordTokens, split_finished, split_segments, split_words

END, STAMP = 10, 100  # text tokens are below END; a stamp of t seconds is STAMP + 50·t


def stamp(seconds: float) -> int:
    return STAMP + round(seconds * 50)


CASES = {
    "nothing": ([], []),
    "two stamps and no text": ([stamp(0), stamp(1)], []),
    "a closed segment": ([stamp(0.5), 1, 2, stamp(2)], [Span(1, 3, 0.5, 2.0)]),
    "two segments": (
        [stamp(0), 1, stamp(1), stamp(1.5), 2, 3, stamp(4)],
        [Span(1, 2, 0.0, 1.0), Span(4, 6, 1.5, 4.0)],
    ),
    "an open end is the window's": ([stamp(1), 1, 2], [Span(1, 3, 1.0, 5.0)]),
    "no stamps at all": ([1, 2], [Span(0, 2, 0.0, 5.0)]),
    "after the end of text nothing counts": ([stamp(0), 1, END, 2, stamp(3)], [Span(1, 2, 0.0, 5.0)]),
    "a stamp past the window is its end": ([stamp(4), 1, stamp(29)], [Span(1, 2, 4.0, 5.0)]),
    "times never run backwards": (
        [stamp(2), 1, stamp(3), stamp(1), 2, stamp(2)],
        [Span(1, 2, 2.0, 3.0), Span(4, 5, 3.0, 3.0)],
    ),
    "text between one stamp and the next": (
        [stamp(0), 1, stamp(1), 2, stamp(2)],
        [Span(1, 2, 0.0, 1.0), Span(3, 4, 1.0, 2.0)],
    ),
}  # fmt: skip


@pytest.mark.parametrize("name", CASES)
def test_tokens_read_as_segments(name: str) -> None:
    tokens, expected = CASES[name]
    assert split_segments(tokens, STAMP, END, 5.0) == expected


@pytest.mark.parametrize(
    ("tokens", "kept", "resume"),
    [
        ([], 0, None),
        ([1, 2], 2, None),  # one segment alone
        ([stamp(0), 1, stamp(2)], 3, None),  # the last one ends in the window
        ([stamp(0), 1, stamp(2), stamp(2.5), 2], 3, 2.0),  # the second is unfinished
        ([stamp(0), 1, stamp(2), stamp(2), 2, stamp(4)], 6, None),
        ([stamp(0), 1, stamp(2), stamp(2), 2, stamp(4), stamp(4)], 6, 4.0),
        ([stamp(0), stamp(0), 1], 3, None),  # the next window would be the same again
    ],
)
def test_what_is_finished_is_kept(tokens: list[int], kept: int, resume: float | None) -> None:
    assert split_finished(tokens, STAMP) == (kept, resume)


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
def test_tokens_read_as_words_that_join_to_the_text(text: str, words: list[str]) -> None:
    tokenizer = AutoTokenizer.from_pretrained(DEMO)
    tokens = tokenizer(text, add_special_tokens=False).input_ids
    found = split_words(tokens, tokenizer, "en")
    assert [word.text for word in found] == words
    assert [(word.first, word.last) for word in found] == covering(found, len(tokens))


def covering(words: list[WordTokens], count: int) -> list[tuple[int, int]]:
    """The words' bounds as they are if the words cover all tokens once."""
    edges = [word.first for word in words] + [count] if words else []
    return list(pairwise(edges))


def test_languages_without_spaces_are_split_by_character() -> None:
    tokenizer = AutoTokenizer.from_pretrained(DEMO)
    tokens = tokenizer("日本語。", add_special_tokens=False).input_ids
    assert [word.text for word in split_words(tokens, tokenizer, "ja")] == ["日", "本", "語。"]
