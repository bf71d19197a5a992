import re

import pytest

from formats import FORMATS, clock, cues
from transcript import Segment, Transcript, Word

NOTHING = Transcript(duration=5.0, language="en")
TALK = Transcript(
    segments=(
        Segment(" Hello & <welcome>.", 0.0, 1.25, tokens=(5, 6), avg_logprob=-0.1, compression_ratio=0.9,
                no_speech_prob=0.01),
        Segment(" Go --> there.", 59.9996, 61.0),
    ),
    language="en",
    duration=61.5,
)  # fmt: skip
WORDS = Transcript(
    segments=(Segment(" Good morning.", 0.5, 1.5, (Word(" Good", 0.5, 0.9, 0.75), Word(" morning.", 0.9, 1.5, 0.5))),),
    language="en",
    duration=2.0,
)


def test_chunks_is_the_answer_of_the_endpoint() -> None:
    assert FORMATS["chunks"].render(TALK) == {
        "text": "Hello & <welcome>. Go --> there.",
        "chunks": [
            {"text": " Hello & <welcome>.", "timestamp": [0.0, 1.25]},
            {"text": " Go --> there.", "timestamp": [60.0, 61.0]},
        ],
        "speakers": [],
        "language": "en",
        "duration": 61.5,
    }


def test_chunks_are_words_where_there_are_word_times() -> None:
    document = FORMATS["chunks"].render(WORDS)
    assert isinstance(document, dict)
    assert document["chunks"] == [
        {"text": " Good", "timestamp": [0.5, 0.9]},
        {"text": " morning.", "timestamp": [0.9, 1.5]},
    ]


def test_verbose_json_is_openais() -> None:
    document = FORMATS["verbose_json"].render(WORDS)
    assert document == {
        "task": "transcribe",
        "language": "en",
        "duration": 2.0,
        "text": "Good morning.",
        "segments": [
            {"id": 0, "seek": 50, "start": 0.5, "end": 1.5, "text": " Good morning.", "tokens": [],
             "temperature": 0.0, "avg_logprob": None, "compression_ratio": None, "no_speech_prob": None},
        ],
        "words": [
            {"word": "Good", "start": 0.5, "end": 0.9, "probability": 0.75},
            {"word": "morning.", "start": 0.9, "end": 1.5, "probability": 0.5},
        ],
    }  # fmt: skip


def test_srt_numbers_carries_and_escapes() -> None:
    assert FORMATS["srt"].render(TALK) == (
        "1\n00:00:00,000 --> 00:00:01,250\nHello & <welcome>.\n\n2\n00:01:00,000 --> 00:01:01,000\nGo -> there.\n"
    )


def test_vtt_has_its_header_and_escapes() -> None:
    assert FORMATS["vtt"].render(TALK) == (
        "WEBVTT\n"
        "\n00:00:00.000 --> 00:00:01.250\nHello &amp; &lt;welcome&gt;.\n"
        "\n00:01:00.000 --> 00:01:01.000\nGo --&gt; there.\n"
    )


def test_tsv_is_milliseconds() -> None:
    assert FORMATS["tsv"].render(TALK) == "start\tend\ttext\n0\t1250\tHello & <welcome>.\n60000\t61000\tGo --> there.\n"


SILENT = {
    "chunks": {"text": "", "chunks": [], "speakers": [], "language": "en", "duration": 5.0},
    "json": {"text": ""},
    "text": "",
    "verbose_json": {"task": "transcribe", "language": "en", "duration": 5.0, "text": "", "segments": []},
    "srt": "",
    "vtt": "WEBVTT\n",
    "tsv": "start\tend\ttext\n",
}


@pytest.mark.parametrize("name", FORMATS)
def test_silence_is_a_valid_document(name: str) -> None:
    assert FORMATS[name].render(NOTHING) == SILENT[name]


@pytest.mark.parametrize(
    ("seconds", "shown"),
    [(0.0, "00:00:00,000"), (59.9996, "00:01:00,000"), (3599.9999, "01:00:00,000"), (360_000.5, "100:00:00,500")],
)
def test_clock_rounds_before_it_carries(seconds: float, shown: str) -> None:
    assert clock(seconds, ",") == shown


def test_long_segments_become_cues_of_two_short_lines_and_lose_no_word() -> None:
    text = " ".join(f"word{number}" for number in range(60))
    shown = list(cues(Transcript((Segment(text, 10.0, 40.0),), duration=50.0)))
    assert all(len(cue.lines) <= 2 and all(len(line) <= 42 for line in cue.lines) for cue in shown)
    assert " ".join(line for cue in shown for line in cue.lines) == text
    assert [cue.start for cue in shown] == [10.0, *(cue.end for cue in shown[:-1])]
    assert shown[-1].end == pytest.approx(40.0)


def test_long_segments_with_word_times_are_cut_at_those_times() -> None:
    words = tuple(Word(f" word{number:02}", number, number + 0.5) for number in range(20))
    shown = list(cues(Transcript((Segment("".join(w.word for w in words), 0.0, 20.0, words),), duration=20.0)))
    for cue in shown:
        said = [int(number) for number in re.findall(r"word(\d+)", " ".join(cue.lines))]
        assert (cue.start, cue.end) == (said[0], said[-1] + 0.5)
