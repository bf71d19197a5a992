"""WindowEncoder: windows into the slots, for the decoder and for an assistant with an encoder of its own."""

import math
from collections.abc import Callable, Sequence
from itertools import groupby

from torch import Tensor

from transcription.audio import SAMPLE_RATE, Samples
from transcription.engines.batching.row import Row
from transcription.engines.batching.slots import Slots
from transcription.whisper.checkpoint import SAMPLES_PER_FRAME

Encode = Callable[[list[Samples], int], Tensor]
"""Windows of samples, and how many frames to encode → encoder states (windows, frames, width)."""
_FRAME_STEP = 100  # there are few numbers of frames: for each new one, torch prepares its kernels


class WindowEncoder:
    """Encodes windows with silence behind them: up to 30 s, as in training, or less for previews of live speech.

    Less silence saves most of the time of a short window. Now and then the model then writes its text twice, which
    the decoding of the whole turn mends.
    """

    def __init__(
        self, slots: Slots, encode: Encode, encode_for_assistant: Encode | None, preview_padding: float | None
    ) -> None:
        """Encode into these slots.

        encode_for_assistant: None if the assistant has no encoder of its own. preview_padding: seconds of silence
        behind a preview, None for all of 30 s.
        """
        self._slots, self._preview_padding = slots, preview_padding
        self.encode, self._encode_for_assistant = encode, encode_for_assistant

    def write(self, first: int, rows: Sequence[Row]) -> list[Tensor]:
        """Encode windows into the slots from `first` on; return the states (1, frames, width) of each."""
        states: list[Tensor] = []
        for frames, group in groupby(rows, self.frames):
            encoded = self.encode([row.window.samples for row in group], frames)
            start = first + len(states)
            self._slots.write_cross_kv(slice(start, start + len(encoded)), encoded)
            states += [encoded[index : index + 1] for index in range(len(encoded))]
        return states

    def start_assistant(self, index: int, row: Row) -> None:
        """Give a window to the assistant, unless it has it."""
        if not self._slots.assistant_ready[index]:
            encode = self._encode_for_assistant
            states = None if encode is None else encode([row.window.samples], self.frames(row))
            self._slots.start_assistant(index, states)

    def frames(self, row: Row) -> int:
        """Return how many frames of a window are encoded."""
        limit: int = self._slots.decoder.frames
        if self._preview_padding is None or not row.window.request.is_live:
            return limit
        samples = len(row.window.samples) + self._preview_padding * SAMPLE_RATE
        return min(math.ceil(samples / SAMPLES_PER_FRAME / _FRAME_STEP) * _FRAME_STEP, limit)
