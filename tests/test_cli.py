import io
import json
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace

import pytest

import cli
from merge import assign_speakers
from tests.conftest import ASSISTANT, DEMO, DIARIZATION, ROOT, SAMPLES
from transcript import Segment, SpeakerTurn, Transcript, Word

SHORT = str(SAMPLES["short"].path)
MODEL = ["--model", str(DEMO), "--quiet"]


def test_a_file_is_told_for_reading(capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main([SHORT, *MODEL, "--timestamps", "word"]) == 0
    first, second, third = capsys.readouterr().out.splitlines()[:3]
    assert first.startswith("6.8 s, language en (detected, ")
    assert "→" in second
    assert len(third.split()) >= 2


@pytest.mark.parametrize("form", ["json", "srt", "verbose_json"])
def test_several_files_go_to_a_folder(tmp_path: Path, form: str) -> None:
    names = [SHORT, str(ROOT / "samples" / "sil*.m4a")]
    assert cli.main([*names, *MODEL, "--format", form, "--output-dir", str(tmp_path / "out")]) == 0
    extension = {"srt": "srt"}.get(form, "json")
    assert sorted(path.name for path in (tmp_path / "out").iterdir()) == [f"short.{extension}", f"silence.{extension}"]


def test_standard_input_is_a_file(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "stdin", SimpleNamespace(buffer=io.BytesIO(SAMPLES["short"].path.read_bytes())))
    assert cli.main(["-", *MODEL, "--format", "json"]) == 0
    piped = json.loads(capsys.readouterr().out)
    assert cli.main([SHORT, *MODEL, "--format", "json", "--assistant", str(ASSISTANT)]) == 0
    assert piped == json.loads(capsys.readouterr().out)


def test_a_bad_file_does_not_stop_the_others(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    bad = tmp_path / "bad.wav"
    bad.write_bytes(b"no audio")
    assert cli.main([str(bad), str(tmp_path / "nothing*.wav"), SHORT, *MODEL, "--format", "text"]) == 1
    told = capsys.readouterr()
    assert told.out.strip()
    assert [line.rsplit("/", 1)[-1].split(": ")[0] for line in told.err.splitlines()] == ["bad.wav", "nothing*.wav"]


def test_a_wrong_call_says_what_to_do(capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main([SHORT]) == 2
    assert capsys.readouterr().err.startswith("error: ASR_MODEL is not set")


def test_help_teaches() -> None:
    told = subprocess.run([sys.executable, str(ROOT / "cli.py"), "--help"], capture_output=True, text=True, check=True)
    assert "examples:" in told.stdout
    assert "--timestamps" in told.stdout


SPEAKERS = ["--diarization-model", str(DIARIZATION), "--num-speakers", "3"]
MEETING = str(SAMPLES["meeting"].path)


def test_speakers_are_named(capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main([MEETING, *MODEL, *SPEAKERS]) == 0
    first, *lines = capsys.readouterr().out.splitlines()
    assert first.endswith(", 3 speakers")
    assert {line.split("] ")[1].split(": ")[0] for line in lines} == {"SPEAKER_00", "SPEAKER_01", "SPEAKER_02"}


def test_speakers_have_colours_on_a_terminal() -> None:
    told = cli.readable(
        assign_speakers(Transcript((Segment(" Yes.", 0, 1), Segment(" No.", 1, 2)), "en", 2.0), [
            SpeakerTurn("SPEAKER_00", 0, 1), SpeakerTurn("SPEAKER_01", 1, 2),
        ])
    )  # fmt: skip
    styles = {told.plain[span.start : span.end].strip(): str(span.style) for span in told.spans}
    assert (styles["Yes."], styles["No."]) == ("cyan", "magenta")


def test_a_word_whose_speaker_is_unsure_is_marked() -> None:
    pair = (Word(" Yes", 0, 1), Word(" no", 1, 2))
    transcript = Transcript((Segment(" Yes no", 0, 2, pair),), "en", 2.0)
    turns = [SpeakerTurn("SPEAKER_00", 0, 2), SpeakerTurn("SPEAKER_01", 1, 1.9)]
    assert cli.readable(assign_speakers(transcript, turns)).plain.splitlines()[-1].split("  ")[-2:] == [
        "Yes 0.00",
        "no 1.00?",
    ]


def test_rttm_goes_to_a_file(tmp_path: Path) -> None:
    assert cli.main([MEETING, *MODEL, *SPEAKERS, "--format", "rttm", "--output-dir", str(tmp_path)]) == 0
    lines = (tmp_path / "meeting.rttm").read_text().splitlines()
    assert {line.split()[0] for line in lines} == {"SPEAKER"}


def test_a_call_has_a_speaker_a_channel(capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main([str(SAMPLES["call"].path), *MODEL, "--multichannel", "--format", "diarized_json"]) == 0
    document = json.loads(capsys.readouterr().out)
    assert {segment["speaker"] for segment in document["segments"]} == {"A", "B"}


def test_a_model_that_is_no_pipeline_is_an_error(capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main([SHORT, *MODEL, "--diarization-model", str(ROOT / "samples")]) == 1
    assert "DIARIZATION_MODEL samples is no pyannote pipeline" in capsys.readouterr().err
    assert cli.main([SHORT, *MODEL, "--no-diarize", "--diarization-model", str(ROOT / "samples")]) == 0
    assert cli.main([SHORT, *MODEL, "--num-speakers", "2"]) == 0
    assert "warning: short.wav: speakers are missing" in capsys.readouterr().err
    assert cli.main([SHORT, *MODEL, "--num-speakers", "0"]) == 2
