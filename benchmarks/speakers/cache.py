"""Words and turns of each recording, in JSON files, so that an assignment is measured without running the models."""

import json
import os
import resource
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, TypeVar

from transcription.diarization.result import Diarization
from transcription.transcript import Segment, SpeakerTurn, Transcript, Word

Made = TypeVar("Made", Transcript, Diarization)


@dataclass(frozen=True)
class Cost:
    """What a result cost: seconds of the clock, seconds of all cores, and the peak of the process's memory in bytes."""

    seconds: float
    cpu_seconds: float
    peak_bytes: int


def measured(call: Callable[[], Made]) -> tuple[Made, Cost]:
    """Return what the call returns, and its cost."""
    started, cpu_started = time.perf_counter(), time.process_time()
    made = call()
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
    return made, Cost(time.perf_counter() - started, time.process_time() - cpu_started, peak)


def cached(path: Path, call: Callable[[], Made], read: Callable[[dict[str, Any]], Made]) -> tuple[Made, Cost]:
    """Return the result in a file, or call and write the file."""
    if not path.is_file():
        made, cost = measured(call)
        path.parent.mkdir(parents=True, exist_ok=True)
        part = path.with_suffix(".part")  # so that an interrupted run leaves no half of a file
        part.write_text(json.dumps({"cost": asdict(cost), "made": asdict(made)}, ensure_ascii=False))
        os.replace(part, path)
    line = json.loads(path.read_text())
    return read(line["made"]), Cost(**line["cost"])


def read_transcript(fields: dict[str, Any]) -> Transcript:
    """Return the transcript in a file: text, times and words."""
    return Transcript(
        tuple(_segment(segment) for segment in fields["segments"]), fields["language"], fields["duration"]
    )


def _segment(fields: dict[str, Any]) -> Segment:
    words = tuple(Word(word["word"], word["start"], word["end"], word["probability"]) for word in fields["words"])
    return Segment(fields["text"], fields["start"], fields["end"], words)


def read_diarization(fields: dict[str, Any]) -> Diarization:
    """Return the diarization in a file."""
    turns, exclusive = (
        tuple(SpeakerTurn(**turn) for turn in fields[name]) for name in ("turns", "exclusive")
    )  # the order of the fields of a turn may change
    return Diarization(turns, exclusive, tuple(fields["warnings"]))
