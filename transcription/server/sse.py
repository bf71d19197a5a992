"""Server-sent events: the stream of OpenAI's API."""

import json
from abc import ABC, abstractmethod
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from transcription.audio import Audio
from transcription.server.api_errors import ApiError
from transcription.transcript import Segment, TokenLogprob, Transcript

Event = Mapping[str, Any] | str
"""JSON, or text as it is."""


@dataclass(frozen=True)
class Delta:
    """More of the text, with its tokens if log-probabilities are requested."""

    text: str
    logprobs: tuple[TokenLogprob, ...] = ()


class TextDeltas:
    """Splits a transcript's text into deltas. Joined, they are Transcript.text, without white space at the ends."""

    def __init__(self) -> None:
        self._sent, self._text = "", ""
        self._logprobs: tuple[TokenLogprob, ...] = ()

    def add(self, segments: Sequence[Segment]) -> Delta | None:
        """Return the delta after one more window, None if there is no new text."""
        self._text += "".join(segment.text for segment in segments)
        self._logprobs += tuple(token for segment in segments for token in segment.logprobs)
        return self.advance_to(self._text.strip())

    def advance_to(self, text: str) -> Delta | None:
        """Return what was not sent yet of the text, None if there is nothing."""
        new = text.removeprefix(self._sent) if text.startswith(self._sent) else ""
        if not new:
            return None
        self._sent, logprobs, self._logprobs = text, self._logprobs, ()
        return Delta(new, logprobs)


class ServerSentEvents(ABC):
    """An Encoder of deltas and of the whole transcript, as a protocol's events."""

    media_type = "text/event-stream"
    keep_alive = b": keep-alive\n\n"

    def __init__(self) -> None:
        self._deltas = TextDeltas()

    @abstractmethod
    def delta_event(self, delta: Delta) -> Event:
        """Return the event of a delta."""

    @abstractmethod
    def last_events(self, transcript: Transcript) -> Iterable[Event]:
        """Yield the events that end the stream."""

    def audio(self, audio: Audio) -> bytes:
        """Return nothing: these protocols have no such event."""
        return b""

    def progress(self, stage: str, seconds: float, total: float) -> bytes:
        """Return nothing: these protocols have no such event."""
        return b""

    def segments(self, segments: Sequence[Segment]) -> bytes:
        """Encode the new text as a delta."""
        delta = self._deltas.add(segments)
        return _line(self.delta_event(delta)) if delta else b""

    def transcript(self, transcript: Transcript) -> bytes:
        """Encode the rest of the text and the last events."""
        rest = self._deltas.advance_to(transcript.text)
        events = [self.delta_event(rest)] if rest else []
        return b"".join(map(_line, [*events, *self.last_events(transcript)]))

    def error(self, error: ApiError) -> bytes:
        """Encode the error object."""
        return _line(error.body)


def _line(event: Event) -> bytes:
    data = event if isinstance(event, str) else json.dumps(event, ensure_ascii=False)
    return f"data: {data}\n\n".encode()
