"""Where cues and lines break, and when cues begin and end."""

from dataclasses import replace
from typing import Any

import pytest

from tests.subtitle_files import letters, talk, timed
from transcription.config import InferenceConfig
from transcription.formats.cues import cues
from transcription.transcript import Segment, Transcript, Word

RULES = InferenceConfig()
CHINESE = "桥下垂直净空十五米，该项目于二零一一年八月完工。但直到二零一七年三月才开始通车，这是一个很长的等待。"


def texts(transcript: Transcript, **parameters: Any) -> list[tuple[str, ...]]:
    return [cue.texts for cue in cues(transcript, InferenceConfig(**parameters))]


def times(transcript: Transcript, **parameters: Any) -> list[tuple[float, float]]:
    return [(cue.start, cue.end) for cue in cues(transcript, InferenceConfig(**parameters))]


def test_a_cue_ends_at_the_end_of_a_sentence() -> None:
    first, second = "This is what everybody said about the house.", "Nobody wanted to go there in the winter."
    assert [" ".join(lines) for lines in texts(talk(timed(f"{first} {second}")))] == [first, second]


def test_two_short_sentences_share_a_cue() -> None:
    assert texts(talk(timed("Yes. Good."))) == [("Yes. Good.",)]


def test_an_abbreviation_or_a_number_does_not_end_a_sentence() -> None:
    text = "We will all meet Dr. Smith at the old station on the 5. May and then go home."
    assert [lines for lines in texts(talk(timed(text))) if lines[-1].endswith(("Dr.", "5."))] == []


def test_a_long_sentence_ends_at_a_comma_or_before_a_conjunction() -> None:
    comma = "When the rain had stopped for the second time that day, they walked home along the river in silence"
    assert texts(talk(timed(comma, seconds=0.25)))[0][-1].endswith("that day,")
    conjunction = comma.replace(", they", " because they")
    assert texts(talk(timed(conjunction, seconds=0.25)))[1][0].startswith("because they")


def test_lines_break_at_commas_too() -> None:
    assert texts(talk(timed("When the rain had stopped, they all walked home again"))) == [
        ("When the rain had stopped,", "they all walked home again")
    ]


def test_a_pause_of_more_than_two_seconds_ends_a_cue() -> None:
    assert times(talk(timed("one two", seconds=1.0, pause=2.1))) == [(0.0, 1.0), (3.1, 4.1)]
    assert times(talk(timed("one two", seconds=1.0, pause=1.9))) == [(0.0, 3.9)]


def test_segments_of_a_sentence_share_a_cue_but_not_those_of_two_speakers() -> None:
    one, two = Segment(" and", 0.0, 0.3), Segment(" then we went", 0.3, 1.5)
    assert texts(talk(one, two)) == [("and then we went",)]
    assert len(texts(talk(replace(one, speaker="A"), replace(two, speaker="B")))) == 2


def test_a_cue_stays_for_the_minimum_and_the_reading_speed_but_not_into_the_next() -> None:
    assert times(talk(timed("Yes.", 5.0, 0.2))) == [(5.0, 5.8)]
    assert times(talk(timed("Incomprehensibilities,", 5.0, 0.2)), max_chars_per_s=11) == [(5.0, 7.0)]
    parts = talk(timed("Incomprehensibilities,", 5.0, 0.2), timed("yes.", 7.3, 0.8))
    assert times(parts, max_chars_per_s=2) == [(5.0, 7.22), (7.3, 9.3)]


def test_a_short_cue_before_another_speaker_delays_the_next_a_little() -> None:
    first, second = replace(timed("Yes.", 5.0, 0.5), speaker="A"), replace(timed("Good!", 5.5, 2.0), speaker="B")
    assert times(talk(first, second)) == [(5.0, 5.8), (5.88, 7.5)]


def test_a_word_that_lasts_too_long_does_not_stay() -> None:
    assert times(talk(timed("Well", 1.0, 20.0))) == [(1.0, 8.0)]


def test_times_are_those_of_the_words_although_a_word_has_a_hyphen() -> None:
    """Regression: a line that was broken at a hyphen moved all later cues of a segment by 10 s."""
    words = ["the", "state-of-the-art", "well-known", "machine", "of", "the", "old", "man", "stood", "still"] * 4
    spoken = tuple(Word(f" {word}", number, number + 0.9) for number, word in enumerate(words))
    segment = Segment(" " + " ".join(words), 0.0, 60.0, spoken)
    starts = {piece.start for cue in cues(talk(segment), RULES) for piece in cue.lines[0][:1]}
    assert starts == {cue.start for cue in cues(talk(segment), RULES)} <= set(map(float, range(len(words))))
    assert not any(line.endswith("-") for lines in texts(talk(segment)) for line in lines)


def test_without_word_times_a_cue_has_its_share_of_the_characters() -> None:
    """Regression: Chinese has no spaces, so that each line counted as one word."""
    found = cues(talk(Segment(CHINESE, 10.0, 30.0), language="zh"), RULES)
    share = 20.0 / len(CHINESE)
    before = 0
    for cue in found:
        assert cue.start == pytest.approx(10.0 + share * before, abs=0.001)
        before += len(letters("".join(cue.texts)))
    assert len(found) > 1


def test_a_line_has_21_full_width_characters_and_begins_with_no_punctuation() -> None:
    found = texts(talk(Segment(CHINESE, 10.0, 23.0), language="zh"))
    lines = [line for cue in found for line in cue]
    assert max(map(len, lines)) <= 21
    assert [line for line in lines if line[0] in "，。"] == []
    assert found[0][-1].endswith("完工。")


def test_korean_lines_break_at_spaces() -> None:
    text = "나는 어제 친구와 함께 시장에 가서 맛있는 사과를 많이 샀습니다 그리고 집에 돌아왔습니다"
    lines = [line for cue in texts(talk(Segment(f" {text}", 0.0, 9.0), language="ko")) for line in cue]
    assert " ".join(lines) == text


def test_a_word_wider_than_a_line_is_divided() -> None:
    assert texts(talk(timed("x" * 20)), max_line_width=8, max_line_count=3) == [("xxxxxxxx", "xxxxxxxx", "xxxx")]


def test_chinese_segments_without_punctuation_have_a_space_between_them() -> None:
    assert texts(talk(Segment("敲下垂直", 0.0, 1.0), Segment("该项目", 1.0, 2.0), language="zh")) == [
        ("敲下垂直 该项目",)
    ]


def test_japanese_lines_break_where_a_phrase_ends() -> None:
    segment = Segment("内部関係者と思われる人物と復興契約を変わした", 0.0, 4.0)
    assert texts(talk(segment, language="ja")) == [("内部関係者と思われる", "人物と復興契約を変わした")]


def test_words_per_line_and_line_count_are_limits() -> None:
    assert texts(talk(timed("a b c d e f g")), max_words_per_line=2, max_line_count=1) == [
        ("a b",), ("c d",), ("e f",), ("g",)
    ]  # fmt: skip
