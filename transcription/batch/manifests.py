"""Manifests: lists of recordings in .txt, .csv, .tsv and .jsonl files."""

import csv
import json
import posixpath
from collections.abc import Iterable, Iterator
from urllib.parse import urljoin, urlsplit

import fsspec

from transcription.batch.filesystems import address_of, is_web, locate, name_of, reading
from transcription.batch.recording import Recording, safe_path
from transcription.errors import InvalidRequest

ADDRESS_COLUMNS = ("file_name", "path", "audio", "address", "url", "file", "audio_filepath")
"""Names of the column with the address: Hugging Face's audiofolder uses file_name, NeMo audio_filepath."""
ID_COLUMN = "id"
SUFFIXES = (".txt", ".csv", ".tsv", ".jsonl")


def is_manifest(source: str) -> bool:
    """Return whether a source is a manifest, by its suffix."""
    return source.lower().endswith(SUFFIXES)


def read_manifest(source: str) -> Iterator[Recording]:
    """Yield the recordings of a manifest. Relative addresses are relative to the manifest.

    Raises InvalidRequest if it cannot be read, or if a row has no address or an invalid id.
    """
    with reading(source):
        files, path = locate(source)
        with files.open(path, "rt", encoding="utf-8-sig") as file:
            entries = list(_entries(source, file))
    for name, identifier in entries:
        address, below = _resolve(source, files, path, name)
        yield Recording(address, safe_path(below), identifier)


def _entries(source: str, lines: Iterable[str]) -> Iterator[tuple[str, str | None]]:
    """Yield the address and the id of each entry, as they are written there."""
    if source.lower().endswith(".txt"):
        yield from ((line.strip(), None) for line in lines if line.strip() and not line.startswith("#"))
        return
    rows: Iterable[dict[str, object]]
    if source.lower().endswith(".jsonl"):
        rows = (json.loads(line) for line in lines if line.strip())
    else:
        rows = csv.DictReader(lines, delimiter="\t" if source.lower().endswith(".tsv") else ",")
    for row in rows:
        values = row if isinstance(row, dict) else {}
        name = next((values[column] for column in ADDRESS_COLUMNS if values.get(column)), None)
        if not isinstance(name, str):
            columns = ", ".join(ADDRESS_COLUMNS)
            raise InvalidRequest(f"{source} has a row without a recording: name the column one of {columns}")
        yield name, _identifier(source, values.get(ID_COLUMN))


def _identifier(source: str, value: object) -> str | None:
    if value is None or value == "":
        return None
    if isinstance(value, bool) or not isinstance(value, str | int):
        raise InvalidRequest(f"{source} has an id that is neither text nor a whole number: {value!r:.80}")
    return str(value)


def _resolve(source: str, files: fsspec.AbstractFileSystem, path: str, name: str) -> tuple[str, str]:
    """Return the address of an entry, and its path for the names of documents. files, path: of the manifest."""
    if is_web(name):
        return name, name_of(name)
    if "://" in name:
        with reading(name):
            located = locate(name)
        return address_of(*located), name_of(name)
    if is_web(source):
        reference = posixpath.join("./", name)  # without ./ the text before a colon would be a scheme
        return urljoin(source, reference), urlsplit(reference).path
    if name.startswith("/"):
        return address_of(*locate(name)), name_of(name)
    return address_of(files, _relative_to(path, name)), name


def _relative_to(path: str, name: str) -> str:
    """Return the path of a name in the folder of `path`. Only dots are resolved: in object stores // is not /."""
    folder = path.rpartition("/")[0]
    for part in name.split("/"):
        if part == "..":
            folder = folder.rpartition("/")[0]
        elif part != ".":
            folder += f"/{part}"
    return folder
