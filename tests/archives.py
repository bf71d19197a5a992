"""Recordings and transcripts for the tests of archives."""

import json
import os
import shutil
from pathlib import Path
from typing import Any

from tests.conftest import SAMPLES

ANSWER = {"text": "One.", "chunks": [{"text": " One.", "timestamp": [0.0, 1.5]}], "speakers": [], "language": "en"}
NAMES = {**{str(number): str(number) for number in range(8)}, "a::b": "a::b", os.fsdecode(b"caf\xe9"): r"caf\udce9"}
"""Names of recordings, and how an archive writes them. The last one is not UTF-8."""


def lines(path: Path) -> list[dict[str, Any]]:
    """Return the entries of a file of JSON lines."""
    return [json.loads(line) for line in path.read_text().splitlines()]


def make_recordings(folder: Path) -> Path:
    """Write a short recording for each of NAMES, and return the folder."""
    (folder / "below").mkdir(parents=True)
    for name in NAMES:
        shutil.copy(SAMPLES["short"].path, folder / f"below/{name}.wav")
    return folder
