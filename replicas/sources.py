"""Where the recordings of an archive are: folders, patterns, manifests, on this machine or any that fsspec reads."""

import csv
import json
import posixpath
import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import PurePosixPath
from urllib.parse import parse_qsl, urlencode, urlsplit, urlunsplit

import fsspec

from audio import RECORDINGS
from errors import InvalidRequest

_MANIFESTS = (".txt", ".csv", ".tsv", ".jsonl")
_COLUMNS = ("file_name", "path", "audio", "address", "url", "file", "audio_filepath")
"""What manifests call the column: Hugging Face's audiofolder says file_name, NeMo audio_filepath."""
_SIGNED = {
    "x-amz-signature": r"x-amz-.*",
    "x-goog-signature": r"x-goog-.*",
    "signature": r"signature|expires|policy|key-pair-id|(aws|oss)accesskeyid|x-amz-security-token|googleaccessid",
    "sig": r"sig|sv|ss|srt|sp|se|st|spr|sr|si|sip|ses|skoid|sktid|skt|ske|sks|skv|saoid|suoid|scid|sdd",
}
"""Signatures in addresses (of AWS; of Google; of both before, CloudFront and Alibaba; of Azure), and what they sign."""
_LONGEST = 200  # bytes of a file's name; 255 is what most file systems take


@dataclass(frozen=True)
class Recording:
    """address: as fsspec opens it. path: where it lies within its source, for the names of documents about it."""

    address: str
    path: str

    @property
    def source(self) -> str:
        """What it is known by, now and in later runs: its address without a signature, which is new each time."""
        parts = urlsplit(self.address)
        given = parse_qsl(parts.query, keep_blank_values=True) if parts.scheme in ("http", "https") else []
        signed = "|".join(_SIGNED[name.lower()] for name, _ in given if name.lower() in _SIGNED)
        if not signed:
            return self.address
        kept = [(name, value) for name, value in given if not re.fullmatch(signed, name, re.IGNORECASE)]
        return urlunsplit(parts._replace(query=urlencode(kept)))


def recordings(sources: Iterable[str]) -> list[Recording]:
    """Every recording that the sources name, once, in order. Raises InvalidRequest."""
    found = dict[str, Recording]()
    for source in sources:
        named = [Recording(address, _inside(path)) for address, path in _named(source)]
        if not named:
            raise InvalidRequest(f"{source} holds no recordings: name a folder, a pattern, a file or a manifest")
        for recording in named:
            found.setdefault(recording.source, recording)
    return list(found.values())


def _named(source: str) -> Iterator[tuple[str, str]]:
    """(address, path within the source) of every recording that a source names."""
    if source.lower().endswith(_MANIFESTS):
        yield from _manifest(source)
        return
    files, path = _opened(source)
    try:
        if _is_remote_file(source) or files.isfile(path):
            names = [path]
        elif "*" in path or "?" in path:
            names = sorted(files.glob(path))
        else:
            names = sorted(name for name in files.find(path) if name.lower().endswith(RECORDINGS))
            yield from ((_address(files, name), name.removeprefix(path)) for name in names)
            return
    except OSError as error:
        raise InvalidRequest(f"{source} cannot be read: {error.strerror or type(error).__name__}") from None
    yield from ((_address(files, name), _last(name)) for name in names)


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
    beside, path = _opened(source)
    folder = PurePosixPath(path).parent
    for name in names:
        if "://" in name or name.startswith("/"):
            files, whole = _opened(name)
            yield name if _is_remote_file(name) else _address(files, posixpath.normpath(whole)), _last(name)
        else:
            yield _address(beside, posixpath.normpath(folder / name)), name


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
        name = next((row[column] for column in _COLUMNS if row.get(column)), None) if isinstance(row, dict) else None
        if not isinstance(name, str):
            raise InvalidRequest(
                f"{source} has a row without a recording: name the column one of {', '.join(_COLUMNS)}"
            )
        yield name


def _last(address: str) -> str:
    """The last part of an address, without what stands behind a question mark."""
    return PurePosixPath(urlsplit(address).path).name


def _inside(path: str) -> str:
    """The same path without a way out of the folder it is written in, and in parts that a file system takes."""
    parts = [part.encode()[:_LONGEST].decode(errors="ignore") for part in path.split("/")]
    return "/".join(part for part in parts if part not in ("", ".", "..")) or "recording"
