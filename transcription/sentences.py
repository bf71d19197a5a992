"""Where a sentence may end."""

import re

_SENTENCE_END = re.compile(r"[.!?…。！？｡؟।]+[\"'”’»)\]」』】]*$")
_ABBREVIATION = re.compile(r"\W*(?:\w|\d+|mr|mrs|ms|dr|prof|st|vs|nr)\.", re.IGNORECASE)  # also German ordinals


def ends_sentence(word: str) -> bool:
    """Return whether a sentence may end with a word."""
    return _SENTENCE_END.search(word) is not None and not _ABBREVIATION.fullmatch(word.strip())
