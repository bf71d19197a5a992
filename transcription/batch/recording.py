"""Recording: one recording of an archive, and how it is known and named."""

from dataclasses import dataclass
from pathlib import PurePosixPath

_MAX_NAME_BYTES = 200  # most file systems allow 255, and documents add a suffix


@dataclass(frozen=True)
class Recording:
    """One recording.

    address: what open_recording() takes. path: its path within its source, which names its documents. id: from a
    manifest's id column, None without one.
    """

    address: str
    path: str
    id: str | None = None

    @property
    def source(self) -> str:
        """The key of the recording in this run and in later runs: its id, or else its address."""
        return as_text(self.address if self.id is None else self.id)

    @property
    def name(self) -> str:
        """The file name without folder and suffix."""
        return as_text(PurePosixPath(self.path).stem)


def as_text(name: str) -> str:
    r"""Return a name that UTF-8 can encode: bytes of a file name that are not UTF-8 become \udcXX."""
    return name.encode(errors="backslashreplace").decode()


def safe_path(path: str) -> str:
    """Return a relative path that stays within its folder, with parts that a file system accepts."""
    parts = [as_text(part).encode()[:_MAX_NAME_BYTES].decode(errors="ignore") for part in path.split("/")]
    return "/".join(part for part in parts if part not in ("", ".", "..")) or "recording"
