"""TokenReader: what the slots have decoded, read on the host."""

from transcription.engines.batching.row import DecodedWindow, Row
from transcription.engines.batching.slots import Slots
from transcription.whisper.checkpoint import SAMPLES_PER_FRAME, Whisper
from transcription.whisper.decoding_result import DecodingResult
from transcription.whisper.repetition import LOOP_CHECK


class TokenReader:
    """Reads the tokens of one row at a time."""

    def __init__(self, whisper: Whisper, slots: Slots) -> None:
        """Read these slots of a model."""
        self._whisper, self._slots = whisper, slots

    def result(self, index: int, row: Row) -> DecodingResult:
        """Return the tokens of a row so far, with their scores."""
        tokens, logprobs = self._slots.decoded(index, len(row.prompt))
        return self._whisper.score(tokens, logprobs, row.temperature, row.no_speech_prob)

    def decoded(self, index: int, row: Row, result: DecodingResult) -> DecodedWindow:
        """Return a result with what else is known of its window."""
        attention = None
        if row.config.timestamps == "word":
            frames = -(-len(row.window.samples) // SAMPLES_PER_FRAME)
            _, logprobs = self._slots.decoded(index, len(row.prompt))  # the end of text among them
            attention = self._slots.alignment(index, len(row.prompt), len(logprobs), frames)
        return DecodedWindow(result, row.language, attention, row.language_probability)

    def is_lost(self, index: int, row: Row) -> bool:
        """Return whether a row loops, and another attempt may be better. It looks now and then only."""
        length = self._slots.last_on_host[index] - len(row.prompt)
        is_time = length >= LOOP_CHECK and length % LOOP_CHECK < self._slots.steps_per_sync
        return is_time and row.has_another_attempt and self.result(index, row).is_loop
