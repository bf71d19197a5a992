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


def paths(*sources: Path | str) -> list[str]:
    return [found.path for found in recordings(map(str, sources))]


def test_a_folder_is_all_recordings_below_it(folder: Path) -> None:
    assert recordings([str(folder)]) == [
        Recording(f"{folder}/below/three.flac", "below/three.flac"),
        Recording(f"{folder}/one.wav", "one.wav"),
        Recording(f"{folder}/two.MP3", "two.MP3"),
    ]


def test_a_file_is_itself_whatever_it_is_called(folder: Path) -> None:
    (folder / "talk.xyz").touch()
    assert recordings([f"{folder}/talk.xyz"]) == [Recording(f"{folder}/talk.xyz", "talk.xyz")]


def test_a_pattern_is_what_it_matches(folder: Path) -> None:
    assert paths(f"{folder}/*.wav", f"{folder}/**/*.flac") == ["one.wav", "three.flac"]


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
        Recording(f"{folder}/one.wav", "one.wav"),
        Recording(f"{folder}/below/three.flac", "below/three.flac"),
    ]


def test_a_manifest_may_name_what_is_elsewhere(folder: Path) -> None:
    (folder / "list.txt").write_text("https://example.org/talks/four.ogg\n/calls/five.wav\n")
    assert recordings([f"{folder}/list.txt"]) == [
        Recording("https://example.org/talks/four.ogg", "four.ogg"),
        Recording("/calls/five.wav", "five.wav"),
    ]


def test_any_file_system_that_fsspec_knows() -> None:
    files = fsspec.filesystem("memory")
    files.pipe({"/calls/one.wav": b"", "/calls/below/two.wav": b"", "/calls/notes.md": b""})
    assert recordings(["memory://calls"]) == [
        Recording("memory:///calls/below/two.wav", "below/two.wav"),
        Recording("memory:///calls/one.wav", "one.wav"),
    ]


def test_what_is_named_twice_is_done_once(folder: Path) -> None:
    (folder / "list.txt").write_text(f"below/../one.wav\nfile://{folder}/two.MP3\n")
    assert paths(folder, f"{folder}/one.wav", f"{folder}/list.txt") == ["below/three.flac", "one.wav", "two.MP3"]


def test_a_folder_with_nothing_but_words_holds_no_recording(tmp_path: Path) -> None:
    (tmp_path / "README.md").touch()
    with pytest.raises(InvalidRequest, match="holds no recordings"):
        recordings([str(tmp_path)])


def test_no_path_leads_out_of_its_folder(folder: Path) -> None:
    (folder / "list.txt").write_text("../../etc/talk.wav\n.\n")
    assert paths(f"{folder}/list.txt") == ["etc/talk.wav", "recording"]


@pytest.mark.parametrize(
    ("query", "kept"),
    [
        ("X-Amz-Date=20261121&X-Amz-Signature=ab%2F", ""),
        ("sv=2024&se=2026&sp=r&sig=a%3D", ""),
        ("id=7&GoogleAccessId=a&Expires=1&Signature=b", "?id=7"),
        ("id=7&sp=1&expires=2", "?id=7&sp=1&expires=2"),
        ("sid=1&start=0&sig=a", "?sid=1&start=0"),
        ("start=30&sp=1&expires=2&X-Goog-Signature=ab", "?start=30&sp=1&expires=2"),
    ],
)
def test_a_recording_is_known_without_its_signature(query: str, kept: str) -> None:
    (found,) = recordings([f"https://example.org/talks/four.ogg?{query}"])
    assert (found.source, found.path) == (f"https://example.org/talks/four.ogg{kept}", "four.ogg")
    assert found.address.endswith(query)


def test_a_path_is_cut_where_no_file_could_be_called_so(folder: Path) -> None:
    (folder / "list.txt").write_text("ä" * 150 + ".wav\n")
    assert paths(f"{folder}/list.txt") == ["ä" * 100]


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


@pytest.mark.parametrize(("name", "text"), [("list.csv", "id\n1\n"), ("list.jsonl", "[1]\n")])
def test_a_row_without_a_recording_is_said(folder: Path, name: str, text: str) -> None:
    (folder / name).write_text(text)
    with pytest.raises(InvalidRequest, match="has a row without a recording: name the column one of file_name"):
        recordings([f"{folder}/{name}"])
