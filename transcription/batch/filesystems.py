"""File systems that hold recordings: this machine's own, and every other one that fsspec can read."""

import os
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager
from pathlib import PurePosixPath
from typing import IO
from urllib.parse import urlsplit

import fsspec
from fsspec.implementations.local import LocalFileSystem

from transcription.errors import InvalidRequest, TranscriptionError


def open_recording(address: str) -> AbstractContextManager[IO[bytes]]:
    """Open a recording for reading. Raises whatever its file system raises."""
    local = address.startswith("/")
    file: AbstractContextManager[IO[bytes]] = (LocalFileSystem() if local else fsspec).open(address, "rb")
    return file


@contextmanager
def reading(source: str) -> Iterator[None]:
    """Turn every error of a file system into InvalidRequest."""
    try:
        yield
    except TranscriptionError:
        raise
    except OSError as error:
        reason = error.strerror or type(error).__name__
        raise InvalidRequest(f"{error.filename or source} cannot be read: {reason}") from None
    except (ValueError, ImportError) as error:
        raise InvalidRequest(f"{source} cannot be read: {error}") from None
    except Exception as error:  # of an object store, for instance when credentials are missing
        raise InvalidRequest(f"{source} cannot be read: {type(error).__name__}") from None


def locate(source: str) -> tuple[fsspec.AbstractFileSystem, str]:
    """Return the file system of a source and its path there.

    Local paths do not go through fsspec, which splits addresses at `::`.
    """
    local = source.removeprefix("file://")
    if local.startswith("/") or "://" not in local:
        return LocalFileSystem(), os.path.abspath(os.path.expanduser(local))
    files, path = fsspec.url_to_fs(source)
    return files, path


def address_of(files: fsspec.AbstractFileSystem, path: str) -> str:
    """Return the address of a path, as open_recording() takes it."""
    return path if isinstance(files, LocalFileSystem) else str(files.unstrip_protocol(path))


def is_web(address: str) -> bool:
    """Return whether this is a web address. Web servers list no folders: each address is one file."""
    return address.startswith(("http://", "https://"))


def name_of(address: str) -> str:
    """Return the last part of an address, without its query."""
    return PurePosixPath(urlsplit(address).path if is_web(address) else address).name


def files_below(files: fsspec.AbstractFileSystem, folder: str) -> Iterator[str]:
    """Yield the path of every file below a folder. Raises OSError if a part of it cannot be listed."""
    if isinstance(files, LocalFileSystem):
        yield from _local_files_below(folder)
    elif type(files).find is fsspec.AbstractFileSystem.find and not files.async_impl:
        yield from files.find(folder, on_error=_raise_unless_missing)
    else:  # object stores list everything in one call, and some of them do not accept on_error
        yield from files.find(folder)


def _local_files_below(folder: str) -> Iterator[str]:
    """Yield files, each folder once. Linked folders come last, so that every run finds the same paths."""
    seen, starts = set[str](), [folder]
    for start in starts:  # the list grows while it is read
        for parent, folders, names in os.walk(start, onerror=_raise_unless_missing):
            real = os.path.realpath(parent)
            if real in seen:
                folders.clear()
                continue
            seen.add(real)
            folders.sort()
            starts += [path for name in folders if os.path.islink(path := os.path.join(parent, name))]
            yield from (os.path.join(parent, name) for name in names)


def _raise_unless_missing(error: OSError) -> None:
    """Raise an error of a listing. A folder that does not exist holds no recordings, and raises nothing."""
    if not isinstance(error, FileNotFoundError):
        raise error
