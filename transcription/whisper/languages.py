"""The language codes of Whisper, for the tags and names that requests send."""

from collections.abc import Collection

from transformers.models.whisper.tokenization_whisper import TO_LANGUAGE_CODE

_OTHER_CODES = {
    "cmn": "zh", "fil": "tl", "in": "id", "iw": "he", "ji": "yi", "jv": "jw", "mo": "ro", "nb": "no", "yue": "zh",
}  # fmt: skip
"""Codes that Whisper's vocabulary has not, or writes differently."""


def language_code(language: str, known: Collection[str]) -> str:
    """Return the code of a language in `known`, or what was sent in lower case if there is none.

    language: a code (de), a tag (pt-BR, zh_TW), an English name in any case (German), or Whisper's token (<|de|>).
    """
    name = language.strip().lower()
    name = name.removeprefix("<|").removesuffix("|>")
    first = name.replace("_", "-").split("-")[0].strip()
    for candidate in (name, first):
        code: str = TO_LANGUAGE_CODE.get(candidate, candidate)
        code = code if code in known else _OTHER_CODES.get(code, code)
        if code in known:
            return code
    return name
