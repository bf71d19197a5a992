"""Archive: what one run writes, and what the next run finds."""

import errno
import os
import resource
from pathlib import Path

import pyarrow.parquet as pq
import pytest

from tests.archives import ANSWER, lines
from transcription.batch.archive import Archive
from transcription.batch.recording import Recording
from transcription.errors import InvalidRequest

ONE, TWO = Recording("/calls/one.wav", "one.wav"), Recording("/calls/two.wav", "two.wav")


def test_the_next_run_finds_what_was_added(tmp_path: Path) -> None:
    with Archive(tmp_path) as archive:
        assert archive.done == set()
        archive.add(Recording("/calls/one.wav", "calls/one.wav"), ANSWER, {"srt": "1\n", "txt": "One."})
        archive.fail("/calls/two.wav", "the file does not exist")
    with Archive(tmp_path) as archive:
        assert archive.done == {"/calls/one.wav"}
    assert lines(tmp_path / "transcripts.jsonl") == [{"source": "/calls/one.wav", "name": "calls/one", **ANSWER}]
    assert (tmp_path / "calls/one.srt").read_text() + (tmp_path / "calls/one.txt").read_text() == "1\nOne."


def test_errors_are_those_of_the_last_run(tmp_path: Path) -> None:
    with Archive(tmp_path) as archive:
        archive.fail("/calls/two.wav", "the file does not exist")
    assert lines(tmp_path / "errors.jsonl") == [{"source": "/calls/two.wav", "error": "the file does not exist"}]
    with Archive(tmp_path):
        pass
    assert lines(tmp_path / "errors.jsonl") == []


@pytest.mark.parametrize(
    "torn", [b'{"source": "/calls/two.wav", "te', b'{"source": "/calls/two.wav", "name": "two"}', b"\x00\x00\n"]
)
def test_a_recording_with_an_incomplete_last_line_is_done_again(tmp_path: Path, torn: bytes) -> None:
    with Archive(tmp_path) as archive:
        archive.add(ONE, ANSWER, {})
    with (tmp_path / "transcripts.jsonl").open("ab") as file:
        file.write(torn)
    with Archive(tmp_path) as archive:
        assert archive.done == {"/calls/one.wav"}
        archive.add(TWO, ANSWER, {})
    assert [line["source"] for line in lines(tmp_path / "transcripts.jsonl")] == ["/calls/one.wav", "/calls/two.wav"]


def test_no_run_overwrites_the_documents_of_another(tmp_path: Path) -> None:
    sources = ("/a/talk.wav", "/b/talk.mp3", "/c/talk.mp3")
    recordings = [Recording(source, source.split("/")[2]) for source in sources]
    for recording in recordings:
        with Archive(tmp_path) as archive:
            archive.add(recording, ANSWER, {"txt": recording.source})
    documents = {path.name: path.read_text() for path in tmp_path.glob("*.txt")}
    assert documents == {"talk.txt": "/a/talk.wav", "talk.mp3.txt": "/b/talk.mp3", "talk.mp3-2.txt": "/c/talk.mp3"}


def test_a_transcript_that_cannot_be_written_does_not_stop_others(tmp_path: Path) -> None:
    (tmp_path / "one.srt").mkdir()
    with Archive(tmp_path) as archive:
        with pytest.raises(IsADirectoryError):
            archive.add(ONE, ANSWER, {"srt": "1\n"})
        archive.add(Recording("/others/one.wav", "one.wav"), ANSWER, {"srt": "2\n"})
        assert archive.done == {"/others/one.wav"}
    assert [line["name"] for line in lines(tmp_path / "transcripts.jsonl")] == ["one.wav"]


def test_no_part_of_a_line_remains_if_it_cannot_be_written(tmp_path: Path) -> None:
    transcripts = tmp_path / "transcripts.jsonl"
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    with Archive(tmp_path) as archive:
        archive.add(ONE, ANSWER, {})
        before = transcripts.read_bytes()
        resource.setrlimit(resource.RLIMIT_FSIZE, (len(before) + 10, hard))
        try:
            with pytest.raises(OSError, match="File too large"):
                archive.add(TWO, ANSWER, {})
        finally:
            resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
        assert transcripts.read_bytes() == before
        archive.add(TWO, ANSWER, {})
    assert [line["source"] for line in lines(transcripts)] == ["/calls/one.wav", "/calls/two.wav"]


def test_raises_invalid_request_when_the_disk_is_full(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(_: int) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(os, "fsync", refuse)
    with Archive(tmp_path) as archive:
        with pytest.raises(InvalidRequest, match=r"cannot be written: No space left on device\. Finished"):
            archive.add(ONE, ANSWER, {})
        with pytest.raises(InvalidRequest, match="cannot be written: No space left on device"):
            archive.fail(TWO.source, "the file does not exist")
        assert archive.done == set()
    assert [(tmp_path / name).read_bytes() for name in ("transcripts.jsonl", "errors.jsonl")] == [b"", b""]


def test_raises_invalid_request_when_no_document_can_be_written(tmp_path: Path) -> None:
    (tmp_path / "one.srt").symlink_to("/dev/full")
    with (
        Archive(tmp_path) as archive,
        pytest.raises(InvalidRequest, match="cannot be written: No space left on device"),
    ):
        archive.add(ONE, ANSWER, {"srt": "1\n"})
    assert lines(tmp_path / "transcripts.jsonl") == []


def test_a_file_with_other_lines_is_refused_and_not_changed(tmp_path: Path) -> None:
    text = '{"source": "/calls/one.wav"}\n{"source": "/calls/two.wav"}\n'
    (tmp_path / "transcripts.jsonl").write_text(text)
    with pytest.raises(InvalidRequest, match="has lines that are not transcripts; move it to another folder"):
        Archive(tmp_path)
    assert (tmp_path / "transcripts.jsonl").read_text() == text


def test_two_runs_cannot_write_to_the_same_folder(tmp_path: Path) -> None:
    with Archive(tmp_path), pytest.raises(InvalidRequest, match=r"another run writes to .*; wait until it ends"):
        Archive(tmp_path)


def test_raises_invalid_request_when_the_folder_cannot_be_written(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(InvalidRequest, match=r"--output .* cannot be written: "):
        Archive(tmp_path / "file")


def test_the_table_has_the_transcripts(tmp_path: Path) -> None:
    with Archive(tmp_path) as archive:
        archive.write_table()
        assert pq.read_table(tmp_path / "transcripts.parquet").num_rows == 0
        archive.add(ONE, ANSWER, {})
        archive.write_table()
    (row,) = pq.read_table(tmp_path / "transcripts.parquet").to_pylist()
    assert (row["source"], row["text"], row["partial"]) == ("/calls/one.wav", "One.", None)
    assert row["chunks"][0]["timestamp"] == [0.0, 1.5]


def test_the_table_is_written_in_chunks(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("transcription.batch.archive.TABLE_CHUNK_BYTES", 1)
    with Archive(tmp_path) as archive:
        archive.add(ONE, ANSWER, {})
        archive.add(TWO, ANSWER, {})
        archive.write_table()
    table = pq.read_table(tmp_path / "transcripts.parquet")
    assert table["source"].to_pylist() == ["/calls/one.wav", "/calls/two.wav"]


def test_raises_invalid_request_when_the_table_cannot_be_written(tmp_path: Path) -> None:
    with Archive(tmp_path) as archive:
        archive.add(ONE, ANSWER, {})
        (tmp_path / "transcripts.parquet.unfinished").symlink_to("/dev/full")
        with pytest.raises(InvalidRequest, match=r"cannot be written: .*No space left on device"):
            archive.write_table()
