import re
from dataclasses import replace

import pytest

from transcription.diarization.assign import assign_speakers
from transcription.formats import FORMATS, clock, cues
from transcription.transcript import Segment, SpeakerTurn, Transcript, Word

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


ASKED = assign_speakers(
    Transcript(
        (
            Segment(
                " Ready? Yes. Good.", 0.0, 3.0,
                (Word(" Ready?", 0.0, 0.8, 0.9), Word(" Yes.", 1.0, 1.4, 0.8), Word(" Good.", 2.0, 3.0, 0.7)),
            ),
        ),
        language="en",
        duration=3.0,
    ),
    [SpeakerTurn("SPEAKER_01", 0.0, 0.9), SpeakerTurn("SPEAKER_00", 0.95, 3.0), SpeakerTurn("SPEAKER_01", 2.0, 2.9)],
)  # fmt: skip
UNTOLD = assign_speakers(TALK, [])


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


def test_chunks_with_speakers() -> None:
    assert FORMATS["chunks"].render(ASKED) == {
        "text": "Ready? Yes. Good.",
        "chunks": [
            {"text": " Ready?", "timestamp": [0.0, 0.8], "speaker": "SPEAKER_01", "confidence": 1.0},
            {"text": " Yes.", "timestamp": [1.0, 1.4], "speaker": "SPEAKER_00", "confidence": 1.0},
            {"text": " Good.", "timestamp": [2.0, 3.0], "speaker": "SPEAKER_00", "confidence": 0.526,
             "second_speaker": "SPEAKER_01", "overlap": True},
        ],
        "speakers": [
            {"speaker": "SPEAKER_01", "text": " Ready?", "timestamp": [0.0, 0.8]},
            {"speaker": "SPEAKER_00", "text": " Yes. Good.", "timestamp": [1.0, 3.0]},
        ],
        "language": "en",
        "duration": 3.0,
        "num_speakers": 2,
    }  # fmt: skip


def test_chunks_are_segments_with_speakers_where_there_are_no_words() -> None:
    document = FORMATS["chunks"].render(replace(UNTOLD, warnings=("nobody was found",)))
    assert isinstance(document, dict)
    assert document["chunks"][0] == {"text": " Hello & <welcome>.", "timestamp": [0.0, 1.25], "speaker": None}
    assert document["speakers"] == [
        {"speaker": None, "text": " Hello & <welcome>. Go --> there.", "timestamp": [0.0, 61.0]}
    ]
    assert (document["num_speakers"], document["warnings"]) == (0, ["nobody was found"])


def test_diarized_json_is_openais() -> None:
    assert FORMATS["diarized_json"].render(ASKED) == {
        "task": "transcribe",
        "duration": 3.0,
        "text": "Ready? Yes. Good.",
        "segments": [
            {"type": "transcript.text.segment", "id": "seg_000", "start": 0.0, "end": 0.8, "text": " Ready?",
             "speaker": "A"},
            {"type": "transcript.text.segment", "id": "seg_001", "start": 1.0, "end": 3.0, "text": " Yes. Good.",
             "speaker": "B"},
        ],
    }  # fmt: skip


def test_letters_go_on_after_z() -> None:
    many = Transcript(tuple(Segment(" a", n, n + 1, speaker=f"S{n}") for n in range(28)), turns=(), duration=28.0)
    document = FORMATS["diarized_json"].render(many)
    assert isinstance(document, dict)
    assert [one["speaker"] for one in document["segments"]][24:] == ["Y", "Z", "AA", "AB"]


def test_rttm_says_who_speaks_when() -> None:
    assert FORMATS["rttm"].render(ASKED) == (
        "SPEAKER audio 1 0.000 0.900 <NA> <NA> SPEAKER_01 <NA> <NA>\n"
        "SPEAKER audio 1 0.950 2.050 <NA> <NA> SPEAKER_00 <NA> <NA>\n"
        "SPEAKER audio 1 2.000 0.900 <NA> <NA> SPEAKER_01 <NA> <NA>\n"
    )


def test_subtitles_name_the_speaker() -> None:
    assert FORMATS["srt"].render(ASKED) == (
        "1\n00:00:00,000 --> 00:00:00,800\nSPEAKER_01: Ready?\n\n"
        "2\n00:00:01,000 --> 00:00:03,000\nSPEAKER_00: Yes. Good.\n"
    )
    assert FORMATS["vtt"].render(ASKED) == (
        "WEBVTT\n"
        "\n00:00:00.000 --> 00:00:00.800\n<v SPEAKER_01>Ready?</v>\n"
        "\n00:00:01.000 --> 00:00:03.000\n<v SPEAKER_00>Yes. Good.</v>\n"
    )


def test_verbose_json_names_the_speaker_of_every_word() -> None:
    document = FORMATS["verbose_json"].render(ASKED)
    assert isinstance(document, dict)
    assert [one["speaker"] for one in document["segments"]] == ["SPEAKER_01", "SPEAKER_00"]
    assert document["words"][2] == {
        "word": "Good.", "start": 2.0, "end": 3.0, "probability": 0.7, "speaker": "SPEAKER_00",
        "confidence": 0.526, "second_speaker": "SPEAKER_01", "overlap": True,
    }  # fmt: skip


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
    "diarized_json": {"task": "transcribe", "duration": 5.0, "text": "", "segments": []},
    "rttm": "",
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
