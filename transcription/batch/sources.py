"""Sources of an archive: folders, patterns, files and manifests, on this machine or anywhere fsspec can read."""

from collections.abc import Iterable, Iterator

import fsspec

from transcription.audio import AUDIO_SUFFIXES
from transcription.batch.filesystems import address_of, files_below, is_web, locate, name_of, reading
from transcription.batch.manifests import is_manifest, read_manifest
from transcription.batch.recording import Recording, as_text, safe_path
from transcription.errors import InvalidRequest


def find_recordings(sources: Iterable[str]) -> list[Recording]:
    """Return every recording that the sources name, once, in order.

    Raises InvalidRequest if a source cannot be read or names nothing, or if two recordings have the same id.
    """
    recordings = dict[str, Recording]()
    for source in sources:
        empty = True
        for recording in read_manifest(source) if is_manifest(source) else _listed(source):
            empty = False
            _add(recordings, recording)
        if empty:
            raise InvalidRequest(f"{source} holds no recordings: name a folder, a pattern, a file or a manifest")
    return list(recordings.values())


def _add(recordings: dict[str, Recording], recording: Recording) -> None:
    first = recordings.setdefault(recording.source, recording)
    if first.address != recording.address:
        addresses = f"{as_text(first.address)} and {as_text(recording.address)}"
        raise InvalidRequest(f"two recordings have the id {recording.source}: {addresses}; give each its own id")


def _listed(source: str) -> Iterator[Recording]:
    """Yield the recordings of a folder, a pattern or a file."""
    with reading(source):
        files, path = locate(source)
        if is_web(source) or files.isfile(path):
            paths = {path: name_of(path)}
        elif "*" in path or "?" in path:
            matches = files.glob(path, detail=True).items()
            paths = {match: name_of(match) for match, details in sorted(matches) if _is_file(files, details)}
        else:
            names = sorted(name for name in files_below(files, path) if name.lower().endswith(AUDIO_SUFFIXES))
            paths = {name: name.removeprefix(path) for name in names}
    for name, inner in paths.items():
        yield Recording(address_of(files, name), safe_path(inner))


def _is_file(files: fsspec.AbstractFileSystem, details: dict[str, str]) -> bool:
    """Return whether a match is a file, or a link to one."""
    return details["type"] == "file" or bool(files.isfile(details["name"]))
