"""Files in, transcripts out."""

import io
import json
import shutil
import signal
import subprocess
import sys
from itertools import islice
from pathlib import Path
from types import SimpleNamespace

import pytest

from tests.conftest import ASSISTANT, DEMO, DIARIZATION, ROOT, SAMPLES
from tests.serving import until
from transcription.cli import transcribe as cli

SHORT = str(SAMPLES["short"].path)
COMMAND = [sys.executable, "-m", "transcription.cli.transcribe"]
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
    told = subprocess.run([*COMMAND, "--help"], capture_output=True, text=True, check=True)
    assert "examples:" in told.stdout
    assert "--timestamps" in told.stdout


SPEAKERS = ["--diarization-model", str(DIARIZATION), "--num-speakers", "3"]
MEETING = str(SAMPLES["meeting"].path)


def test_speakers_are_named(capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main([MEETING, *MODEL, *SPEAKERS]) == 0
    first, *lines = capsys.readouterr().out.splitlines()
    assert first.endswith(", 3 speakers")
    assert [line.split()[0] for line in lines[:3]] == ["SPEAKER_00", "SPEAKER_01", "SPEAKER_02"]
    lines = lines[3:]
    assert {line.split("] ")[1].split(": ")[0] for line in lines} == {"SPEAKER_00", "SPEAKER_01", "SPEAKER_02"}


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


class TestWatch:
    """What lies in a folder, and what arrives in it."""

    def test_recordings_are_told_when_they_have_stopped_growing(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        a, b, done = (tmp_path / name for name in ("a.wav", "b.FLAC", "done.mp3"))
        for path in (a, done, tmp_path / "notes.txt"):
            path.write_bytes(b"1")
        between_looks = iter([(b, b"1"), (b, b"12"), None, (a, b"another"), None])

        def sleep(_: float) -> None:
            if (written := next(between_looks)) is not None:
                written[0].write_bytes(written[1])

        monkeypatch.setattr(cli, "time", SimpleNamespace(sleep=sleep))
        told = islice(cli.arriving(tmp_path, lambda path: path == done), 3)
        assert [Path(name).name for name in told] == ["a.wav", "b.FLAC", "a.wav"]
        assert list(between_looks) == []

    def test_a_folder_is_worked_on_until_it_is_interrupted(self, tmp_path: Path) -> None:
        inbox, out = tmp_path / "inbox", tmp_path / "out"
        inbox.mkdir()
        (inbox / "bad.wav").write_bytes(b"no audio")
        command = [*COMMAND, *MODEL, "--watch", str(inbox), "--output-dir", str(out)]
        with subprocess.Popen([*command, "--format", "text"], stderr=subprocess.PIPE, text=True) as process:
            shutil.copy(SHORT, inbox / "first.wav")
            until((out / "first.txt").exists)
            shutil.copy(SHORT, inbox / "second.wav")
            until((out / "second.txt").exists)
            process.send_signal(signal.SIGINT)
            _, told = process.communicate(timeout=60)
        assert process.returncode == 130
        assert [line.split("bad.wav: ")[-1] for line in told.splitlines()] == [
            "the audio cannot be decoded: send wav, flac, mp3, ogg, m4a or webm"
        ]

    @pytest.mark.parametrize(
        ("call", "message"),
        [
            ([], "name a file, or a folder to --watch"),
            (["--watch", "."], "--watch takes a folder in place of files, and needs --output-dir"),
            (["a.wav", "--watch", ".", "--output-dir", "."], "--watch takes a folder in place of files"),
            (["--watch", "nowhere", "--output-dir", "."], "--watch nowhere is not a folder"),
        ],
    )
    def test_a_wrong_call_is_said(self, call: list[str], message: str, capsys: pytest.CaptureFixture[str]) -> None:
        assert cli.main([*call, *MODEL]) == 2
        assert capsys.readouterr().err.startswith(f"error: {message}")
