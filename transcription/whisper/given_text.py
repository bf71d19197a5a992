"""The words of a text that a client gives, and the keys by which they are compared with what a model heard."""

import re
import unicodedata
from collections.abc import Iterable, Iterator

from transcription.formats.pieces import is_unspaced
from transcription.sentences import ends_sentence
from transcription.whisper.chinese import simplified_character

_KEY = re.compile(r"[^\W_]+")
_APOSTROPHES = re.compile("['’ʼ`]")


def sentences_of(text: str) -> list[list[str]]:
    """Return the words of each sentence and each line of a text.

    All words joined are the text with single spaces, after a first space as Whisper writes it. In scripts without
    spaces, a word is a character. Punctuation belongs to the word beside it, also that of a line without words. A text
    without letters and digits has no words.
    """
    sentences: list[list[str]] = []
    opening = ""  # lines of punctuation before the first word
    for line in text.splitlines():
        words = list(_words(line))
        if words:
            words[0] = opening + words[0]
            sentences += _sentences(words)
            opening = ""
        elif sentences:
            sentences[-1][-1] += "".join(_parts(line))
        else:
            opening += "".join(_parts(line))
    return sentences


def _sentences(words: Iterable[str]) -> Iterator[list[str]]:
    sentence: list[str] = []
    for word in words:
        sentence.append(word)
        if ends_sentence(word):
            yield sentence
            sentence = []
    if sentence:
        yield sentence


def _words(line: str) -> Iterator[str]:
    """Yield the words of a line; what comes before the first letter belongs to the first word."""
    word, opening = "", ""
    for part in _parts(line):
        is_opening = unicodedata.category(part.strip()[0]) in ("Ps", "Pi")
        if keys_of(part):
            if word:
                yield word
            word, opening = opening + part, ""
        elif word and not (is_opening or opening):
            word += part
        else:
            opening += part
    if word:
        yield word + opening


def _parts(line: str) -> Iterator[str]:
    """Yield what spaces separate, with the space before it, and each character of a script without spaces alone."""
    for chunk in line.split():
        space, part = " ", ""
        for character in chunk:
            alone = is_unspaced(character)
            if part and (alone or is_unspaced(part[-1])) and not _is_mark(character):
                yield space + part
                space, part = "", ""
            part += character
        yield space + part


def _is_mark(character: str) -> bool:
    return unicodedata.category(character).startswith("M")


def keys_of(word: str) -> list[str]:
    """Return the parts of a word that are compared: letters and digits in one case. "Well-known" has two.

    Chinese characters are simplified: the text that is given may be in another script than the one that was heard.
    """
    plain = _APOSTROPHES.sub("", unicodedata.normalize("NFKC", word).casefold())
    keys: list[str] = []
    for key in _KEY.findall(plain):
        keys += map(simplified_character, key) if is_unspaced(key[0]) else [key]
    return keys
