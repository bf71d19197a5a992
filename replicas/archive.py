"""Archive: a folder of transcripts that a run can be killed in, and another goes on with.

transcripts.jsonl has a line for each recording that is done: its source, and the endpoint's answer. transcripts.parquet
is the same as a table. errors.jsonl says what could not be done in the last run. Documents are named as recordings are.
"""

import fcntl
import json
import os
from collections.abc import Iterator, Mapping
from itertools import islice
from pathlib import Path
from types import TracebackType
from typing import IO, Any, Self

import pyarrow as pa
import pyarrow.parquet as pq

from errors import InvalidRequest

_SPAN = pa.list_(pa.float64())
SCHEMA = pa.schema(
    {
        "source": pa.string(),
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
        self.done = frozenset(self._read())
        self._errors: IO[str] = (folder / "errors.jsonl").open("w", encoding="utf-8")

    def _read(self) -> Iterator[str]:
        """The sources that are done. A last line that was not finished is cut off."""
        self._lines.seek(0)
        whole = 0
        for line in self._lines:
            try:
                source = json.loads(line)["source"]
            except (ValueError, KeyError, TypeError):
                break
            if not line.endswith(b"\n"):
                break
            whole += len(line)
            yield source
        self._lines.truncate(whole)

    def add(self, source: str, name: str, answer: Mapping[str, Any], documents: Mapping[str, str]) -> None:
        """One more transcript. Its documents (by their extension) come first: what has a line is whole."""
        for extension, text in documents.items():
            path = self.folder / f"{name}.{extension}"
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(text, encoding="utf-8")
        self._lines.write(json.dumps({"source": source, **answer}, ensure_ascii=False).encode() + b"\n")
        self._lines.flush()
        os.fsync(self._lines.fileno())

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
