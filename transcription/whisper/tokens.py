"""Whisper's tokens: the vocabulary, and the grouping of tokens into segments and words."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from itertools import zip_longest
from typing import TYPE_CHECKING, Any

from transcription.sentences import ends_sentence

if TYPE_CHECKING:
    from transformers import GenerationConfig

# Byte-level BPE vocabularies write bytes as printable characters (openai/gpt-2, encoder.py, bytes_to_unicode).
_PRINTABLE = [*range(ord("!"), ord("~") + 1), *range(ord("¡"), ord("¬") + 1), *range(ord("®"), ord("ÿ") + 1)]
_OTHERS = [byte for byte in range(256) if byte not in _PRINTABLE]
_BYTES = {chr(byte): byte for byte in _PRINTABLE} | {chr(256 + index): byte for index, byte in enumerate(_OTHERS)}
TIME_PRECISION = 0.02
"""Seconds per timestamp token."""
UNSPACED = frozenset({"zh", "ja", "th", "lo", "my", "yue"})
"""Languages that are written without spaces between words."""
# Punctuation that belongs to the word before or after it (openai/whisper, timing.py).
APPENDED = "\"'.。,，!！?？:：”)]}、"
PREPENDED = "\"'“¿([{-"


@dataclass(frozen=True)
class Vocabulary:
    """The special token ids of one checkpoint.

    languages: code → id, empty for English-only checkpoints. tasks: name → id, likewise.
    """

    start: int
    end: int
    no_timestamps: int
    previous: int | None
    no_speech: int | None
    languages: dict[str, int]
    tasks: dict[str, int]
    first_timestamp: int

    @classmethod
    def of(cls, tokenizer: Any, generation: "GenerationConfig") -> "Vocabulary":
        """Read the ids from a checkpoint's tokenizer and generation config."""
        ids = tokenizer.get_vocab()
        no_timestamps = int(getattr(generation, "no_timestamps_token_id", ids["<|notimestamps|>"]))
        languages = getattr(generation, "lang_to_id", None) or {}
        return cls(
            start=ids["<|startoftranscript|>"],
            end=ids["<|endoftext|>"],
            no_timestamps=no_timestamps,
            previous=ids.get("<|startofprev|>"),
            no_speech=ids.get("<|nospeech|>", ids.get("<|nocaptions|>")),
            languages={token.strip("<|>"): int(index) for token, index in languages.items()},
            tasks=dict(getattr(generation, "task_to_id", None) or {}),
            first_timestamp=no_timestamps + 1,
        )


@dataclass(frozen=True)
class Span:
    """The tokens of one segment, first ≤ index < last, and its times in seconds from the start of the window."""

    first: int
    last: int
    start: float
    end: float


def split_segments(tokens: Sequence[int], first_timestamp: int, end_of_text: int, duration: float) -> list[Span]:
    """Split the tokens of one window at timestamps (openai/whisper, transcribe.py).

    Text before the first timestamp starts at 0, text after the last one ends at `duration`. Times are clamped
    to the window and never decrease. No timestamp lies inside a span.
    """
    spans: list[Span] = []
    start, first, previous_end = 0.0, 0, 0.0

    def close(last: int, end: float) -> None:
        nonlocal previous_end
        if last > first:
            clamped = min(max(start, previous_end), duration)
            previous_end = min(max(end, clamped), duration)
            spans.append(Span(first, last, clamped, previous_end))

    for index, token in enumerate(tokens):
        if token >= first_timestamp:
            time = (token - first_timestamp) * TIME_PRECISION
            close(index, time)
            start, first = time, index + 1
        elif token == end_of_text:
            close(index, duration)
            return spans
    close(len(tokens), duration)
    return spans


def split_finished(tokens: Sequence[int], first_timestamp: int) -> tuple[int, float | None]:
    """Return how many tokens belong to finished segments, and where the next window begins (openai/whisper).

    The position is in seconds from the start of the window. It is None if the window is done: it holds one segment
    only, or its last segment ends in it.
    """
    is_timestamp = [token >= first_timestamp for token in tokens]
    pairs = [index for index in range(1, len(tokens)) if is_timestamp[index - 1] and is_timestamp[index]]
    if not pairs or is_timestamp[-2:] == [False, True]:
        return len(tokens), None
    last = pairs[-1]
    position = (tokens[last - 1] - first_timestamp) * TIME_PRECISION
    return (last, position) if position else (len(tokens), None)  # at 0 it would be the same window again


def last_timestamp(tokens: Sequence[int], first_timestamp: int) -> float | None:
    """Return the last timestamp in seconds from the start of the window; None if text follows it or there is none."""
    if not tokens or tokens[-1] < first_timestamp:
        return None
    return (tokens[-1] - first_timestamp) * TIME_PRECISION


@dataclass(frozen=True)
class WordTokens:
    """The text of one word, and its tokens first ≤ index < last."""

    text: str
    first: int
    last: int


def split_words(tokens: Sequence[int], tokenizer: Any, language: str | None) -> list[WordTokens]:
    """Group text tokens into words that join to the text; punctuation belongs to the word beside it.

    A word begins at a space, or, in languages written without spaces, at each character.
    """
    words: list[WordTokens] = []
    for piece in _whole_characters(tokens, tokenizer):
        begins_word = piece.text.startswith(" ") or language in UNSPACED
        is_appended = piece.text in APPENDED
        follows_prepended = bool(words) and words[-1].text.strip() in PREPENDED
        if words and (follows_prepended or is_appended or not begins_word):
            words[-1] = WordTokens(words[-1].text + piece.text, words[-1].first, piece.last)
        else:
            words.append(piece)
    return words


def split_sentences(words: Sequence[WordTokens], starts: Sequence[float]) -> list[Span]:
    """Group the words of a window into sentences; a sentence without duration belongs to the one before.

    starts: of each token and of the end of text, in seconds from the start of the window.
    """
    spans: list[Span] = []
    first = 0
    for word, following in zip_longest(words, words[1:]):
        if following is not None and (not ends_sentence(word.text) or following.text.strip()[:1].islower()):
            continue
        if spans and starts[first] == starts[word.last]:
            spans[-1] = replace(spans[-1], last=word.last)
        else:
            spans.append(Span(first, word.last, starts[first], starts[word.last]))
        first = word.last
    return spans


def token_bytes(token: int, tokenizer: Any) -> bytes:
    """Return the bytes of a text token; they may end inside a character."""
    return bytes(_BYTES[character] for character in tokenizer.convert_ids_to_tokens(token))


def _whole_characters(tokens: Sequence[int], tokenizer: Any) -> list[WordTokens]:
    """Return the smallest groups of tokens that decode to whole Unicode characters."""
    pieces, first = [], 0
    for last in range(1, len(tokens) + 1):
        text = tokenizer.decode(list(tokens[first:last]), clean_up_tokenization_spaces=False)
        if "\ufffd" not in text or last == len(tokens):
            pieces.append(WordTokens(text, first, last))
            first = last
    return pieces
