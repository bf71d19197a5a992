"""Archive: a folder of transcripts that a run can be killed in, and another goes on with.

transcripts.jsonl has a line for each recording that is done: its source, its documents' name, the endpoint's answer.
transcripts.parquet is the same as a table. errors.jsonl says what could not be done in the last run.
"""

import fcntl
import json
import os
from collections.abc import Iterator, Mapping, Set
from itertools import chain, count, islice
from pathlib import Path, PurePosixPath
from types import TracebackType
from typing import IO, Any, Self

import pyarrow as pa
import pyarrow.parquet as pq

from errors import InvalidRequest
from replicas.sources import Recording

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
_ROWS = 1000  # transcripts that are held in memory for the table


class Archive:
    """The output of one run; no other run may write there meanwhile."""

    def __init__(self, folder: Path) -> None:
        """Opens the folder, made where it is missing. Raises InvalidRequest."""
        self.folder = folder
        try:
            folder.mkdir(parents=True, exist_ok=True)
            self._lines: IO[bytes] = (folder / "transcripts.jsonl").open("a+b")
        except OSError as error:
            raise InvalidRequest(f"--output {folder} cannot be written: {error.strerror}") from None
        try:
            fcntl.flock(self._lines, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            self._lines.close()
            raise InvalidRequest(f"another run writes to {folder}: let it end") from None
        self._names = dict(self._read())
        self._taken = set(self._names.values())
        self._errors: IO[str] = (folder / "errors.jsonl").open("w", encoding="utf-8")

    @property
    def done(self) -> Set[str]:
        """The sources that have their transcript."""
        return self._names.keys()

    def _read(self) -> Iterator[tuple[str, str]]:
        """The sources that are done, and their names. A last line that was not finished is cut off.

        Raises InvalidRequest where the file is not ours.
        """
        self._lines.seek(0)
        whole, torn = 0, False
        for line in self._lines:
            if torn:
                self._lines.close()
                raise InvalidRequest(f"{self._lines.name} has other lines than transcripts: move it away")
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

        Raises OSError.
        """
        name = self._name(recording)
        for extension, text in documents.items():
            path = self.folder / f"{name}.{extension}"
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(text, encoding="utf-8")
        line = json.dumps({"source": recording.source, "name": name, **answer}, ensure_ascii=False)
        self._lines.write(line.encode() + b"\n")
        self._lines.flush()
        os.fsync(self._lines.fileno())
        self._names[recording.source] = name
        self._taken.add(name)

    def _name(self, recording: Recording) -> str:
        """What its documents are called: its path without the suffix, or more of it where another has that name."""
        path = PurePosixPath(recording.path)
        names = chain([str(path.with_suffix("")), str(path)], (f"{path}-{number}" for number in count(2)))
        return next(name for name in names if name not in self._taken)

    def fail(self, source: str, error: str) -> None:
        """One that could not be transcribed; the next run tries again."""
        self._errors.write(json.dumps({"source": source, "error": error}, ensure_ascii=False) + "\n")
        self._errors.flush()

    def tabulate(self) -> None:
        """Writes the table anew; the one before stays until this one is whole."""
        self._lines.seek(0)
        unfinished = self.folder / "transcripts.parquet.unfinished"
        with pq.ParquetWriter(unfinished, SCHEMA) as table:
            while lines := list(islice(self._lines, _ROWS)):
                table.write_table(pa.Table.from_pylist([json.loads(line) for line in lines], SCHEMA))
        unfinished.replace(self.folder / "transcripts.parquet")

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._lines.close()
        self._errors.close()
