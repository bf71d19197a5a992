"""What an archive's sources name."""

import json
from pathlib import Path

import fsspec
import pytest

from errors import InvalidRequest
from replicas.sources import Recording, recordings


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Three recordings, one of them below, and something else."""
    for name in ("one.wav", "two.MP3", "below/three.flac", "notes.txt"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).touch()
    return tmp_path


def names(*sources: Path | str) -> list[str]:
    return [found.name for found in recordings(map(str, sources))]


def test_a_folder_is_all_recordings_below_it(folder: Path) -> None:
    assert recordings([str(folder)]) == [
        Recording(f"{folder}/below/three.flac", "below/three"),
        Recording(f"{folder}/one.wav", "one"),
        Recording(f"{folder}/two.MP3", "two"),
    ]


def test_a_file_is_itself_whatever_it_is_called(folder: Path) -> None:
    (folder / "talk.xyz").touch()
    assert recordings([f"{folder}/talk.xyz"]) == [Recording(f"{folder}/talk.xyz", "talk")]


def test_a_pattern_is_what_it_matches(folder: Path) -> None:
    assert names(f"{folder}/*.wav", f"{folder}/**/*.flac") == ["one", "three"]


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("list.txt", "# ours\none.wav\n\nbelow/three.flac\n"),
        ("list.csv", "id,path\n1,one.wav\n2,below/three.flac\n"),
        ("list.tsv", "file_name\tspeaker\none.wav\tA\nbelow/three.flac\tB\n"),
        ("list.jsonl", "\n".join(json.dumps({"audio_filepath": path}) for path in ("one.wav", "below/three.flac"))),
    ],
)
def test_a_manifest_names_what_is_beside_it(folder: Path, name: str, text: str) -> None:
    (folder / name).write_text(text)
    assert recordings([f"{folder}/{name}"]) == [
        Recording(f"{folder}/one.wav", "one"),
        Recording(f"{folder}/below/three.flac", "below/three"),
    ]


def test_a_manifest_may_name_what_is_elsewhere(folder: Path) -> None:
    (folder / "list.txt").write_text("https://example.org/talks/four.ogg\n/calls/five.wav\n")
    assert recordings([f"{folder}/list.txt"]) == [
        Recording("https://example.org/talks/four.ogg", "four"),
        Recording("/calls/five.wav", "five"),
    ]


def test_any_file_system_that_fsspec_knows() -> None:
    files = fsspec.filesystem("memory")
    files.pipe({"/calls/one.wav": b"", "/calls/below/two.wav": b"", "/calls/notes.md": b""})
    assert recordings(["memory://calls"]) == [
        Recording("memory:///calls/below/two.wav", "below/two"),
        Recording("memory:///calls/one.wav", "one"),
    ]


def test_what_is_named_twice_is_done_once(folder: Path) -> None:
    assert names(folder, f"{folder}/one.wav") == ["below/three", "one", "two"]


def test_no_two_recordings_have_one_name(folder: Path) -> None:
    other = folder.parent / "other"
    other.mkdir()
    for path in (folder / "one.mp3", other / "one.wav", other / "../other/four.wav"):
        path.touch()
    found = names(folder, other)
    assert found == ["below/three", "one.mp3", "one.wav", "two", "four", "one.wav-2"]


def test_no_name_leads_out_of_the_folder(folder: Path) -> None:
    (folder / "list.txt").write_text("../../etc/talk.wav\n")
    assert names(f"{folder}/list.txt") == ["etc/talk"]


@pytest.mark.parametrize(
    ("source", "message"),
    [
        ("nowhere", "nowhere holds no recordings: name a folder, a pattern, a file or a manifest"),
        ("nothing.csv", "nothing.csv cannot be read"),
        ("teleport://calls", "teleport://calls cannot be read: Protocol not known: teleport"),
    ],
)
def test_what_names_nothing_is_said(source: str, message: str) -> None:
    with pytest.raises(InvalidRequest, match=message):
        recordings([source])


def test_a_row_without_a_recording_is_said(folder: Path) -> None:
    (folder / "list.csv").write_text("id\n1\n")
    with pytest.raises(InvalidRequest, match="has a row without a recording: name the column one of file_name"):
        recordings([f"{folder}/list.csv"])
