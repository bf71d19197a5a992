"""Labels: the speakers of words, and the rules that look at the whole sentence of a word.

These rules follow the idea of whisper-diarization (Ashraf, 2023): a sentence usually has one speaker. Its rule, the
majority of each sentence, gives more words a wrong speaker on real conversations than no rule (benchmarks/README.md).
So only single words follow their sentence here.
"""

from collections import Counter
from collections.abc import Iterator, Sequence
from typing import NamedTuple

from transcription.sentences import ends_sentence
from transcription.transcript import Segment, Word

MAX_PAUSE = 1.0  # seconds inside a sentence
MIN_DURATION = 0.02  # seconds: one frame of Whisper


class Label(NamedTuple):
    """The speaker of one word, the confidence (0 to 1), the second speaker, and whether several people talk."""

    speaker: str | None = None
    confidence: float | None = None
    second_speaker: str | None = None
    overlap: bool = False


def follow_sentences(units: Sequence[Word | Segment], labels: Sequence[Label]) -> list[Label]:
    """Return the labels, where single words follow the speaker of more than half of the words of their sentence.

    A lone word, with no other word of its speaker beside it in the sentence, follows, unless it is a turn of its own:
    nobody else talks during it, and the words before and after it have other speakers. A word without duration always
    follows. The confidence of a word that follows is 0.5, and its second speaker is the one whom it had.
    """
    result = list(labels)
    for start, end in _sentences(units):
        counts = Counter(label.speaker for label in labels[start:end])
        main, count = counts.most_common(1)[0]
        if main is None or len(counts) == 1 or 2 * count <= end - start:
            continue
        for index in range(start, end):
            label = labels[index]
            if label.speaker not in (main, None) and _follows(units, labels, index, start, end):
                result[index] = Label(main, 0.5, label.speaker, label.overlap)
    return result


def _sentences(units: Sequence[Word | Segment]) -> Iterator[tuple[int, int]]:
    """Yield the first index of each sentence and the one after its last. A segment without words is alone."""
    start = 0
    for index, unit in enumerate(units, 1):
        following = units[index] if index < len(units) else None
        if (
            not isinstance(unit, Word)
            or not isinstance(following, Word)
            or ends_sentence(unit.word.strip())
            or not following.start - unit.end <= MAX_PAUSE  # true for NaN
        ):
            yield start, index
            start = index


def _follows(units: Sequence[Word | Segment], labels: Sequence[Label], index: int, start: int, end: int) -> bool:
    """Return whether a word takes the speaker of its sentence, which is units[start:end]."""
    unit, speaker = units[index], labels[index].speaker
    if not unit.end - unit.start >= MIN_DURATION:
        return True
    before = labels[index - 1].speaker if index else None
    after = labels[index + 1].speaker if index + 1 < len(labels) else None
    is_lone = (index == start or before != speaker) and (index + 1 == end or after != speaker)
    is_turn = labels[index].confidence == 1 and speaker not in (before, after)
    return is_lone and not is_turn
