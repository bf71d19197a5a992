"""Pure functions from truth and hypothesis to counts."""

import importlib.util
import json
import logging
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import jiwer

from benchmarks.speech.recordings import Recording, Turn, Unit

logging.getLogger("preprocess").setLevel(logging.ERROR)  # meeteval: utterances have no times

_CJK = r"[\u3040-\u30ff\u3400-\u4dbf\u4e00-\u9fff\uac00-\ud7af]"
_MIXED = re.compile(rf"{_CJK}|(?:(?!{_CJK})\S)+")


@dataclass(frozen=True)
class Errors:
    """Counts of words, or of characters."""

    hits: int = 0
    substitutions: int = 0
    insertions: int = 0
    deletions: int = 0

    def __add__(self, other: "Errors") -> "Errors":
        return Errors(
            self.hits + other.hits, self.substitutions + other.substitutions,
            self.insertions + other.insertions, self.deletions + other.deletions,
        )  # fmt: skip

    @property
    def length(self) -> int:
        """Length of the truth."""
        return self.hits + self.substitutions + self.deletions

    @property
    def rate(self) -> float | None:
        """The word or character error rate; None for an empty truth."""
        wrong = self.substitutions + self.insertions + self.deletions
        return wrong / self.length if self.length else None

    @property
    def invented(self) -> int:
        """Words that are not in the truth."""
        return self.substitutions + self.insertions


def normalize(text: str, language: str) -> str:
    """Return the text as openai/whisper's evaluation compares it (whisper.normalizers)."""
    english, basic = _normalizers()
    return str((english if language == "en" else basic)(text))


@cache
def _normalizers() -> tuple[Any, Any]:
    from transformers.models.whisper.english_normalizer import BasicTextNormalizer, EnglishTextNormalizer

    return EnglishTextNormalizer(british_spellings()), BasicTextNormalizer()


@cache
def british_spellings() -> dict[str, str]:
    """Return American spellings of British words: openai-whisper's table; empty if it is not installed."""
    package = importlib.util.find_spec("whisper")
    if package is None or package.origin is None:
        return {}
    spellings: dict[str, str] = json.loads((Path(package.origin).parent / "normalizers" / "english.json").read_text())
    return spellings


def split_units(text: str, language: str, unit: Unit) -> list[str]:
    """Return the normalised words or characters of a text."""
    normalized = normalize(text, language)
    if unit == "characters":
        return [character for character in normalized if not character.isspace()]
    return _MIXED.findall(normalized) if unit == "mixed" else normalized.split()


def edit_errors(truth: Sequence[str], hypothesis: Sequence[str]) -> Errors:
    """Count the errors of the best alignment."""
    counts = jiwer.process_words(" ".join(truth), " ".join(hypothesis))
    return Errors(counts.hits, counts.substitutions, counts.insertions, counts.deletions)


def recording_errors(recording: Recording, text: str) -> Errors | None:
    """Count the errors in what was written of a recording; None if its truth is unknown."""
    if recording.text is None:
        return None
    hypothesis = split_units(text, recording.language or "en", recording.unit)
    if recording.utterances:
        return overlap_errors(recording.utterances, hypothesis)
    return edit_errors(split_units(recording.text, recording.language or "en", recording.unit), hypothesis)


def overlap_errors(utterances: Sequence[Turn], hypothesis: Sequence[str]) -> Errors:
    """Count errors where several people talk at the same time: the MIMO word error rate of meeteval.

    Utterances of different speakers may come in any order, utterances of one speaker keep theirs.
    """
    speakers: dict[str, list[str]] = {}
    for utterance in utterances:
        if words := normalize(utterance.text, "en"):
            speakers.setdefault(utterance.speaker, []).append(words)
    if not speakers or not hypothesis:
        return edit_errors(" ".join(text for texts in speakers.values() for text in texts).split(), hypothesis)
    from meeteval.wer.wer.mimo import mimo_word_error_rate

    counts = mimo_word_error_rate(list(speakers.values()), [" ".join(hypothesis)])
    hits = counts.length - counts.substitutions - counts.deletions
    return Errors(hits, counts.substitutions, counts.insertions, counts.deletions)


def turn_start_errors(
    turns: Sequence[Turn], words: Sequence[tuple[str, float, float]], language: str
) -> list[float | None]:
    """Return, for each turn, seconds from its known start to the start of its first word.

    None if the first word was not recognised.
    """
    truth = [(word, number if not at else None) for number, turn in enumerate(turns)
             for at, word in enumerate(split_units(turn.text, language, "words"))]  # fmt: skip
    timed = [(unit, start) for word, start, _ in words for unit in split_units(word, language, "words")]
    errors: list[float | None] = [None] * len(turns)
    for reference, hypothesis in equal_positions([word for word, _ in truth], [word for word, _ in timed]):
        turn = truth[reference][1]
        if turn is not None:
            errors[turn] = timed[hypothesis][1] - turns[turn].start
    return errors


def equal_positions(truth: Sequence[str], hypothesis: Sequence[str]) -> Iterator[tuple[int, int]]:
    """Yield the positions of words that the best alignment finds equal."""
    for chunk in jiwer.process_words(" ".join(truth), " ".join(hypothesis)).alignments[0]:
        if chunk.type == "equal":
            yield from zip(
                range(chunk.ref_start_idx, chunk.ref_end_idx), range(chunk.hyp_start_idx, chunk.hyp_end_idx),
                strict=True,
            )  # fmt: skip
