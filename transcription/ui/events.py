"""PageEvents: the event stream of the page, one JSON object a line."""

import json
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from pydantic import TypeAdapter

from transcription.audio import Audio
from transcription.server.api_errors import ApiError
from transcription.transcript import Segment, Transcript

PEAKS = 1600  # points of the waveform: the width of a large screen in pixels
TRANSCRIPT = TypeAdapter(Transcript)
_SEGMENTS = TypeAdapter(tuple[Segment, ...])


class PageEvents:
    """An Encoder of the events audio, progress, segments, transcript and error."""

    media_type = "application/x-ndjson"
    keep_alive = b"\n"

    def audio(self, audio: Audio) -> bytes:
        """Encode duration and waveform."""
        return _line({"audio": {"duration": round(audio.duration, 3), "peaks": peaks(audio)}})

    def progress(self, stage: str, seconds: float, total: float) -> bytes:
        """Encode the progress of a stage, in seconds of audio."""
        return _line({"progress": {"stage": stage, "done": round(seconds, 1), "total": round(total, 1)}})

    def segments(self, segments: Sequence[Segment]) -> bytes:
        """Encode the segments of one more window, without speakers."""
        return _line({"segments": _SEGMENTS.dump_python(tuple(segments), mode="json")})

    def transcript(self, transcript: Transcript) -> bytes:
        """Encode the whole transcript."""
        return b'{"transcript":' + TRANSCRIPT.dump_json(transcript) + b"}\n"

    def error(self, error: ApiError) -> bytes:
        """Encode the message of an error."""
        return _line({"error": error.message})


def _line(event: Mapping[str, Any]) -> bytes:
    return json.dumps(event, ensure_ascii=False, separators=(",", ":")).encode() + b"\n"


def peaks(audio: Audio) -> list[int]:
    """Return the peak of each of PEAKS equal parts of the audio, in percent of the highest."""
    count = min(PEAKS, len(audio.samples))
    edges = np.linspace(0, len(audio.samples), count, endpoint=False).astype(int)
    levels = np.maximum(np.maximum.reduceat(audio.samples, edges), -np.minimum.reduceat(audio.samples, edges))
    highest = float(levels.max())
    return [round(100 * float(level) / highest) for level in levels] if highest > 0 else [0] * count
