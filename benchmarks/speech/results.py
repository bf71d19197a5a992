"""What a contender makes of a recording, kept as a line of JSON."""

import json
from collections.abc import Iterable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any


@dataclass(frozen=True)
class Hypothesis:
    """What a contender writes. words: (word, start, end) in seconds, where they were asked for.

    language: ISO 639-1 code; None if the contender does not tell. probabilities: of the words, if they are known.
    """

    text: str
    language: str | None = None
    words: tuple[tuple[str, float, float], ...] = ()
    probabilities: tuple[float, ...] = ()


@dataclass(frozen=True)
class Result:
    """A hypothesis, and how long it took.

    seconds: of computing. audio_seconds: of the recording.
    """

    contender: str
    file: str
    seconds: float
    audio_seconds: float
    hypothesis: Hypothesis

    @property
    def key(self) -> tuple[str, str]:
        """A contender transcribes a file once."""
        return self.contender, self.file


def read_results(path: Path) -> dict[tuple[str, str], Result]:
    """Return the results in a file by contender and recording; empty if there is no such file."""
    lines = path.read_text().splitlines() if path.is_file() else []
    results = (_result(json.loads(line)) for line in lines if line)
    return {result.key: result for result in results}


def _result(line: dict[str, Any]) -> Result:
    written = line.pop("hypothesis")
    words = tuple((word, start, end) for word, start, end in written["words"])
    probabilities = tuple(written.get("probabilities", ()))  # older files have none
    return Result(**line, hypothesis=Hypothesis(written["text"], written["language"], words, probabilities))


def append_result(path: Path, result: Result) -> None:
    """Add a line to a file of results."""
    with path.open("a") as file:
        file.write(json.dumps(asdict(result), ensure_ascii=False) + "\n")


def files_done_by_all(results: Iterable[Result], contenders: Iterable[str]) -> set[str]:
    """Return the recordings that every contender has transcribed."""
    keys = {result.key for result in results}
    names = list(contenders)
    return {file for _, file in keys if all((name, file) in keys for name in names)}
