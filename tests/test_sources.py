"""What an archive's sources name."""

import json
import os
import threading
from collections.abc import Iterator
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import fsspec
import pytest
from fsspec.implementations.memory import MemoryFileSystem

from transcription.batch.sources import Recording, opened, recordings
from transcription.errors import InvalidRequest


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


def test_a_pattern_is_the_files_it_matches(folder: Path) -> None:
    (folder / "older.wav").mkdir()
    (folder / "linked.wav").symlink_to(folder / "below/three.flac")
    assert paths(f"{folder}/*.wav", f"{folder}/**/*.flac") == ["linked.wav", "one.wav", "three.flac"]


def test_names_are_no_addresses(folder: Path) -> None:
    names = ["a::b.wav", "talk #1.wav", "talk #2.wav", "what? 1.wav"]
    for name in names:
        (folder / name).write_text(name)
    (folder / "list.txt").write_text(f"{folder}/a::b.wav\n")
    found = recordings([f"{folder}/list.txt", f"{folder}/t*.wav", f"{folder}/what? 1.wav", str(folder)])
    assert [recording for recording in found if recording.path in names] == [
        Recording(f"{folder}/{name}", name) for name in names
    ]
    for recording in found[:4]:
        with opened(recording.address) as file:
            assert file.read().decode() == recording.path


def test_a_name_that_is_not_utf_8_is_known_by_what_can_be_written(folder: Path) -> None:
    (folder / "below" / os.fsdecode(b"caf\xe9.wav")).write_text("bonjour")
    found, *_ = recordings([str(folder)])
    assert (found.source, found.path) == (rf"{folder}/below/caf\udce9.wav", r"below/caf\udce9.wav")
    with opened(found.address) as file:
        assert file.read() == b"bonjour"


def test_links_are_followed_and_each_folder_is_listed_once(
    folder: Path, tmp_path_factory: pytest.TempPathFactory
) -> None:
    elsewhere = tmp_path_factory.mktemp("elsewhere")
    (elsewhere / "four.wav").touch()
    (elsewhere / "back").symlink_to(folder)
    (folder / "around").symlink_to(folder)
    (folder / "also").symlink_to(folder / "below")
    (folder / "below/linked").symlink_to(elsewhere)
    assert paths(folder) == ["below/linked/four.wav", "below/three.flac", "one.wav", "two.MP3"]


def test_a_folder_that_cannot_be_listed_is_said(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    scandir = os.scandir

    def refuse(path: str) -> object:
        if path.endswith("below"):
            raise PermissionError(13, "Permission denied", path)
        return scandir(path)

    monkeypatch.setattr(os, "scandir", refuse)
    with pytest.raises(InvalidRequest, match="/below cannot be read: Permission denied"):
        recordings([str(folder)])


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


def test_a_manifest_names_what_is_beside_it_in_any_file_system() -> None:
    absolute = "memory:///other//five/../six.wav"
    names = "one.wav\n./deep//two.wav\n../three.wav\n10:00.wav\n" + absolute
    fsspec.filesystem("memory").pipe({"/talks/list.txt": names.encode()})
    assert recordings(["memory://talks/list.txt"]) == [
        Recording("memory:///talks/one.wav", "one.wav"),
        Recording("memory:///talks/deep//two.wav", "deep/two.wav"),
        Recording("memory:///three.wav", "three.wav"),
        Recording("memory:///talks/10:00.wav", "10:00.wav"),
        Recording(absolute, "six.wav"),
    ]


@pytest.fixture
def site(folder: Path) -> Iterator[str]:
    """The folder on a web server."""
    server = ThreadingHTTPServer(("127.0.0.1", 0), partial(SimpleHTTPRequestHandler, directory=folder))
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    yield f"http://127.0.0.1:{server.server_port}"
    server.shutdown()
    server.server_close()
    thread.join()


def test_a_manifest_on_the_web_names_what_is_beside_it(folder: Path, site: str) -> None:
    names = ("one.wav", "../two.MP3?version=2", "/three.wav", "10:00.wav", "https://example.org/talks/four.ogg")
    (folder / "below/list.txt").write_text("\n".join(names))
    assert recordings([f"{site}/below/list.txt"]) == [
        Recording(f"{site}/below/one.wav", "one.wav"),
        Recording(f"{site}/two.MP3?version=2", "two.MP3"),
        Recording(f"{site}/three.wav", "three.wav"),
        Recording(f"{site}/below/10:00.wav", "10:00.wav"),
        Recording("https://example.org/talks/four.ogg", "four.ogg"),
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


@pytest.mark.parametrize("source", ["memory://calls", "memory://calls/list.txt"])
def test_what_a_file_system_raises_is_said_by_its_name(source: str, monkeypatch: pytest.MonkeyPatch) -> None:
    class NoCredentialsError(Exception):
        """As object stores have them."""

    def refuse(*_: object, **__: object) -> None:
        raise NoCredentialsError("the key of /home/somebody")

    for method in ("isfile", "_open"):
        monkeypatch.setattr(MemoryFileSystem, method, refuse)
    with pytest.raises(InvalidRequest) as refused:
        recordings([source])
    assert str(refused.value) == f"{source} cannot be read: NoCredentialsError"


@pytest.mark.parametrize(("name", "text"), [("list.csv", "id\n1\n"), ("list.jsonl", "[1]\n")])
def test_a_row_without_a_recording_is_said(folder: Path, name: str, text: str) -> None:
    (folder / name).write_text(text)
    with pytest.raises(InvalidRequest, match="has a row without a recording: name the column one of file_name"):
        recordings([f"{folder}/{name}"])
