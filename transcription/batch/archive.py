"""Archive: a folder of transcripts that a run can be killed in, and another goes on with.

transcripts.jsonl has a line for each recording that is done: its source, its documents' name, the endpoint's answer.
transcripts.parquet is the same as a table. errors.jsonl says what could not be done in the last run.
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

from transcription.batch.sources import Recording
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
    }
)  # fmt: skip
_BYTES = 16 * 1024 * 1024  # of lines that are in memory at once for the table, where they take ten times as much
_FULL = (errno.ENOSPC, errno.EDQUOT)  # where there is no room for one transcript, there is none for the next


class Archive:
    """The output of one run; no other run may write there meanwhile."""

    def __init__(self, folder: Path) -> None:
        """Opens the folder, made where it is missing. Raises InvalidRequest."""
        self.folder = folder
        with self._writable():
            folder.mkdir(parents=True, exist_ok=True)
            self._lines = FileIO(folder / "transcripts.jsonl", "a")
        try:
            fcntl.flock(self._lines, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            self._lines.close()
            raise InvalidRequest(f"another run writes to {folder}: let it end") from None
        self._names = dict(self._read())
        self._taken = set(self._names.values())
        with self._writable():
            self._errors = FileIO(folder / "errors.jsonl", "a")
            self._errors.truncate(0)

    @property
    def done(self) -> Set[str]:
        """The sources that have their transcript."""
        return self._names.keys()

    def _read(self) -> Iterator[tuple[str, str]]:
        """The sources that are done, and their names. A last line that was not finished is cut off.

        Raises InvalidRequest where the file is not ours.
        """
        whole, torn = 0, False
        with (self.folder / "transcripts.jsonl").open("rb") as lines:
            for line in lines:
                if torn:
                    self._lines.close()
                    raise InvalidRequest(f"{lines.name} has other lines than transcripts: move it away")
                try:
                    found = json.loads(line)
                    entry = str(found["source"]), str(found["name"])
                except (ValueError, KeyError, TypeError):
                    torn = True
                    continue
                torn = not line.endswith(b"\n")
                if not torn:
                    whole += len(line)
                    yield entry
        self._lines.truncate(whole)

    def add(self, recording: Recording, answer: Mapping[str, Any], documents: Mapping[str, str]) -> None:
        """One more transcript. Its documents (by their extension) come first: what has a line is whole.

        Raises OSError where this one cannot be written, InvalidRequest where nothing can.
        """
        name = self._name(recording)
        self._taken.add(name)  # first: what there is of one that fails, no other writes over
        with self._writable(only=_FULL):
            for extension, text in documents.items():
                path = self.folder / f"{name}.{extension}"
                path.parent.mkdir(parents=True, exist_ok=True)
                path.write_text(text, encoding="utf-8")
            _append(self._lines, {"source": recording.source, "name": name, **answer})
        self._names[recording.source] = name

    def _name(self, recording: Recording) -> str:
        """What its documents are called: its path without the suffix, or more of it where another has that name."""
        path = PurePosixPath(recording.path)
        names = chain([str(path.with_suffix("")), str(path)], (f"{path}-{number}" for number in count(2)))
        return next(name for name in names if name not in self._taken)

    def fail(self, source: str, error: str) -> None:
        """One that could not be transcribed; the next run tries again. Raises InvalidRequest."""
        with self._writable():
            _append(self._errors, {"source": source, "error": error})

    def tabulate(self) -> None:
        """Writes the table anew; the one before stays until this one is whole. Raises InvalidRequest."""
        unfinished = self.folder / "transcripts.parquet.unfinished"
        with self._writable(), (self.folder / "transcripts.jsonl").open("rb") as file:
            with pq.ParquetWriter(unfinished, SCHEMA) as table:
                while lines := file.readlines(_BYTES):
                    table.write_table(pa.Table.from_pylist([json.loads(line) for line in lines], SCHEMA))
            unfinished.replace(self.folder / "transcripts.parquet")

    @contextmanager
    def _writable(self, only: Collection[int] = ()) -> Iterator[None]:
        """Raises InvalidRequest where something cannot be written: for any reason, or only for these numbers'."""
        try:
            yield
        except OSError as error:
            if only and error.errno not in only:
                raise
            why = error.strerror or type(error).__name__
            raise InvalidRequest(
                f"--output {self.folder} cannot be written: {why}: mend it and run again, what is done is kept"
            ) from None

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._lines.close()
        self._errors.close()


def _append(file: FileIO, entry: Mapping[str, Any]) -> None:
    """Writes a line, whole or not at all. Raises OSError."""
    line = json.dumps(entry, ensure_ascii=False).encode() + b"\n"
    before = os.fstat(file.fileno()).st_size
    try:
        while line:
            line = line[file.write(line) :]
        os.fsync(file.fileno())
    except OSError:
        file.truncate(before)
        raise
