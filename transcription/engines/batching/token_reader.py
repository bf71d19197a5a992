"""TokenReader: what the slots have decoded, read on the host."""

import torch

from transcription.engines.batching.reading import given_tokens
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
        if row.window.has_word_times:
            frames = -(-len(row.window.samples) // SAMPLES_PER_FRAME)
            _, logprobs = self._slots.decoded(index, len(row.prompt))  # the end of text among them
            attention = self._slots.alignment(index, len(row.prompt), len(logprobs), frames)
        return DecodedWindow(result, row.language, attention, row.language_probability)

    def forced(self, index: int, row: Row) -> DecodedWindow:
        """Read the window's given text in a row whose prompt was read, and return its tokens as if decoded.

        The tokens are none if they are more than the decoder has positions.
        """
        slots, prompt = self._slots, row.prompt
        tokens, _ = given_tokens(self._whisper, row.window.options.phrases)
        if len(prompt) + len(tokens) > slots.decoder.positions:
            tokens = []
        hidden = slots.prefill(slice(index, index + 1), [[*prompt, *tokens]], record_alignment=True)[0]
        logits = slots.decoder.logits(hidden[len(prompt) - 1 : -1])
        chosen = torch.tensor(tokens, dtype=torch.long, device=logits.device)
        logprobs: list[float] = logits.log_softmax(-1).gather(1, chosen[:, None])[:, 0].tolist()
        nodes = list(range(len(prompt) - 1, len(prompt) + len(tokens)))  # the last one predicts the end of text
        frames = -(-len(row.window.samples) // SAMPLES_PER_FRAME)
        attention = slots.decoder.alignment(index, nodes)[..., :frames].cpu()
        result = self._whisper.score(tokens, logprobs, 0.0, row.no_speech_prob)
        return DecodedWindow(result, row.language, attention)

    def is_lost(self, index: int, row: Row) -> bool:
        """Return whether a row loops, and another attempt may be better. It looks now and then only."""
        length = self._slots.last_on_host[index] - len(row.prompt)
        is_time = length >= LOOP_CHECK and length % LOOP_CHECK < self._slots.steps_per_sync
        return is_time and row.has_another_attempt and self.result(index, row).is_loop
