"""Archive: a folder of transcripts. A run that was killed can be continued by another run.

transcripts.jsonl has one line per finished recording: its source, the name of its documents and the endpoint's answer.
transcripts.parquet is the same as a table. errors.jsonl lists the recordings that failed in the last run.
"""

import errno
import fcntl
import json
import os
from collections.abc import Collection, Iterator, Mapping, Set
from contextlib import contextmanager
from io import FileIO
from itertools import chain, count
from pathlib import Path, PurePosixPath
from types import TracebackType
from typing import Any, Self

import pyarrow as pa
import pyarrow.parquet as pq

from transcription.batch.recording import Recording
from transcription.errors import InvalidRequest

_SPAN = pa.list_(pa.float64())
SCHEMA = pa.schema(
    {
        "source": pa.string(),
        "name": pa.string(),
        "text": pa.string(),
        "language": pa.string(),
        "duration": pa.float64(),
        "num_speakers": pa.int64(),
        "chunks": pa.list_(
            pa.struct(
                {
                    "text": pa.string(), "timestamp": _SPAN, "speaker": pa.string(), "confidence": pa.float64(),
                    "second_speaker": pa.string(), "overlap": pa.bool_(),
                }
            )
        ),
        "speakers": pa.list_(pa.struct({"speaker": pa.string(), "text": pa.string(), "timestamp": _SPAN})),
        "partial": pa.bool_(),
        "warnings": pa.list_(pa.string()),
        "coverage": pa.list_(pa.struct({"start": pa.float64(), "end": pa.float64(), "kind": pa.string()})),
    }
)  # fmt: skip
TABLE_CHUNK_BYTES = 16 * 1024 * 1024  # of lines in memory at once; as a table they take ten times as much
_DISK_FULL = (errno.ENOSPC, errno.EDQUOT)  # no other transcript can be written either


class Archive:
    """The output folder of one run. No other run can write to it at the same time."""

    def __init__(self, folder: Path) -> None:
        """Open the folder, and create it if it does not exist. Raises InvalidRequest if that fails."""
        self.folder = folder
        with self._writing():
            folder.mkdir(parents=True, exist_ok=True)
            self._transcripts = FileIO(folder / "transcripts.jsonl", "a")
        try:
            fcntl.flock(self._transcripts, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            self._transcripts.close()
            raise InvalidRequest(f"another run writes to {folder}; wait until it ends") from None
        self._names = dict(self._read())
        self._used_names = set(self._names.values())
        with self._writing():
            self._errors = FileIO(folder / "errors.jsonl", "a")
            self._errors.truncate(0)

    @property
    def done(self) -> Set[str]:
        """Sources of the recordings that have a transcript."""
        return self._names.keys()

    def _read(self) -> Iterator[tuple[str, str]]:
        """Yield the source and the name of every finished recording. Cut off an incomplete last line.

        Raises InvalidRequest if the file holds anything else.
        """
        valid_bytes, is_torn = 0, False
        with (self.folder / "transcripts.jsonl").open("rb") as lines:
            for line in lines:
                if is_torn:
                    self._transcripts.close()
                    raise InvalidRequest(f"{lines.name} has lines that are not transcripts; move it to another folder")
                try:
                    entry = json.loads(line)
                    names = str(entry["source"]), str(entry["name"])
                except (ValueError, KeyError, TypeError):
                    is_torn = True
                    continue
                is_torn = not line.endswith(b"\n")
                if not is_torn:
                    valid_bytes += len(line)
                    yield names
        self._transcripts.truncate(valid_bytes)

    def add(self, recording: Recording, answer: Mapping[str, Any], documents: Mapping[str, str]) -> None:
        """Write a transcript. documents: text by extension; they are written first, the line in the list last.

        Raises OSError if this transcript cannot be written, and InvalidRequest if no transcript can be written.
        """
        name = self._unused_name(recording)
        self._used_names.add(name)  # before writing: no other recording overwrites what a failure left
        with self._writing(only=_DISK_FULL):
            for extension, text in documents.items():
                path = self.folder / f"{name}.{extension}"
                path.parent.mkdir(parents=True, exist_ok=True)
                path.write_text(text, encoding="utf-8")
            _append(self._transcripts, {"source": recording.source, "name": name, **answer})
        self._names[recording.source] = name

    def _unused_name(self, recording: Recording) -> str:
        """Return a name for the documents: the path without its suffix, with it, or with a number."""
        path = PurePosixPath(recording.path)
        names = chain([str(path.with_suffix("")), str(path)], (f"{path}-{number}" for number in count(2)))
        return next(name for name in names if name not in self._used_names)

    def fail(self, source: str, error: str) -> None:
        """Write down that a recording failed; the next run tries it again. Raises InvalidRequest."""
        with self._writing():
            _append(self._errors, {"source": source, "error": error})

    def write_table(self) -> None:
        """Write transcripts.parquet. The former table stays until the new one is complete. Raises InvalidRequest."""
        unfinished = self.folder / "transcripts.parquet.unfinished"
        with self._writing(), (self.folder / "transcripts.jsonl").open("rb") as file:
            with pq.ParquetWriter(unfinished, SCHEMA) as table:
                while lines := file.readlines(TABLE_CHUNK_BYTES):
                    table.write_table(pa.Table.from_pylist([json.loads(line) for line in lines], SCHEMA))
            unfinished.replace(self.folder / "transcripts.parquet")

    @contextmanager
    def _writing(self, only: Collection[int] = ()) -> Iterator[None]:
        """Turn an OSError into InvalidRequest. only: error numbers; others are raised as they are."""
        try:
            yield
        except OSError as error:
            if only and error.errno not in only:
                raise
            reason = error.strerror or type(error).__name__
            raise InvalidRequest(
                f"--output {self.folder} cannot be written: {reason}. Finished transcripts are kept: fix this, then "
                "run the command again"
            ) from None

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._transcripts.close()
        self._errors.close()


def _append(file: FileIO, entry: Mapping[str, Any]) -> None:
    """Write a whole line or nothing. Raises OSError."""
    line = json.dumps(entry, ensure_ascii=False).encode() + b"\n"
    size = os.fstat(file.fileno()).st_size
    try:
        while line:
            line = line[file.write(line) :]
        os.fsync(file.fileno())
    except OSError:
        file.truncate(size)
        raise
