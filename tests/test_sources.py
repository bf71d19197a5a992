"""find_recordings: folders, patterns, files and manifests."""

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

from transcription.batch.filesystems import open_recording
from transcription.batch.recording import Recording
from transcription.batch.sources import find_recordings
from transcription.errors import InvalidRequest


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Return a folder with three recordings, one of them in a folder below, and another file."""
    for name in ("one.wav", "two.MP3", "below/three.flac", "notes.txt"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).touch()
    return tmp_path


def paths(*sources: Path | str) -> list[str]:
    return [recording.path for recording in find_recordings(map(str, sources))]


def test_a_folder_names_all_recordings_below_it(folder: Path) -> None:
    assert find_recordings([str(folder)]) == [
        Recording(f"{folder}/below/three.flac", "below/three.flac"),
        Recording(f"{folder}/one.wav", "one.wav"),
        Recording(f"{folder}/two.MP3", "two.MP3"),
    ]


def test_a_file_is_a_recording_whatever_its_suffix(folder: Path) -> None:
    (folder / "talk.xyz").touch()
    assert find_recordings([f"{folder}/talk.xyz"]) == [Recording(f"{folder}/talk.xyz", "talk.xyz")]


def test_a_pattern_names_the_files_that_match(folder: Path) -> None:
    (folder / "older.wav").mkdir()
    (folder / "linked.wav").symlink_to(folder / "below/three.flac")
    assert paths(f"{folder}/*.wav", f"{folder}/**/*.flac") == ["linked.wav", "one.wav", "three.flac"]


def test_file_names_are_not_read_as_addresses(folder: Path) -> None:
    names = ["a::b.wav", "talk #1.wav", "talk #2.wav", "what? 1.wav"]
    for name in names:
        (folder / name).write_text(name)
    (folder / "list.txt").write_text(f"{folder}/a::b.wav\n")
    recordings = find_recordings([f"{folder}/list.txt", f"{folder}/t*.wav", f"{folder}/what? 1.wav", str(folder)])
    assert [recording for recording in recordings if recording.path in names] == [
        Recording(f"{folder}/{name}", name) for name in names
    ]
    for recording in recordings[:4]:
        with open_recording(recording.address) as file:
            assert file.read().decode() == recording.path


def test_a_name_that_is_not_utf_8_is_escaped_in_the_source(folder: Path) -> None:
    (folder / "below" / os.fsdecode(b"caf\xe9.wav")).write_text("bonjour")
    recording, *_ = find_recordings([str(folder)])
    assert (recording.source, recording.path) == (rf"{folder}/below/caf\udce9.wav", r"below/caf\udce9.wav")
    with open_recording(recording.address) as file:
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


def test_raises_invalid_request_when_a_folder_cannot_be_listed(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    scandir = os.scandir

    def refuse(path: str) -> object:
        if path.endswith("below"):
            raise PermissionError(13, "Permission denied", path)
        return scandir(path)

    monkeypatch.setattr(os, "scandir", refuse)
    with pytest.raises(InvalidRequest, match="/below cannot be read: Permission denied"):
        find_recordings([str(folder)])


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("list.txt", "# ours\none.wav\n\nbelow/three.flac\n"),
        ("list.csv", "speaker,path\nA,one.wav\nB,below/three.flac\n"),
        ("list.tsv", "file_name\tspeaker\none.wav\tA\nbelow/three.flac\tB\n"),
        ("list.jsonl", "\n".join(json.dumps({"audio_filepath": path}) for path in ("one.wav", "below/three.flac"))),
    ],
)
def test_addresses_in_a_manifest_are_relative_to_it(folder: Path, name: str, text: str) -> None:
    (folder / name).write_text(text)
    assert find_recordings([f"{folder}/{name}"]) == [
        Recording(f"{folder}/one.wav", "one.wav"),
        Recording(f"{folder}/below/three.flac", "below/three.flac"),
    ]


def test_a_manifest_can_name_absolute_addresses(folder: Path) -> None:
    (folder / "list.txt").write_text("https://example.org/talks/four.ogg\n/calls/five.wav\n")
    assert find_recordings([f"{folder}/list.txt"]) == [
        Recording("https://example.org/talks/four.ogg", "four.ogg"),
        Recording("/calls/five.wav", "five.wav"),
    ]


def test_sources_can_be_in_any_file_system_of_fsspec() -> None:
    files = fsspec.filesystem("memory")
    files.pipe({"/calls/one.wav": b"", "/calls/below/two.wav": b"", "/calls/notes.md": b""})
    assert find_recordings(["memory://calls"]) == [
        Recording("memory:///calls/below/two.wav", "below/two.wav"),
        Recording("memory:///calls/one.wav", "one.wav"),
    ]


def test_addresses_in_a_manifest_are_relative_to_it_in_any_file_system() -> None:
    absolute = "memory:///other//five/../six.wav"
    names = "one.wav\n./deep//two.wav\n../three.wav\n10:00.wav\n" + absolute
    fsspec.filesystem("memory").pipe({"/talks/list.txt": names.encode()})
    assert find_recordings(["memory://talks/list.txt"]) == [
        Recording("memory:///talks/one.wav", "one.wav"),
        Recording("memory:///talks/deep//two.wav", "deep/two.wav"),
        Recording("memory:///three.wav", "three.wav"),
        Recording("memory:///talks/10:00.wav", "10:00.wav"),
        Recording(absolute, "six.wav"),
    ]


@pytest.fixture
def site(folder: Path) -> Iterator[str]:
    """Yield the address of a web server with the folder."""
    server = ThreadingHTTPServer(("127.0.0.1", 0), partial(SimpleHTTPRequestHandler, directory=folder))
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    yield f"http://127.0.0.1:{server.server_port}"
    server.shutdown()
    server.server_close()
    thread.join()


def test_addresses_in_a_manifest_on_the_web_are_relative_to_it(folder: Path, site: str) -> None:
    names = ("one.wav", "../two.MP3?version=2", "/three.wav", "10:00.wav", "https://example.org/talks/four.ogg")
    (folder / "below/list.txt").write_text("\n".join(names))
    assert find_recordings([f"{site}/below/list.txt"]) == [
        Recording(f"{site}/below/one.wav", "one.wav"),
        Recording(f"{site}/two.MP3?version=2", "two.MP3"),
        Recording(f"{site}/three.wav", "three.wav"),
        Recording(f"{site}/below/10:00.wav", "10:00.wav"),
        Recording("https://example.org/talks/four.ogg", "four.ogg"),
    ]


def test_a_recording_that_is_named_twice_is_listed_once(folder: Path) -> None:
    (folder / "list.txt").write_text(f"below/../one.wav\nfile://{folder}/two.MP3\n")
    assert paths(folder, f"{folder}/one.wav", f"{folder}/list.txt") == ["below/three.flac", "one.wav", "two.MP3"]


def test_raises_invalid_request_when_a_folder_holds_no_recordings(tmp_path: Path) -> None:
    (tmp_path / "README.md").touch()
    with pytest.raises(InvalidRequest, match="holds no recordings"):
        find_recordings([str(tmp_path)])


def test_paths_stay_within_the_output_folder(folder: Path) -> None:
    (folder / "list.txt").write_text("../../etc/talk.wav\n.\n")
    assert paths(f"{folder}/list.txt") == ["etc/talk.wav", "recording"]


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("list.csv", "id,path\ncall-1,one.wav\n,two.MP3\n3,below/three.flac\n"),
        ("list.tsv", "path\tid\none.wav\tcall-1\ntwo.MP3\t\nbelow/three.flac\t3\n"),
        (
            "list.jsonl",
            '{"id": "call-1", "path": "one.wav"}\n{"path": "two.MP3"}\n{"id": 3, "path": "below/three.flac"}',
        ),
    ],
)
def test_an_id_in_a_manifest_is_the_source_of_its_recording(folder: Path, name: str, text: str) -> None:
    (folder / name).write_text(text)
    recordings = find_recordings([f"{folder}/{name}"])
    assert [(recording.source, recording.path) for recording in recordings] == [
        ("call-1", "one.wav"),
        (f"{folder}/two.MP3", "two.MP3"),
        ("3", "below/three.flac"),
    ]


def test_without_an_id_the_source_is_the_whole_address() -> None:
    address = "https://example.org/talks/four.ogg?version=2&signature=ab%2F"
    (recording,) = find_recordings([address])
    assert (recording.source, recording.address, recording.path) == (address, address, "four.ogg")


def test_an_id_that_is_not_unicode_is_escaped_in_the_source(folder: Path) -> None:
    (folder / "list.jsonl").write_text('{"id": "caf\\udce9", "path": "one.wav"}')
    (recording,) = find_recordings([f"{folder}/list.jsonl"])
    assert recording.source == r"caf\udce9"


def test_an_id_that_is_repeated_with_its_address_is_listed_once(folder: Path) -> None:
    (folder / "list.csv").write_text("id,path\n7,one.wav\n7,below/../one.wav\n")
    assert paths(f"{folder}/list.csv", f"{folder}/list.csv") == ["one.wav"]


def test_raises_invalid_request_when_two_addresses_have_the_same_id(folder: Path) -> None:
    (folder / "list.csv").write_text("id,path\n7,one.wav\n")
    (folder / "more.csv").write_text("id,path\n7,two.MP3\n")
    with pytest.raises(InvalidRequest) as error:
        find_recordings([f"{folder}/list.csv", f"{folder}/more.csv"])
    assert str(error.value) == (
        f"two recordings have the id 7: {folder}/one.wav and {folder}/two.MP3; give each its own id"
    )


@pytest.mark.parametrize("value", [[1], 1.5, True])
def test_raises_invalid_request_when_an_id_is_neither_text_nor_a_whole_number(folder: Path, value: object) -> None:
    (folder / "list.jsonl").write_text(json.dumps({"id": value, "path": "one.wav"}))
    with pytest.raises(InvalidRequest, match=r"list\.jsonl has an id that is neither text nor a whole number: "):
        find_recordings([f"{folder}/list.jsonl"])


def test_long_names_are_cut(folder: Path) -> None:
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
def test_raises_invalid_request_when_a_source_names_nothing(source: str, message: str) -> None:
    with pytest.raises(InvalidRequest, match=message):
        find_recordings([source])


@pytest.mark.parametrize("source", ["memory://calls", "memory://calls/list.txt"])
def test_unknown_errors_of_a_file_system_are_reported_by_name_only(
    source: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    class NoCredentialsError(Exception):
        """An error as object stores raise it."""

    def refuse(*_: object, **__: object) -> None:
        raise NoCredentialsError("the key of /home/somebody")

    for method in ("isfile", "_open"):
        monkeypatch.setattr(MemoryFileSystem, method, refuse)
    with pytest.raises(InvalidRequest) as refused:
        find_recordings([source])
    assert str(refused.value) == f"{source} cannot be read: NoCredentialsError"


@pytest.mark.parametrize(("name", "text"), [("list.csv", "id\n1\n"), ("list.jsonl", "[1]\n")])
def test_raises_invalid_request_when_a_row_has_no_address(folder: Path, name: str, text: str) -> None:
    (folder / name).write_text(text)
    with pytest.raises(InvalidRequest, match="has a row without a recording: name the column one of file_name"):
        find_recordings([f"{folder}/{name}"])
