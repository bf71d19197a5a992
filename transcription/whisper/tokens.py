"""Whisper's tokens read as segments and words."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from transformers import GenerationConfig

# Vocabularies of byte-level BPE write bytes as printable characters (openai/gpt-2, encoder.py, bytes_to_unicode).
_PRINTABLE = [*range(ord("!"), ord("~") + 1), *range(ord("¡"), ord("¬") + 1), *range(ord("®"), ord("ÿ") + 1)]
_OTHERS = [byte for byte in range(256) if byte not in _PRINTABLE]
_BYTES = {chr(byte): byte for byte in _PRINTABLE} | {chr(256 + at): byte for at, byte in enumerate(_OTHERS)}
TIME_PRECISION = 0.02  # seconds a timestamp token stands for
UNSPACED = frozenset({"zh", "ja", "th", "lo", "my", "yue"})  # written without spaces between words
# Marks that belong to the word before or after them (openai/whisper, timing.py).
APPENDED = "\"'.。,，!！?？:：”)]}、"
PREPENDED = "\"'“¿([{-"


@dataclass(frozen=True)
class Vocabulary:
    """The ids that have a meaning of their own in one checkpoint.

    languages: code → id, empty for English-only checkpoints; tasks: name → id, likewise.
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
    def of(cls, tokenizer: Any, generation: GenerationConfig) -> "Vocabulary":
        """Read from a checkpoint's tokenizer and generation config."""
        known = tokenizer.get_vocab()
        no_timestamps = int(getattr(generation, "no_timestamps_token_id", known["<|notimestamps|>"]))
        languages = getattr(generation, "lang_to_id", None) or {}
        return cls(
            start=known["<|startoftranscript|>"],
            end=known["<|endoftext|>"],
            no_timestamps=no_timestamps,
            previous=known.get("<|startofprev|>"),
            no_speech=known.get("<|nospeech|>", known.get("<|nocaptions|>")),
            languages={token.strip("<|>"): int(index) for token, index in languages.items()},
            tasks=dict(getattr(generation, "task_to_id", None) or {}),
            first_timestamp=no_timestamps + 1,
        )


@dataclass(frozen=True)
class Span:
    """Some of a window's tokens that make one segment: indices first ≤ i < last; seconds in the window."""

    first: int
    last: int
    start: float
    end: float


def spans(tokens: Sequence[int], first_timestamp: int, end_of_text: int, duration: float) -> list[Span]:
    """Segments of one window (openai/whisper's rule: text between two timestamps).

    Text before any timestamp starts at 0, text after the last ends at `duration`. Times are clamped
    into the window and never run backwards. No timestamp lies inside a span.
    """
    found: list[Span] = []
    opened, first, floor = 0.0, 0, 0.0

    def close(last: int, end: float) -> None:
        nonlocal floor
        if last > first:
            start = min(max(opened, floor), duration)
            floor = min(max(end, start), duration)
            found.append(Span(first, last, start, floor))

    for index, token in enumerate(tokens):
        if token >= first_timestamp:
            time = (token - first_timestamp) * TIME_PRECISION
            close(index, time)
            opened, first = time, index + 1
        elif token == end_of_text:
            close(index, duration)
            return found
    close(len(tokens), duration)
    return found


def finished(tokens: Sequence[int], first_timestamp: int) -> tuple[int, float | None]:
    """How many tokens belong to finished segments, and the second in the window at which the next one begins.

    The second is None where the window is done: it holds one segment alone, or its last one ends in it
    (openai/whisper, transcribe.py).
    """
    stamps = [token >= first_timestamp for token in tokens]
    pairs = [index for index in range(1, len(tokens)) if stamps[index - 1] and stamps[index]]
    if not pairs or stamps[-2:] == [False, True]:
        return len(tokens), None
    last = pairs[-1]
    second = (tokens[last - 1] - first_timestamp) * TIME_PRECISION
    return (last, second) if second else (len(tokens), None)  # from 0 it would be the same window again


@dataclass(frozen=True)
class WordTokens:
    """One word's text, and its tokens first ≤ i < last."""

    text: str
    first: int
    last: int


def split_words(tokens: Sequence[int], tokenizer: Any, language: str | None) -> list[WordTokens]:
    """Text tokens grouped into words that join to the text; a mark belongs to the word it stands at.

    Words begin at a space, or, in languages written without spaces, at each character.
    """
    words: list[WordTokens] = []
    for piece in _whole_characters(tokens, tokenizer):
        begins = piece.text.startswith(" ") or language in UNSPACED
        closes = piece.text in APPENDED
        opened = bool(words) and words[-1].text.strip() in PREPENDED
        if words and (opened or closes or not begins):
            words[-1] = WordTokens(words[-1].text + piece.text, words[-1].first, piece.last)
        else:
            words.append(piece)
    return words


def token_bytes(token: int, tokenizer: Any) -> bytes:
    """The bytes that a text token stands for; they may end inside a character."""
    return bytes(_BYTES[character] for character in tokenizer.convert_ids_to_tokens(token))


def _whole_characters(tokens: Sequence[int], tokenizer: Any) -> list[WordTokens]:
    """The smallest groups of tokens that decode to whole Unicode characters."""
    pieces, first = [], 0
    for last in range(1, len(tokens) + 1):
        text = tokenizer.decode(list(tokens[first:last]), clean_up_tokenization_spaces=False)
        if "\ufffd" not in text or last == len(tokens):
            pieces.append(WordTokens(text, first, last))
            first = last
    return pieces
