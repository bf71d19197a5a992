"""The files that `transcribe` reads: names with glob patterns, and a directory that is watched."""

import glob
import stat
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

from transcription.audio import AUDIO_SUFFIXES

_POLL_INTERVAL = 1.0  # seconds


def watch(folder: Path, is_done: Callable[[Path], bool]) -> Iterator[str]:
    """Yield the audio files of a folder forever: each when it has stopped growing, and again when it has changed.

    A file is skipped if `is_done` is true when it is seen first. So a restarted command does not repeat its work.
    """
    seen: dict[Path, tuple[int, int]] = {}
    yielded: dict[Path, tuple[int, int]] = {}
    while True:
        for path in sorted(folder.iterdir()):
            state = _file_state(path)
            if state is None:
                continue
            if path not in seen and is_done(path):
                yielded[path] = state
            if seen.get(path) == state != yielded.get(path):
                yielded[path] = state
                yield str(path)
            seen[path] = state
        time.sleep(_POLL_INTERVAL)


def _file_state(path: Path) -> tuple[int, int] | None:
    """Return the size and the modification time of an audio file; None if it is no audio file, or was removed."""
    try:
        status = path.stat()
    except OSError:
        return None
    is_audio_file = path.suffix.lower() in AUDIO_SUFFIXES and stat.S_ISREG(status.st_mode)
    return (status.st_size, status.st_mtime_ns) if is_audio_file else None


def expand_patterns(names: Sequence[str]) -> Iterator[str]:
    """Yield file names, with each glob pattern replaced by its matches. A pattern without matches is kept."""
    for name in names:
        if name == "-" or Path(name).exists():
            yield name
        else:
            yield from sorted(glob.glob(name, recursive=True)) or [name]
