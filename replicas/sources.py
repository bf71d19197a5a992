"""Where the recordings of an archive are: folders, patterns, manifests, on this machine or any that fsspec reads."""

import csv
import json
from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import PurePosixPath

import fsspec

from audio import RECORDINGS
from errors import InvalidRequest

_MANIFESTS = (".txt", ".csv", ".tsv", ".jsonl")
_COLUMNS = ("file_name", "path", "audio", "address", "url", "file", "audio_filepath")
"""What manifests call the column: Hugging Face's audiofolder says file_name, NeMo audio_filepath."""


@dataclass(frozen=True)
class Recording:
    """address: as fsspec opens it. name: a path without a suffix, under which documents about it are written."""

    address: str
    name: str


def recordings(sources: Iterable[str]) -> list[Recording]:
    """Every recording that the sources name, once, in order. Raises InvalidRequest."""
    found = dict[str, str]()
    for source in sources:
        named = list(_named(source))
        if not named:
            raise InvalidRequest(f"{source} holds no recordings: name a folder, a pattern, a file or a manifest")
        for address, within in named:
            found.setdefault(address, within)
    return list(_with_names(found))


def _named(source: str) -> Iterator[tuple[str, str]]:
    """(address, path within the source) of every recording that a source names."""
    if source.lower().endswith(_MANIFESTS):
        yield from _manifest(source)
        return
    files, path = _opened(source)
    try:
        if "*" in path or "?" in path:
            names, root = sorted(files.glob(path)), ""
        elif _is_remote_file(source) or files.isfile(path):
            names, root = [path], str(PurePosixPath(path).parent)
        else:
            names, root = sorted(files.find(path)), path
    except OSError as error:
        raise InvalidRequest(f"{source} cannot be read: {error.strerror or type(error).__name__}") from None
    for name in names:
        if root == "" or len(names) == 1 or name.lower().endswith(RECORDINGS):
            yield _address(files, name), name.removeprefix(root).lstrip("/") if root else PurePosixPath(name).name


def _opened(source: str) -> tuple[fsspec.AbstractFileSystem, str]:
    try:
        files, path = fsspec.url_to_fs(source)
    except (ValueError, ImportError) as error:
        raise InvalidRequest(f"{source} cannot be read: {error}") from None
    return files, path


def _is_remote_file(source: str) -> bool:
    """Web servers list no folders: what is named there is a file."""
    return source.startswith(("http://", "https://"))


def _address(files: fsspec.AbstractFileSystem, name: str) -> str:
    protocols = (files.protocol,) if isinstance(files.protocol, str) else files.protocol
    return name if "file" in protocols else str(files.unstrip_protocol(name))


def _manifest(source: str) -> Iterator[tuple[str, str]]:
    """A list of recordings: one a line, or a column of a table; relative ones are beside it."""
    try:
        with fsspec.open(source, "rt", encoding="utf-8-sig") as file:
            names = list(_listed(source, file))
    except (OSError, ValueError, ImportError) as error:
        raise InvalidRequest(f"{source} cannot be read: {error}") from None
    files, path = _opened(source)
    folder = PurePosixPath(path).parent
    for name in names:
        if "://" in name or name.startswith("/"):
            yield name, PurePosixPath(name).name
        else:
            yield _address(files, str(folder / name)), name


def _listed(source: str, lines: Iterable[str]) -> Iterator[str]:
    if source.lower().endswith(".txt"):
        yield from (line.strip() for line in lines if line.strip() and not line.startswith("#"))
        return
    rows: Iterable[dict[str, object]]
    if source.lower().endswith(".jsonl"):
        rows = (json.loads(line) for line in lines if line.strip())
    else:
        rows = csv.DictReader(lines, delimiter="\t" if source.lower().endswith(".tsv") else ",")
    for row in rows:
        name = next((row[column] for column in _COLUMNS if row.get(column)), None)
        if not isinstance(name, str):
            raise InvalidRequest(
                f"{source} has a row without a recording: name the column one of {', '.join(_COLUMNS)}"
            )
        yield name


def _with_names(found: dict[str, str]) -> Iterator[Recording]:
    """Without its suffix where that is enough to tell a recording from the others."""
    taken = set[str]()
    stems = [str(PurePosixPath(within).with_suffix("")) for within in found.values()]
    counts = Counter(stems)
    for (address, within), stem in zip(found.items(), stems, strict=True):
        name = _inside(stem if counts[stem] == 1 else within)
        number = 2
        while name in taken:
            name, number = f"{_inside(within)}-{number}", number + 1
        taken.add(name)
        yield Recording(address, name)


def _inside(path: str) -> str:
    """The same path without a way out of the folder it is written in."""
    return "/".join(part for part in path.split("/") if part not in ("", ".", ".."))
