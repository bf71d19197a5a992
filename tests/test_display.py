"""Terminal output."""

import re

import pytest

from transcription.cli.display import TIMELINE_WIDTH, archive_progress, file_progress, timeline, to_rich_text
from transcription.diarization.assign import assign_speakers
from transcription.transcript import Segment, SpeakerTurn, Transcript, Word

TURNS = [SpeakerTurn("SPEAKER_00", 0, 1), SpeakerTurn("SPEAKER_01", 1, 2)]
PAIR = Transcript((Segment(" Yes.", 0, 1), Segment(" No.", 1, 2)), "en", 2.0)


def test_an_empty_transcript_has_a_summary_and_no_speech() -> None:
    assert to_rich_text(Transcript(language="en")).plain == "0.0 s, language en\nno speech\n"
    assert timeline(Transcript(duration=1.0)).plain == ""


def test_each_speaker_has_a_colour() -> None:
    text = to_rich_text(assign_speakers(PAIR, TURNS))
    styles = {text.plain[span.start : span.end].strip(): str(span.style) for span in text.spans}
    assert (styles["Yes."], styles["No."]) == ("cyan", "magenta")


def test_a_word_with_an_uncertain_speaker_has_a_question_mark() -> None:
    words = (Word(" Yes", 0, 1), Word(" no", 1, 2))
    transcript = Transcript((Segment(" Yes no", 0, 2, words),), "en", 2.0)
    turns = [SpeakerTurn("SPEAKER_00", 0, 2), SpeakerTurn("SPEAKER_01", 1, 1.9)]
    last = to_rich_text(assign_speakers(transcript, turns)).plain.splitlines()[-1]
    assert last.split("  ")[-2:] == ["Yes 0.00", "no 1.00?"]


def test_the_timeline_is_filled_where_a_speaker_talks() -> None:
    half = TIMELINE_WIDTH // 2
    assert timeline(assign_speakers(PAIR, TURNS)).plain.splitlines() == [
        "SPEAKER_00 " + "█" * half + " " * half,
        "SPEAKER_01 " + " " * half + "█" * half,
    ]


def test_half_a_step_of_talk_is_half_filled() -> None:
    turns = [SpeakerTurn("SPEAKER_00", 0, 0.5)]
    transcript = assign_speakers(Transcript((Segment(" Yes.", 0, 1),), "en", float(TIMELINE_WIDTH)), turns)
    assert timeline(transcript).plain == "SPEAKER_00 ▒" + " " * (TIMELINE_WIDTH - 1) + "\n"


def test_file_progress_has_a_line_per_stage_with_the_speed(capsys: pytest.CaptureFixture[str]) -> None:
    with file_progress("a.wav", 10.0, quiet=False) as context:
        context.report_progress("transcribe", 5.0, 10.0)
        context.report_progress("diarize", 10.0, 10.0)
    output = capsys.readouterr()
    assert output.out == ""
    first, second = output.err.strip().splitlines()[-2:]
    assert "a.wav" in first
    assert "5 of 10 s of audio in" in first
    assert first.rstrip().endswith("× real time")
    assert "a.wav, speakers" in second
    assert "10 of 10 s of audio in" in second


def test_archive_progress_counts_recordings_and_failures(capsys: pytest.CaptureFixture[str]) -> None:
    with archive_progress(4, 1, quiet=False) as update:
        update(10.0, 0)
        update(0.0, 1)
    last = capsys.readouterr().err.splitlines()[-1]
    assert re.fullmatch(r"2 of 4 done, 1 of them before, \d+ × real time, 1 failed", last)


def test_quiet_file_progress_prints_nothing(capsys: pytest.CaptureFixture[str]) -> None:
    with file_progress("a.wav", 10.0, quiet=True) as context:
        context.report_progress("transcribe", 10.0, 10.0)
    assert capsys.readouterr() == ("", "")
