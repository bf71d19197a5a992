"""The probability of a word, and the report that says what it is worth."""

import pytest

from benchmarks.speech.confidence import (
    ScoredWord,
    calibration_error,
    confidence_report,
    errors_found,
    scored_words,
)
from benchmarks.speech.recordings import Recording, Turn
from benchmarks.speech.results import Hypothesis, Result
from tests.test_speech_benchmark import recording
from transcription.whisper.confidence import word_probability

WORDS = Hypothesis("Red, blue.", "en", ((" Red,", 0.0, 0.5), (" blue.", 0.5, 1.0)), (0.9, 0.4))


@pytest.mark.parametrize(
    ("probabilities", "tokens", "probability"),
    [
        ([1.0], [b" red"], 1.0),
        ([0.5], [b" red"], 0.5**0.6),
        ([0.5, 0.8], [b" r", b"ed"], 0.4**0.6),
        ([0.5, 0.1], [b" red", b"."], 0.5**0.6),
        ([0.1, 0.5], [b" ", b"%"], 0.05**0.6),
        ([0.5, 0.5], [b"\xe7\xba", b"\xa2"], 0.25**0.6),
        ([0.0], [b" red"], 0.0),
    ],
)
def test_a_word_is_as_probable_as_its_tokens_without_punctuation(
    probabilities: list[float], tokens: list[bytes], probability: float
) -> None:
    assert word_probability(probabilities, tokens) == pytest.approx(probability)


def test_a_written_word_is_right_if_it_stands_in_the_truth() -> None:
    assert scored_words(recording(), WORDS) == [ScoredWord(0.9, True), ScoredWord(0.4, False)]


@pytest.mark.parametrize(
    "other",
    [
        recording(text=None), recording(group="characters", language="zh"), recording(group="no-speech", text=""),
        recording(utterances=(Turn("A", 0.0, "red"),)),
    ],
)  # fmt: skip
def test_only_words_with_a_known_place_in_the_truth_are_scored(other: Recording) -> None:
    assert scored_words(other, WORDS) == scored_words(recording(), Hypothesis("Red")) == []


def test_calibration_error_is_the_distance_of_probabilities_from_the_share_of_right_words() -> None:
    assert calibration_error([]) == 0.0
    assert calibration_error([ScoredWord(1.0, True), ScoredWord(0.0, False)]) == 0.0
    assert calibration_error([ScoredWord(0.75, True), ScoredWord(0.75, False)]) == pytest.approx(0.25)
    assert calibration_error([ScoredWord(0.75, True), ScoredWord(0.25, False)]) == pytest.approx(0.25)


def test_wrong_words_are_found_among_the_least_probable_words() -> None:
    words = [ScoredWord(0.9, True), ScoredWord(0.1, False), ScoredWord(0.8, False), ScoredWord(0.2, True)]
    assert [errors_found(words, share) for share in (0.25, 0.5, 0.75)] == [0.5, 0.5, 1.0]
    assert errors_found([], 0.5) == 1.0


def test_reports_confidence_by_contender_and_group() -> None:
    result = Result("ours", "a.wav", 1.0, 2.0, WORDS)
    assert confidence_report([recording()], {result.key: result}, ["ours"]).splitlines()[2:] == [
        "| ours | 2 | 1 | 25.0% | 0% | 0% | 0% |",
        "| ours: clean English | 2 | 1 | 25.0% | 0% | 0% | 0% |",
    ]
    assert confidence_report([], {}, ["ours"]).splitlines()[2:] == ["| ours | 0 | 0 | 0.0% | – | – | – |"]
