"""Where the recordings of an archive are: folders, patterns, manifests, on this machine or any that fsspec reads."""

import csv
import json
import os
import posixpath
import re
from collections.abc import Iterable, Iterator
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from pathlib import PurePosixPath
from typing import IO
from urllib.parse import parse_qsl, urlencode, urljoin, urlsplit, urlunsplit

import fsspec
from fsspec.implementations.local import LocalFileSystem

from transcription.audio import AUDIO_SUFFIXES
from transcription.errors import InvalidRequest, TranscriptionError

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
    """address: as opened() takes it. path: where it lies within its source, for the names of documents about it."""

    address: str
    path: str

    @property
    def source(self) -> str:
        """What it is known by, now and in later runs: its address without a signature, which is new each time."""
        address = _writable(self.address)
        if not _is_web(address):
            return address
        parts = urlsplit(address)
        given = parse_qsl(parts.query, keep_blank_values=True)
        signed = "|".join(_SIGNED[name.lower()] for name, _ in given if name.lower() in _SIGNED)
        if not signed:
            return address
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


def opened(address: str) -> AbstractContextManager[IO[bytes]]:
    """What lies there, for reading. Raises whatever its file system does."""
    local = address.startswith("/")
    file: AbstractContextManager[IO[bytes]] = (LocalFileSystem() if local else fsspec).open(address, "rb")
    return file


def _named(source: str) -> Iterator[tuple[str, str]]:
    """(address, path within the source) of every recording that a source names."""
    if source.lower().endswith(_MANIFESTS):
        yield from _manifest(source)
        return
    with _readable(source):
        files, path = _located(source)
        if _is_web(source) or files.isfile(path):
            names = [path]
        elif "*" in path or "?" in path:
            names = sorted(name for name, found in files.glob(path, detail=True).items() if _is_file(files, found))
        else:
            names = sorted(name for name in _below(files, path) if name.lower().endswith(AUDIO_SUFFIXES))
            yield from ((_address(files, name), name.removeprefix(path)) for name in names)
            return
    yield from ((_address(files, name), _last(name)) for name in names)


@contextmanager
def _readable(source: str) -> Iterator[None]:
    """Raises InvalidRequest for whatever its file system raises."""
    try:
        yield
    except TranscriptionError:
        raise
    except OSError as error:
        why = error.strerror or type(error).__name__
        raise InvalidRequest(f"{error.filename or source} cannot be read: {why}") from None
    except (ValueError, ImportError) as error:
        raise InvalidRequest(f"{source} cannot be read: {error}") from None
    except Exception as error:  # those of object stores, without credentials for instance
        raise InvalidRequest(f"{source} cannot be read: {type(error).__name__}") from None


def _located(source: str) -> tuple[fsspec.AbstractFileSystem, str]:
    """Its file system, and where it is there. Paths on this machine go around fsspec, which splits addresses at ::."""
    local = source.removeprefix("file://")
    if local.startswith("/") or "://" not in local:
        return LocalFileSystem(), os.path.abspath(os.path.expanduser(local))
    files, path = fsspec.url_to_fs(source)
    return files, path


def _is_web(address: str) -> bool:
    """Web servers list no folders: what is named there is a file."""
    return address.startswith(("http://", "https://"))


def _is_file(files: fsspec.AbstractFileSystem, found: dict[str, str]) -> bool:
    return found["type"] == "file" or files.isfile(found["name"])  # which a link may be


def _below(files: fsspec.AbstractFileSystem, folder: str) -> Iterator[str]:
    """Every file below a folder. Raises OSError where a part of it cannot be listed."""
    if isinstance(files, LocalFileSystem):
        yield from _below_here(folder)
    elif type(files).find is fsspec.AbstractFileSystem.find and not files.async_impl:
        yield from files.find(folder, on_error=_unlisted)
    else:  # object stores: all is one list, and not all of them take on_error
        yield from files.find(folder)


def _below_here(folder: str) -> Iterator[str]:
    """Follows links to folders, last and in order: what lies in two places has the same path in every run."""
    seen, starts = set[str](), [folder]
    for start in starts:  # which grows
        for where, folders, names in os.walk(start, onerror=_unlisted):
            real = os.path.realpath(where)
            if real in seen:
                folders.clear()
                continue
            seen.add(real)
            folders.sort()
            starts += [path for name in folders if os.path.islink(path := os.path.join(where, name))]
            yield from (os.path.join(where, name) for name in names)


def _unlisted(error: OSError) -> None:
    """A folder cannot be listed: one that is not there holds no recordings. Raises every other error."""
    if not isinstance(error, FileNotFoundError):
        raise error


def _address(files: fsspec.AbstractFileSystem, name: str) -> str:
    return name if isinstance(files, LocalFileSystem) else str(files.unstrip_protocol(name))


def _manifest(source: str) -> Iterator[tuple[str, str]]:
    """A list of recordings: one a line, or a column of a table; relative ones are beside it."""
    with _readable(source):
        files, path = _located(source)
        with files.open(path, "rt", encoding="utf-8-sig") as file:
            names = list(_listed(source, file))
    for name in names:
        if _is_web(name):
            yield name, _last(name)
        elif "://" in name:
            with _readable(name):
                located = _located(name)
            yield _address(*located), _last(name)
        elif _is_web(source):
            reference = posixpath.join("./", name)  # else what is before a colon would be its scheme
            yield urljoin(source, reference), urlsplit(reference).path
        elif name.startswith("/"):
            yield _address(*_located(name)), _last(name)
        else:
            yield _address(files, _beside(path, name)), name


def _beside(path: str, name: str) -> str:
    """The path of a name beside it. Nothing but dots is resolved: to object stores, // is not /."""
    folder = path.rpartition("/")[0]
    for part in name.split("/"):
        if part == "..":
            folder = folder.rpartition("/")[0]
        elif part != ".":
            folder += f"/{part}"
    return folder


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
    return PurePosixPath(urlsplit(address).path if _is_web(address) else address).name


def _inside(path: str) -> str:
    """The same path without a way out of the folder it is written in, and in parts that a file system takes."""
    parts = [_writable(part).encode()[:_LONGEST].decode(errors="ignore") for part in path.split("/")]
    return "/".join(part for part in parts if part not in ("", ".", "..")) or "recording"


def _writable(name: str) -> str:
    """As text that can be written, which a name in bytes that are not UTF-8 is not."""
    return name.encode(errors="backslashreplace").decode()
