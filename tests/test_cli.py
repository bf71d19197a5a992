import io
import json
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace

import pytest

import cli
from tests.conftest import ASSISTANT, DEMO, ROOT, SAMPLES

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
