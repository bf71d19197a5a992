"""transcribe-archive without workers. Runs with workers are in test_ray.py."""

from pathlib import Path

import pytest

from tests.archives import ANSWER, NAMES, make_recordings
from tests.conftest import DEMO
from transcription.batch.archive import Archive
from transcription.batch.recording import Recording
from transcription.cli.archive import main


def test_a_finished_archive_needs_no_worker(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    recordings, output = make_recordings(tmp_path / "recordings"), tmp_path / "transcripts"
    with Archive(output) as archive:
        for name, written in NAMES.items():
            archive.add(Recording(f"{recordings}/below/{name}.wav", f"below/{written}.wav"), ANSWER, {})
    assert main([str(recordings), "--output", str(output), "--model", "nobody/nothing"]) == 0
    assert capfd.readouterr().err == "10 of 10 done, 10 of them before\n"


def test_a_recording_with_an_id_is_done_although_its_address_has_changed(
    tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    with Archive(tmp_path / "transcripts") as archive:
        archive.add(Recording("https://example.org/one.wav?signature=old", "one.wav", "call-1"), ANSWER, {})
    (tmp_path / "list.csv").write_text("id,url\ncall-1,https://example.org/one.wav?signature=new\n")
    call = [f"{tmp_path}/list.csv", "--output", f"{tmp_path}/transcripts", "--model", "nobody/nothing"]
    assert main(call) == 0
    assert capfd.readouterr().err == "1 of 1 done, 1 of them before\n"


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (["nowhere"], "nowhere holds no recordings"),
        (["samples", "--language", "en", "--num-speakers", "0"], "num_speakers"),
    ],
)
def test_wrong_arguments_exit_with_2_and_leave_no_folder(
    call: list[str], message: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["--output", str(tmp_path / "none"), "--model", str(DEMO), *call]) == 2
    assert message in capsys.readouterr().err
    assert not (tmp_path / "none").exists()


@pytest.mark.parametrize(
    ("option", "value", "message"),
    [
        ("--workers", "0", "give a whole number from 1 up, or a range such as 1-8"),
        ("--workers", "3-1", "give a whole number from 1 up, or a range such as 1-8"),
        ("--workers", "many", "give a whole number from 1 up, or a range such as 1-8"),
        ("--together", "0", "give a whole number from 1 up"),
    ],
)
def test_wrong_numbers_are_refused(option: str, value: str, message: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        main(["samples", "--output", "none", option, value])
    assert f"argument {option}: {message}\n" in capsys.readouterr().err
