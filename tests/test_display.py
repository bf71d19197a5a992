"""What a terminal shows."""

import pytest

from transcription.cli.display import WIDTH, progress, readable, timeline
from transcription.diarization.assign import assign_speakers
from transcription.transcript import Segment, SpeakerTurn, Transcript, Word

TURNS = [SpeakerTurn("SPEAKER_00", 0, 1), SpeakerTurn("SPEAKER_01", 1, 2)]
PAIR = Transcript((Segment(" Yes.", 0, 1), Segment(" No.", 1, 2)), "en", 2.0)


def test_nothing_is_told_too() -> None:
    assert readable(Transcript(language="en")).plain == "0.0 s, language en\nnobody speaks\n"
    assert timeline(Transcript(duration=1.0)).plain == ""


def test_speakers_have_colours() -> None:
    told = readable(assign_speakers(PAIR, TURNS))
    styles = {told.plain[span.start : span.end].strip(): str(span.style) for span in told.spans}
    assert (styles["Yes."], styles["No."]) == ("cyan", "magenta")


def test_a_word_whose_speaker_is_unsure_is_marked() -> None:
    words = (Word(" Yes", 0, 1), Word(" no", 1, 2))
    transcript = Transcript((Segment(" Yes no", 0, 2, words),), "en", 2.0)
    turns = [SpeakerTurn("SPEAKER_00", 0, 2), SpeakerTurn("SPEAKER_01", 1, 1.9)]
    last = readable(assign_speakers(transcript, turns)).plain.splitlines()[-1]
    assert last.split("  ")[-2:] == ["Yes 0.00", "no 1.00?"]


def test_the_timeline_is_filled_where_somebody_speaks() -> None:
    half = WIDTH // 2
    assert timeline(assign_speakers(PAIR, TURNS)).plain.splitlines() == [
        "SPEAKER_00 " + "█" * half + " " * half,
        "SPEAKER_01 " + " " * half + "█" * half,
    ]


def test_who_speaks_half_of_a_part_fills_half_of_it() -> None:
    turns = [SpeakerTurn("SPEAKER_00", 0, 0.5)]
    transcript = assign_speakers(Transcript((Segment(" Yes.", 0, 1),), "en", float(WIDTH)), turns)
    assert timeline(transcript).plain == "SPEAKER_00 ▒" + " " * (WIDTH - 1) + "\n"


def test_progress_says_how_far_and_how_fast(capsys: pytest.CaptureFixture[str]) -> None:
    with progress("a.wav", 10.0, quiet=False) as context:
        context.report_progress("transcribe", 5.0, 10.0)
        context.report_progress("diarize", 10.0, 10.0)
    told = capsys.readouterr()
    assert told.out == ""
    first, second = told.err.strip().splitlines()[-2:]
    assert ("a.wav" in first, "5 of 10 s of audio in" in first, first.rstrip().endswith("× real time")) == (
        True,
        True,
        True,
    )
    assert ("a.wav, speakers" in second, "10 of 10 s of audio in" in second) == (True, True)


def test_quiet_is_quiet(capsys: pytest.CaptureFixture[str]) -> None:
    with progress("a.wav", 10.0, quiet=True) as context:
        context.report_progress("transcribe", 10.0, 10.0)
    assert capsys.readouterr() == ("", "")
