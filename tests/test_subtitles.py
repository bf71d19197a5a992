"""Subtitles keep the rules, for all transcripts and parameters; highlighted words and karaoke."""

import re
from dataclasses import replace
from itertools import pairwise
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.conftest import SAMPLES
from tests.subtitle_files import READERS, karaoke, problems, read_ass, read_srt, read_vtt, talk, timed
from transcription.config import InferenceConfig
from transcription.formats import FORMATS, SUBTITLE_PARAMETERS
from transcription.formats.cues import MAX_PAUSE, cues
from transcription.formats.subtitles import clock
from transcription.transcript import Segment, Transcript, Word

RULES = InferenceConfig()
SUBTITLES = [name for name, row in FORMATS.items() if row.is_subtitle]


def wrong(name: str, transcript: Transcript, config: InferenceConfig = RULES) -> list[str]:
    """Return what is wrong with a transcript in a format."""
    silent = replace(transcript, segments=tuple(replace(one, speaker=None) for one in transcript.segments))
    document = FORMATS[name].render(silent, config)
    assert isinstance(document, str)
    return list(problems(READERS[name](document), transcript.text, config))


def true_transcript(name: str, with_words: bool) -> Transcript:
    """Return the true transcript of a sample recording."""
    truth, made = SAMPLES[name].truth, []
    words = iter(truth.get("words", ()))
    for start, end, text in truth["segments"]:
        spoken = [(token, next(words)) for token in text.split()]
        timed_words = tuple(Word(f" {token}", word["start"], word["end"]) for token, word in spoken)
        made.append(Segment(f" {text}", start, end, timed_words if with_words else ()))
    return Transcript(tuple(made), language=truth["language"], duration=truth["duration"])


@pytest.mark.parametrize("format_name", SUBTITLES)
@pytest.mark.parametrize("name", sorted({*SAMPLES} - {"call", "discussion"}))  # people talk at the same time in those
@pytest.mark.parametrize("with_words", [False, True])
def test_subtitles_of_the_samples_keep_the_rules(format_name: str, name: str, with_words: bool) -> None:
    assert wrong(format_name, true_transcript(name, with_words)) == []


@pytest.mark.parametrize("name", ["call", "discussion"])
def test_cues_of_people_who_talk_at_the_same_time_do_not_overlap(name: str) -> None:
    document = FORMATS["srt"].render(true_transcript(name, True))
    assert isinstance(document, str)
    found = [problem for problem in problems(read_srt(document), "", RULES) if not problem.startswith("text")]
    assert found == []


ALPHABET = st.text(
    st.sampled_from("abcXYZéß19.,?!-–'\"&<>{}\\NkÀ漢字，。「」ーっカ한국ไทย😀\u0301"), min_size=1, max_size=30
)


@st.composite
def segments(draw: st.DrawFn) -> Transcript:
    """Make segments in order of time, some with words, some without, some with words that do not spell the text."""
    now, made = 0.0, []
    for _ in range(draw(st.integers(0, 6))):
        now += draw(st.sampled_from([0.0, 0.02, 0.3, 1.9, 2.5, 30.0]))
        start, words = now, []
        for text in draw(st.lists(ALPHABET, min_size=1, max_size=12)):
            end = now + draw(st.sampled_from([0.0, 0.02, 0.2, 0.5, 3.0, 12.0]))
            words.append(Word(draw(st.sampled_from(["", " ", "  "])) + text, now, end))
            now = end + draw(st.sampled_from([0.0, 0.0, 0.4, 1.0, 2.5]))
        text = "".join(word.word for word in words)
        known = draw(st.sampled_from([(), tuple(words), tuple(words[1:])]))
        made.append(Segment(text, start, max(now, start + 0.02), known))
    return Transcript(tuple(made), language=draw(st.sampled_from(["en", "zh", "de", None])), duration=now)


CONFIGS = st.builds(
    InferenceConfig,
    max_line_width=st.sampled_from([8, 21, 42]),
    max_line_count=st.integers(1, 3),
    max_words_per_line=st.sampled_from([None, 1, 3]),
    cue_gap_ms=st.sampled_from([0, 80, 500]),
    max_cue_s=st.sampled_from([2.0, 7.0]),
)


@given(segments(), CONFIGS, st.sampled_from(SUBTITLES))
def test_any_subtitles_keep_the_rules(transcript: Transcript, config: InferenceConfig, name: str) -> None:
    assert wrong(name, transcript, config) == []


@settings(max_examples=40)
@given(segments(), CONFIGS)
def test_no_cue_bridges_a_long_pause_or_begins_before_its_words(
    transcript: Transcript, config: InferenceConfig
) -> None:
    for cue in cues(transcript, config):
        pieces = [piece for line in cue.lines for piece in line]
        assert all(after.start - before.end <= MAX_PAUSE for before, after in pairwise(pieces))
        assert cue.start >= pieces[0].start - 0.001
        assert all(len(line) <= (config.max_words_per_line or 100) for line in cue.lines)


@settings(max_examples=40)
@given(segments())
def test_highlighted_words_change_no_text_and_no_time(transcript: Transcript) -> None:
    for name in ("srt", "vtt"):
        read, highlighting = READERS[name], InferenceConfig(highlight_words=True)
        document, plain = FORMATS[name].render(transcript, highlighting), FORMATS[name].render(transcript)
        assert isinstance(document, str)
        assert isinstance(plain, str)
        shown = read(re.sub(r"</?u>", "", document))
        assert all(one.start < one.end <= after.start for one, after in pairwise(shown))
        assert {one.lines for one in shown} == {one.lines for one in read(plain)}
        assert sum(one.end - one.start for one in shown) == sum(one.end - one.start for one in read(plain))


def test_silence_has_no_cues() -> None:
    assert cues(Transcript(duration=5.0), RULES) == []
    assert cues(talk(Segment("  ", 0.0, 1.0)), RULES) == []


@pytest.mark.parametrize(
    ("seconds", "expected"),
    [(0.0, "00:00:00,000"), (59.9996, "00:01:00,000"), (3599.9999, "01:00:00,000"), (360_000.5, "100:00:00,500")],
)
def test_clock_rounds_before_it_carries(seconds: float, expected: str) -> None:
    assert clock(seconds, ",") == expected


def test_every_subtitle_parameter_changes_a_subtitle() -> None:
    spoken = talk(
        *(
            timed(f"Number {number} is a long one, then comes a pause and the next.", number * 4.8)
            for number in range(5)
        )
    )
    spoken = replace(spoken, segments=(*spoken.segments, timed("Yes.", 40.0, 0.1)), duration=50.0)
    values = {
        "max_line_width": 20, "max_line_count": 1, "max_words_per_line": 2, "highlight_words": True, "min_cue_s": 2.0,
        "max_cue_s": 1.0, "max_chars_per_s": 1.0, "cue_gap_ms": 500,
    }  # fmt: skip
    assert set(values) == SUBTITLE_PARAMETERS
    plain = FORMATS["srt"].render(spoken)
    assert [name for name, value in values.items() if render(spoken, **{name: value}) == plain] == []


def render(transcript: Transcript, **parameters: Any) -> str:
    return str(FORMATS["srt"].render(transcript, InferenceConfig(**parameters)))


PHRASE = talk(Segment(" Good day.", 1.0, 3.0, (Word(" Good", 1.0, 1.5), Word(" day.", 2.0, 3.0))))


def test_highlighted_words_are_underlined_while_they_are_spoken() -> None:
    assert FORMATS["srt"].render(PHRASE, InferenceConfig(highlight_words=True)) == (
        "1\n00:00:01,000 --> 00:00:01,500\n<u>Good</u> day.\n\n"
        "2\n00:00:01,500 --> 00:00:02,000\nGood day.\n\n"
        "3\n00:00:02,000 --> 00:00:03,000\nGood <u>day.</u>\n"
    )


def test_ass_has_the_time_until_the_next_word() -> None:
    document = FORMATS["ass"].render(PHRASE)
    assert isinstance(document, str)
    assert karaoke(document) == [[(100, "Good"), (100, "day.")]]
    assert document.endswith("Dialogue: 0,0:00:01.00,0:00:03.00,Default,,0,0,0,,{\\k100}Good {\\k100}day.\n")


def test_ass_names_the_speaker_and_has_no_commands_in_the_text() -> None:
    spoken = replace(timed(r"{\b1} C:\New", 1.0, 1.0), speaker="Smith, Ada")
    document = FORMATS["ass"].render(talk(spoken))
    assert isinstance(document, str)
    assert [(one.speaker, one.lines) for one in read_ass(document)] == [("Smith Ada", (r"{\b1} C:\New",))]


@settings(max_examples=40)
@given(segments())
def test_karaoke_times_fill_at_most_the_cue(transcript: Transcript) -> None:
    document = FORMATS["ass"].render(transcript)
    assert isinstance(document, str)
    for shown, words in zip(read_ass(document), karaoke(document), strict=True):
        assert sum(length for length, _ in words) * 10 <= shown.end - shown.start


def test_vtt_marks_inside_a_voice() -> None:
    spoken = replace(timed("A<b", 1.0, 1.0), speaker="Ada")
    document = FORMATS["vtt"].render(talk(spoken), InferenceConfig(highlight_words=True))
    assert document == "WEBVTT\n\n00:00:01.000 --> 00:00:02.000\n<v Ada><u>A&lt;b</u></v>\n"
    assert read_vtt(document)[0].speaker == "Ada"
