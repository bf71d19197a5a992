"""How well the probabilities of words tell which words are right."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from benchmarks.speech.recordings import GROUPS, Recording
from benchmarks.speech.report import table
from benchmarks.speech.results import Hypothesis, Result
from benchmarks.speech.scoring import equal_positions, split_units

BINS = 10
CHECKED = (0.05, 0.1, 0.2)
"""Shares of the words, the least probable ones, that a person checks."""


@dataclass(frozen=True)
class ScoredWord:
    """A word that was written. is_right: it stands at this place in the truth."""

    probability: float
    is_right: bool


def scored_words(recording: Recording, hypothesis: Hypothesis) -> list[ScoredWord]:
    """Return the normalised words of a hypothesis.

    Empty without probabilities, without a truth, if several people talk at the same time, and if characters count.
    """
    is_scored = recording.text is not None and not recording.utterances and recording.unit == "words"
    if not is_scored or recording.group == "no-speech" or not hypothesis.probabilities:
        return []
    language = recording.language or "en"
    units = [
        (unit, probability)
        for (word, _, _), probability in zip(hypothesis.words, hypothesis.probabilities, strict=True)
        for unit in split_units(word, language, "words")
    ]
    truth = split_units(recording.text or "", language, "words")
    right = {position for _, position in equal_positions(truth, [unit for unit, _ in units])}
    return [ScoredWord(probability, index in right) for index, (_, probability) in enumerate(units)]


def calibration_error(words: Sequence[ScoredWord]) -> float:
    """Return the expected calibration error; 0 without words.

    It is the mean distance, in bins of equal width, of the probability from the share of right words.
    """
    bins: dict[int, list[ScoredWord]] = {}
    for word in words:
        bins.setdefault(min(int(word.probability * BINS), BINS - 1), []).append(word)
    distance = sum(abs(sum(word.probability - word.is_right for word in some)) for some in bins.values())
    return distance / len(words) if words else 0.0


def errors_found(words: Sequence[ScoredWord], share: float) -> float:
    """Return the share of wrong words that are among the least probable words; 1 if no word is wrong."""
    wrong = sum(not word.is_right for word in words)
    checked = sorted(words, key=lambda word: word.probability)[: round(share * len(words))]
    return sum(not word.is_right for word in checked) / wrong if wrong else 1.0


def confidence_report(
    recordings: Iterable[Recording], results: Mapping[tuple[str, str], Result], names: Sequence[str]
) -> str:
    """Return a Markdown table with a row for each contender and group."""
    recordings = list(recordings)
    rows: dict[str, list[str]] = {}
    for name in names:
        by_group = {
            group: [
                word
                for recording in recordings
                if recording.group == group
                for word in scored_words(recording, results[name, recording.file].hypothesis)
            ]
            for group in GROUPS
        }
        rows[name] = _cells([word for words in by_group.values() for word in words])
        rows |= {f"{name}: {GROUPS[group][0]}": _cells(words) for group, words in by_group.items() if words}
    found = [f"wrong words found in {share:.0%}" for share in CHECKED]
    return table(["confidence", "words", "wrong", "calibration error", *found], rows)


def _cells(words: Sequence[ScoredWord]) -> list[str]:
    found = [f"{errors_found(words, share):.0%}" if words else "–" for share in CHECKED]
    return [str(len(words)), str(sum(not word.is_right for word in words)), f"{calibration_error(words):.1%}", *found]
