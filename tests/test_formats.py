"""Transcripts in every format."""

from collections.abc import Mapping
from dataclasses import replace

import pytest
from pydantic import TypeAdapter

from transcription.config import InferenceConfig
from transcription.diarization.assign import assign_speakers
from transcription.formats import FORMATS, formats_of
from transcription.transcript import CoverageInterval, Segment, SpeakerTurn, Transcript, Word

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


DIALOGUE = assign_speakers(
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
UNKNOWN = assign_speakers(TALK, [])


def test_chunks_are_segments_with_timestamps() -> None:
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


def test_chunks_are_words_if_words_are_timed() -> None:
    document = FORMATS["chunks"].render(WORDS)
    assert isinstance(document, Mapping)
    assert document["chunks"] == [
        {"text": " Good", "timestamp": [0.5, 0.9]},
        {"text": " morning.", "timestamp": [0.9, 1.5]},
    ]


def test_chunks_have_speakers() -> None:
    assert FORMATS["chunks"].render(DIALOGUE) == {
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


def test_chunks_without_words_are_segments_with_speakers() -> None:
    document = FORMATS["chunks"].render(replace(UNKNOWN, warnings=("no speaker was found",)))
    assert isinstance(document, Mapping)
    assert document["chunks"][0] == {"text": " Hello & <welcome>.", "timestamp": [0.0, 1.25], "speaker": None}
    assert document["speakers"] == [
        {"speaker": None, "text": " Hello & <welcome>. Go --> there.", "timestamp": [0.0, 61.0]}
    ]
    assert (document["num_speakers"], document["warnings"]) == (0, ["no speaker was found"])


def test_verbose_documents_account_for_every_second() -> None:
    parts = (CoverageInterval(0.0, 1.25, "transcribed"), CoverageInterval(1.25, 5.0, "silent"))
    tiny = CoverageInterval(5.0, 5.0001, "uncertain")
    transcript = replace(NOTHING, coverage=(*parts, tiny))
    entries = [
        {"start": 0.0, "end": 1.25, "kind": "transcribed"},
        {"start": 1.25, "end": 5.0, "kind": "silent"},
    ]
    for name, row in FORMATS.items():
        document = row.render(transcript)
        expected = entries if name in ("chunks", "verbose_json") else None
        assert (document.get("coverage") if isinstance(document, Mapping) else None) == expected


def test_diarized_json_has_the_shape_of_openai() -> None:
    assert FORMATS["diarized_json"].render(DIALOGUE) == {
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


def test_speaker_letters_continue_after_z_with_aa() -> None:
    many = Transcript(tuple(Segment(" a", n, n + 1, speaker=f"S{n}") for n in range(28)), turns=(), duration=28.0)
    document = FORMATS["diarized_json"].render(many)
    assert isinstance(document, Mapping)
    assert [segment["speaker"] for segment in document["segments"]][24:] == ["Y", "Z", "AA", "AB"]


def test_rttm_has_a_line_for_each_turn() -> None:
    assert FORMATS["rttm"].render(DIALOGUE) == (
        "SPEAKER audio 1 0.000 0.900 <NA> <NA> SPEAKER_01 <NA> <NA>\n"
        "SPEAKER audio 1 0.950 2.050 <NA> <NA> SPEAKER_00 <NA> <NA>\n"
        "SPEAKER audio 1 2.000 0.900 <NA> <NA> SPEAKER_01 <NA> <NA>\n"
    )


def test_subtitles_name_the_speaker() -> None:
    assert FORMATS["srt"].render(DIALOGUE) == (
        "1\n00:00:00,000 --> 00:00:00,800\nSPEAKER_01: Ready?\n\n"
        "2\n00:00:01,000 --> 00:00:03,000\nSPEAKER_00: Yes. Good.\n"
    )
    assert FORMATS["vtt"].render(DIALOGUE) == (
        "WEBVTT\n"
        "\n00:00:00.000 --> 00:00:00.800\n<v SPEAKER_01>Ready?</v>\n"
        "\n00:00:01.000 --> 00:00:03.000\n<v SPEAKER_00>Yes. Good.</v>\n"
    )


def test_verbose_json_has_a_speaker_for_each_segment_and_word() -> None:
    document = FORMATS["verbose_json"].render(DIALOGUE)
    assert isinstance(document, Mapping)
    assert [segment["speaker"] for segment in document["segments"]] == ["SPEAKER_01", "SPEAKER_00"]
    assert document["words"][2] == {
        "word": "Good.", "start": 2.0, "end": 3.0, "probability": 0.7, "speaker": "SPEAKER_00",
        "confidence": 0.526, "second_speaker": "SPEAKER_01", "overlap": True,
    }  # fmt: skip


def test_verbose_json_has_the_shape_of_openai() -> None:
    document = FORMATS["verbose_json"].render(WORDS)
    assert document == {
        "task": "transcribe",
        "language": "en",
        "duration": 2.0,
        "text": "Good morning.",
        "segments": [
            {"id": 0, "seek": 50, "start": 0.5, "end": 1.5, "text": " Good morning.", "tokens": [],
             "temperature": 0.0, "avg_logprob": 0.0, "compression_ratio": 0.0, "no_speech_prob": 0.0},
        ],
        "words": [
            {"word": "Good", "start": 0.5, "end": 0.9, "probability": 0.75},
            {"word": "morning.", "start": 0.9, "end": 1.5, "probability": 0.5},
        ],
    }  # fmt: skip


def test_srt_numbers_cues_and_escapes_arrows() -> None:
    assert FORMATS["srt"].render(TALK) == (
        "1\n00:00:00,000 --> 00:00:01,250\nHello & <welcome>.\n\n2\n00:01:00,000 --> 00:01:01,000\nGo -> there.\n"
    )


def test_vtt_has_a_header_and_escapes_markup() -> None:
    assert FORMATS["vtt"].render(TALK) == (
        "WEBVTT\n"
        "\n00:00:00.000 --> 00:00:01.250\nHello &amp; &lt;welcome&gt;.\n"
        "\n00:01:00.000 --> 00:01:01.000\nGo --&gt; there.\n"
    )


def test_tsv_times_are_milliseconds() -> None:
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
    "ass": FORMATS["ass"].render(Transcript()),
}


@pytest.mark.parametrize("name", FORMATS)
def test_silence_is_a_valid_document(name: str) -> None:
    assert FORMATS[name].render(NOTHING) == SILENT[name]


@pytest.mark.parametrize("name", FORMATS)
@pytest.mark.parametrize("transcript", [NOTHING, TALK, WORDS, DIALOGUE, UNKNOWN])
def test_document_has_the_documented_type(name: str, transcript: Transcript) -> None:
    row = FORMATS[name]
    document = row.render(replace(transcript, partial=True, warnings=("speakers are missing",)))
    assert TypeAdapter(row.document).validate_python(document, strict=True) == document
    assert (row.extension == "json") == (row.media_type == "application/json") == (row.document is not str)


@pytest.mark.parametrize("name", FORMATS)
def test_format_shows_speakers_exactly_if_its_row_says_so(name: str) -> None:
    row = FORMATS[name]
    anonymous = replace(DIALOGUE, segments=tuple(replace(one, speaker=None) for one in DIALOGUE.segments), turns=())
    assert (row.render(DIALOGUE) != row.render(anonymous)) == row.shows_speakers


@pytest.mark.parametrize("name", FORMATS)
def test_format_asks_for_the_speakers_and_words_that_it_needs_unless_the_request_decides(name: str) -> None:
    row = FORMATS[name]
    assert row.with_needs(InferenceConfig()).diarize is (True if row.needs_speakers else None)
    assert row.with_needs(InferenceConfig()).timestamps == ("word" if row.needs_words else None)
    for config in (InferenceConfig(diarize=False), InferenceConfig(multichannel=True)):
        decided = config.model_copy(update={"timestamps": "segment"})
        assert row.with_needs(decided) == decided


def test_every_format_is_offered_and_a_streamed_one_by_openai() -> None:
    assert [name for name, row in FORMATS.items() if not row.interfaces] == []
    assert [name for name, row in FORMATS.items() if row.streams and "openai" not in row.interfaces] == []


def test_files_of_an_archive_have_different_extensions() -> None:
    extensions = [row.extension for row in formats_of("archive").values()]
    assert len(set(extensions)) == len(extensions)
