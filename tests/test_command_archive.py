"""Archives of recordings on a real local Ray: killed and gone on with, table and documents, what cannot be done."""

import errno
import json
import logging
import os
import resource
import shutil
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest
import ray

from tests.conftest import DEMO, ROOT, SAMPLES
from tests.serving import until
from transcription.batch.archive import Archive
from transcription.batch.sources import Recording
from transcription.cli.archive import main
from transcription.config import InferenceConfig
from transcription.errors import InvalidRequest
from transcription.formats import FORMATS
from transcription.transcriber import Transcriber

ANSWER = {"text": "One.", "chunks": [{"text": " One.", "timestamp": [0.0, 1.5]}], "speakers": [], "language": "en"}

ONE, TWO = Recording("/calls/one.wav", "one.wav"), Recording("/calls/two.wav", "two.wav")


def lines(path: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in path.read_text().splitlines()]


def test_what_is_added_is_there_for_the_next_run(tmp_path: Path) -> None:
    with Archive(tmp_path) as archive:
        assert archive.done == set()
        archive.add(Recording("/calls/one.wav", "calls/one.wav"), ANSWER, {"srt": "1\n", "txt": "One."})
        archive.fail("/calls/two.wav", "it is not there")
    with Archive(tmp_path) as archive:
        assert archive.done == {"/calls/one.wav"}
    assert lines(tmp_path / "transcripts.jsonl") == [{"source": "/calls/one.wav", "name": "calls/one", **ANSWER}]
    assert (tmp_path / "calls/one.srt").read_text() + (tmp_path / "calls/one.txt").read_text() == "1\nOne."


def test_errors_are_the_last_runs(tmp_path: Path) -> None:
    with Archive(tmp_path) as archive:
        archive.fail("/calls/two.wav", "it is not there")
    assert lines(tmp_path / "errors.jsonl") == [{"source": "/calls/two.wav", "error": "it is not there"}]
    with Archive(tmp_path):
        pass
    assert lines(tmp_path / "errors.jsonl") == []


@pytest.mark.parametrize(
    "torn", [b'{"source": "/calls/two.wav", "te', b'{"source": "/calls/two.wav", "name": "two"}', b"\x00\x00\n"]
)
def test_a_line_that_was_not_finished_is_done_again(tmp_path: Path, torn: bytes) -> None:
    with Archive(tmp_path) as archive:
        archive.add(ONE, ANSWER, {})
    with (tmp_path / "transcripts.jsonl").open("ab") as file:
        file.write(torn)
    with Archive(tmp_path) as archive:
        assert archive.done == {"/calls/one.wav"}
        archive.add(TWO, ANSWER, {})
    assert [line["source"] for line in lines(tmp_path / "transcripts.jsonl")] == ["/calls/one.wav", "/calls/two.wav"]


def test_no_transcript_is_written_over_by_another_run(tmp_path: Path) -> None:
    sources = ("/a/talk.wav", "/b/talk.mp3", "/c/talk.mp3")
    same = [Recording(source, source.split("/")[2]) for source in sources]
    for recording in same:
        with Archive(tmp_path) as archive:
            archive.add(recording, ANSWER, {"txt": recording.source})
    found = {path.name: path.read_text() for path in tmp_path.glob("*.txt")}
    assert found == {"talk.txt": "/a/talk.wav", "talk.mp3.txt": "/b/talk.mp3", "talk.mp3-2.txt": "/c/talk.mp3"}


def test_a_transcript_that_cannot_be_written_stops_no_other(tmp_path: Path) -> None:
    (tmp_path / "one.srt").mkdir()
    with Archive(tmp_path) as archive:
        with pytest.raises(IsADirectoryError):
            archive.add(ONE, ANSWER, {"srt": "1\n"})
        archive.add(Recording("/others/one.wav", "one.wav"), ANSWER, {"srt": "2\n"})
        assert archive.done == {"/others/one.wav"}
    assert [line["name"] for line in lines(tmp_path / "transcripts.jsonl")] == ["one.wav"]


def test_a_line_that_does_not_fit_is_not_begun(tmp_path: Path) -> None:
    written = tmp_path / "transcripts.jsonl"
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    with Archive(tmp_path) as archive:
        archive.add(ONE, ANSWER, {})
        before = written.read_bytes()
        resource.setrlimit(resource.RLIMIT_FSIZE, (len(before) + 10, hard))
        try:
            with pytest.raises(OSError, match="File too large"):
                archive.add(TWO, ANSWER, {})
        finally:
            resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
        assert written.read_bytes() == before
        archive.add(TWO, ANSWER, {})
    assert [line["source"] for line in lines(written)] == ["/calls/one.wav", "/calls/two.wav"]


def test_a_full_disk_takes_no_transcript_and_no_error(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(_: int) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(os, "fsync", refuse)
    with Archive(tmp_path) as archive:
        with pytest.raises(InvalidRequest, match="cannot be written: No space left on device: mend it and run again"):
            archive.add(ONE, ANSWER, {})
        with pytest.raises(InvalidRequest, match="cannot be written: No space left on device"):
            archive.fail(TWO.source, "it is not there")
        assert archive.done == set()
    assert [(tmp_path / name).read_bytes() for name in ("transcripts.jsonl", "errors.jsonl")] == [b"", b""]


def test_a_file_that_is_not_ours_stays_as_it_is(tmp_path: Path) -> None:
    text = '{"source": "/calls/one.wav"}\n{"source": "/calls/two.wav"}\n'
    (tmp_path / "transcripts.jsonl").write_text(text)
    with pytest.raises(InvalidRequest, match="has other lines than transcripts: move it away"):
        Archive(tmp_path)
    assert (tmp_path / "transcripts.jsonl").read_text() == text


def test_two_runs_do_not_write_to_one_folder(tmp_path: Path) -> None:
    with Archive(tmp_path), pytest.raises(InvalidRequest, match=r"another run writes to .*: let it end"):
        Archive(tmp_path)


def test_a_folder_that_cannot_be_written_is_said(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(InvalidRequest, match=r"--output .* cannot be written: "):
        Archive(tmp_path / "file")


def test_the_table_holds_what_the_lines_hold(tmp_path: Path) -> None:
    with Archive(tmp_path) as archive:
        archive.tabulate()
        assert pq.read_table(tmp_path / "transcripts.parquet").num_rows == 0
        archive.add(ONE, ANSWER, {})
        archive.tabulate()
    (row,) = pq.read_table(tmp_path / "transcripts.parquet").to_pylist()
    assert (row["source"], row["text"], row["partial"]) == ("/calls/one.wav", "One.", None)
    assert row["chunks"][0]["timestamp"] == [0.0, 1.5]


def test_the_table_is_written_in_parts(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("replicas.archive._BYTES", 1)
    with Archive(tmp_path) as archive:
        archive.add(ONE, ANSWER, {})
        archive.add(TWO, ANSWER, {})
        archive.tabulate()
    table = pq.read_table(tmp_path / "transcripts.parquet")
    assert table["source"].to_pylist() == ["/calls/one.wav", "/calls/two.wav"]


def test_a_table_that_cannot_be_written_is_said(tmp_path: Path) -> None:
    with Archive(tmp_path) as archive:
        archive.add(ONE, ANSWER, {})
        (tmp_path / "transcripts.parquet.unfinished").symlink_to("/dev/full")
        with pytest.raises(InvalidRequest, match=r"cannot be written: .*No space left on device"):
            archive.tabulate()


@pytest.fixture(scope="module")
def address() -> Iterator[str]:
    """Of a local Ray."""
    ray.init(num_cpus=4, include_dashboard=False, log_to_driver=False, logging_level=logging.ERROR)
    yield ray.get_runtime_context().gcs_address
    ray.shutdown()


NAMES = {**{str(number): str(number) for number in range(8)}, "a::b": "a::b", os.fsdecode(b"caf\xe9"): r"caf\udce9"}
"""Of recordings, and as they are written: the last one's bytes are not UTF-8."""


@pytest.fixture
def recordings(tmp_path: Path) -> Path:
    """Ten short recordings, and one that is none."""
    folder = tmp_path / "recordings"
    (folder / "below").mkdir(parents=True)
    for name in NAMES:
        shutil.copy(SAMPLES["short"].path, folder / f"below/{name}.wav")
    (folder / "broken.wav").write_text("no audio")
    return folder


def test_a_run_that_is_killed_is_gone_on_with(
    address: str, recordings: Path, tmp_path: Path, transcriber: Transcriber, capfd: pytest.CaptureFixture[str]
) -> None:
    output = tmp_path / "transcripts"
    written = output / "transcripts.jsonl"
    call = [
        str(recordings), "--output", str(output), "--model", str(DEMO), "--format", "srt",
        "--address", address, "--together", "1",
    ]  # fmt: skip
    command = [sys.executable, "-m", "transcription.cli.archive", *call]
    process = subprocess.Popen(command, cwd=ROOT, stderr=subprocess.DEVNULL)
    try:
        until(lambda: written.is_file() and written.read_bytes().count(b"\n") >= 2, 120)
    finally:
        process.send_signal(signal.SIGKILL)
        process.wait()
    before = written.read_bytes()
    before = before[: before.rindex(b"\n") + 1]
    assert main(call) == 1
    assert written.read_bytes().startswith(before)
    found = lines(written)
    assert sorted(line["source"] for line in found) == [f"{recordings}/below/{name}.wav" for name in NAMES.values()]
    heard = transcriber.transcribe(SAMPLES["short"].audio, InferenceConfig())
    assert [line["text"] for line in found] == [heard.text] * 10
    srt = FORMATS["srt"].render(heard)
    assert [(output / f"below/{name}.srt").read_text() for name in NAMES.values()] == [srt] * 10
    assert [row["text"] for row in pq.read_table(output / "transcripts.parquet").to_pylist()] == [heard.text] * 10
    (error,) = lines(output / "errors.jsonl")
    assert error["source"] == f"{recordings}/broken.wav"
    told = capfd.readouterr().err
    assert f"error: {recordings}/broken.wav: " in told
    assert f"{len(before.splitlines())} of them before" in told


def test_what_is_done_needs_no_worker(recordings: Path, tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    (recordings / "broken.wav").unlink()
    with Archive(tmp_path / "done") as archive:
        for name, written in NAMES.items():
            archive.add(Recording(f"{recordings}/below/{name}.wav", f"below/{written}.wav"), ANSWER, {})
    assert main([str(recordings), "--output", str(tmp_path / "done"), "--model", "nobody/nothing"]) == 0
    assert capfd.readouterr().err == "10 of 10 done, 10 of them before\n"


def test_models_that_cannot_be_loaded_are_said(
    address: str, recordings: Path, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "empty").mkdir()
    call = [str(recordings), "--output", str(tmp_path / "none"), "--model", str(tmp_path / "empty")]
    before = set(threading.enumerate())
    assert main([*call, "--address", address, "--quiet"]) == 2
    assert capfd.readouterr().err.startswith("error: ASR_MODEL empty cannot be loaded: is it a Whisper")
    assert set(threading.enumerate()) - before == set()  # one that asks a Ray which has ended would end the process


def test_a_full_disk_ends_the_run(address: str, tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    output = tmp_path / "transcripts"
    output.mkdir()
    (output / "short.srt").symlink_to("/dev/full")
    call = [str(SAMPLES["short"].path), "--output", str(output), "--model", str(DEMO), "--format", "srt"]
    assert main([*call, "--address", address, "--quiet"]) == 2
    assert capfd.readouterr().err.startswith(f"error: --output {output} cannot be written: No space left on device: ")
    assert lines(output / "transcripts.jsonl") == []


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (["nowhere"], "nowhere holds no recordings"),
        (["samples", "--language", "en", "--num-speakers", "0"], "num_speakers"),
    ],
)
def test_a_wrong_call_is_said(
    call: list[str], message: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["--output", str(tmp_path / "none"), "--model", str(DEMO), *call]) == 2
    assert message in capsys.readouterr().err
    assert not (tmp_path / "none").exists()


@pytest.mark.parametrize("workers", ["0", "3-1", "many"])
def test_workers_are_counted(workers: str) -> None:
    with pytest.raises(SystemExit):
        main(["samples", "--output", "none", "--workers", workers])
