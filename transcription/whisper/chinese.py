"""One script for Chinese: Whisper writes simplified or traditional characters by chance, often both in one recording.

The conversion is OpenCC's (https://github.com/BYVoid/OpenCC): the longest phrases of its dictionaries, then characters.
Words are not replaced by those of another region. Without OpenCC, the text stays as the model writes it.
"""

import logging
import re
from collections.abc import Callable, Sequence
from dataclasses import replace
from functools import cache, lru_cache, partial
from itertools import accumulate
from typing import Any, Literal

from transcription.config import InferenceConfig
from transcription.transcript import Segment, Transcript

logger = logging.getLogger(__name__)

Form = Literal["simplified", "taiwan", "hong kong", "unchanged"]
"""How Chinese is written: simplified, or traditional with the characters of a region."""
_SUBTAGS: dict[str, Form] = {
    "hans": "simplified", "hk": "hong kong", "mo": "hong kong", "hant": "taiwan", "tw": "taiwan", "cn": "simplified",
    "sg": "simplified", "my": "simplified",
}  # fmt: skip
"""What the subtags of zh mean. The first one here that a tag has counts: zh-Hans-TW is simplified."""
_CHINESE, _CANTONESE = {"zh", "cmn"}, {"yue", "cantonese"}
_TO_SIMPLIFIED = "tw2s"  # t2s leaves 著 where the simplified text has 着
_TO_TRADITIONAL = {"taiwan": ("s2tw", "t2tw"), "hong kong": ("s2hk", "t2hk")}
"""OpenCC's names of the conversions from simplified characters, and from other traditional ones."""


def form_of(config: InferenceConfig) -> Form:
    """Return how the Chinese of a request is to be written.

    It is chinese_script, else what the tag of `language`, or the first such tag of `languages`, says: zh-TW and zh-Hant
    are Taiwan's form, zh-HK and zh-MO are Hong Kong's. Else it is simplified. Cantonese is unchanged.
    """
    tag = _form_of_tags(config)
    if config.chinese_script == "traditional":
        return "hong kong" if tag == "hong kong" else "taiwan"
    return config.chinese_script or tag or "simplified"


def in_one_script(segment: Segment, config: InferenceConfig) -> Segment:
    """Return a segment that the model wrote, with its text and words in the script of the request.

    The words joined are still the text. Only Chinese changes, and Cantonese if the request has chinese_script.
    """
    if segment.language not in _languages(config):
        return segment
    form = form_of(config)
    if not segment.words:
        return replace(segment, text=convert(segment.text, form))
    words = convert_words([word.word for word in segment.words], form)
    timed = tuple(replace(word, word=new) for word, new in zip(segment.words, words, strict=True))
    return replace(segment, text="".join(words), words=timed)


def convert_words(words: Sequence[str], form: Form) -> list[str]:
    """Return the words of a text in a form. A phrase may be in several words, so all are converted at once."""
    text = convert("".join(words), form)
    ends = accumulate(len(word) for word in words)
    return [text[end - len(word) : end] for word, end in zip(words, ends, strict=True)]


def convert(text: str, form: Form) -> str:
    """Return a text with its Chinese in a form, and all else as it is. Its length stays.

    Without OpenCC, nothing changes.
    """
    to_simplified = converter(_TO_SIMPLIFIED) if form != "unchanged" and not text.isascii() else None
    if to_simplified is None:
        return text
    simplified = to_simplified(text)
    if form == "simplified":
        return simplified
    from_simplified, from_traditional = (converter(name) for name in _TO_TRADITIONAL[form])
    if from_simplified is None or from_traditional is None:
        return text
    # OpenCC expects simplified text: from 干擾, s2tw makes 幹擾. But simplified text says less than traditional text:
    # 发 is 發 and 髮. So the traditional characters that the model wrote are kept.
    places = zip(text, simplified, from_simplified(simplified), from_traditional(text), strict=True)
    return "".join(own if before != plain else new for before, plain, new, own in places)


@lru_cache(maxsize=8192)
def simplified_character(character: str) -> str:
    """Return the simplified form of one character, to compare texts in different scripts."""
    return convert(character, "simplified")


def missing_warnings(transcript: Transcript, config: InferenceConfig) -> tuple[str, ...]:
    """Return a warning if a request says how Chinese is to be written, and OpenCC is not installed."""
    is_asked = config.chinese_script is not None or _form_of_tags(config) is not None
    is_meant = config.align is None and not set(_languages(config)).isdisjoint(transcript.languages)
    if not (is_asked and is_meant) or converter(_TO_SIMPLIFIED) is not None:
        return ()
    return ("Chinese is in the characters that the model wrote: opencc is not installed",)


@cache
def converter(name: str) -> Callable[[str], str] | None:
    """Return OpenCC's conversion of this name; None, with a line in the log, if OpenCC is not installed.

    It is imported here because most requests have no Chinese, and small devices may have no OpenCC.
    """
    try:
        from opencc import OpenCC
    except ImportError:
        logger.warning("Chinese stays in the characters that the model writes: to convert them, pip install opencc")
        return None
    return partial(_convert, OpenCC(name))


def _convert(opencc: Any, text: str) -> str:
    """Return a converted text. Words are cut from it by position, so one of another length is not used.

    No entry of the dictionaries of OpenCC 1.1.9 and 1.4.2 changes the length of a text.
    """
    converted = str(opencc.convert(text))
    return converted if len(converted) == len(text) else text


def _languages(config: InferenceConfig) -> tuple[str, ...]:
    """Return the languages whose text changes."""
    if form_of(config) == "unchanged" or config.task == "translate":
        return ()
    return ("zh", "yue") if config.chinese_script else ("zh",)


def _form_of_tags(config: InferenceConfig) -> Form | None:
    """Return what the tags of a request say about the form; None if they say nothing."""
    tags = [_subtags(tag) for tag in (config.language or "", *config.languages)]
    if set(tags[0]) & _CANTONESE:
        return "unchanged"
    said = (form for first, *rest in tags for subtag, form in _SUBTAGS.items() if first in _CHINESE and subtag in rest)
    return next(said, None)


def _subtags(tag: str) -> list[str]:
    return re.split("[-_]", tag.strip().lower().removeprefix("<|").removesuffix("|>"))
