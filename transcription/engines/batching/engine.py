"""BatchingEngine: requests in, transcripts out, over the loop that decodes all of their windows together."""

import logging
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from typing import Any

import torch

from transcription.audio import Audio
from transcription.config import InferenceConfig, ModelSettings
from transcription.context import RequestContext
from transcription.engines.batching.beam_search import SPARE_NODES
from transcription.engines.batching.cuda_graphs import CudaGraphs
from transcription.engines.batching.decoder import Decoder
from transcription.engines.batching.encoder import Encoder
from transcription.engines.batching.forced_alignment import force_text
from transcription.engines.batching.layers import IN_ITS_PRECISION, Arithmetic, draft_arithmetic, int8_arithmetic
from transcription.engines.batching.logits_rules import LogitsRules
from transcription.engines.batching.loop import DecodingLoop
from transcription.engines.batching.reading import read_window
from transcription.engines.batching.row import DecodedWindow
from transcription.engines.batching.scheduler import Scheduler
from transcription.engines.batching.slots import Slots
from transcription.engines.batching.speculation import DRAFT_LENGTHS, Speculation
from transcription.engines.batching.window import Window, WindowResult
from transcription.engines.batching.window_encoder import WindowEncoder
from transcription.engines.windowed import WindowedEngine
from transcription.errors import InvalidSettings
from transcription.transcript import Transcript
from transcription.whisper.alignment import token_starts
from transcription.whisper.checkpoint import Whisper
from transcription.whisper.loading import load_assistant, load_checkpoint
from transcription.whisper.processor import computes_in_bfloat16

logger = logging.getLogger(__name__)
_ENCODE_BATCH = {"cuda": 16}  # windows per call of the encoder
_ENCODE_BATCH_CPU = 1  # two take twice the time of one, and a short request would wait for both
_SLOTS_CPU, _MAX_SLOTS_GPU = 24, 128  # if SLOTS is not set
_GPU_SHARE = 0.5  # of a GPU's free memory may become slots if SLOTS is not set
_PREVIEW_PADDING = {"cpu": 5.0}  # seconds of silence behind a preview; elsewhere the encoder takes little time
_READERS = 2  # threads that turn tokens into segments beside the loop


class BatchingEngine(WindowedEngine):
    """A Whisper checkpoint and an optional assistant. It can be called from several threads."""

    def __init__(self, settings: ModelSettings) -> None:
        """Load the models, and allocate the slots.

        Raises InvalidSettings if the models cannot be loaded.
        """
        checkpoint = load_checkpoint(settings)
        assistant = load_assistant(settings, checkpoint)
        device = checkpoint.device.type
        is_int8 = settings.quantization == "int8"
        if is_int8 and device != "cpu":
            raise InvalidSettings("QUANTIZATION int8 computes on CPUs: set DEVICE to cpu, or leave QUANTIZATION out")
        arithmetic = int8_arithmetic() if is_int8 else IN_ITS_PRECISION
        whisper = Whisper(checkpoint, assistant is not None)
        super().__init__(whisper, whisper.capabilities)
        slack = max(SPARE_NODES, max(DRAFT_LENGTHS) + 1)
        decoder = Decoder(checkpoint.model, 1, slack, self.whisper.alignment_heads(), arithmetic)
        drafting = None if assistant is None else _draft_decoder(assistant, slack, arithmetic)
        graphs = CudaGraphs(settings.cuda_graphs and device == "cuda", checkpoint.device)
        slots = Slots(decoder, _rules(self.whisper, checkpoint.device), drafting, graphs)
        slots.resize(settings.slots or _affordable_slots(slots))
        has_own_encoder = assistant is not None and hasattr(assistant.model, "encoder")
        encoder = WindowEncoder(
            slots, _encoder(checkpoint.model, checkpoint.feature_extractor, arithmetic),
            _encoder(assistant, checkpoint.feature_extractor, arithmetic) if has_own_encoder else None,
            _PREVIEW_PADDING.get(device),
        )  # fmt: skip
        self.loop = DecodingLoop(
            self.whisper, slots, encoder, _ENCODE_BATCH.get(device, _ENCODE_BATCH_CPU),
            None if drafting is None else Speculation(drafting.bytes_per_token / decoder.bytes_per_token),
            self._on_decoded,
        )  # fmt: skip
        self._readers = ThreadPoolExecutor(_READERS, "read")

    @property
    def out_of_memory(self) -> int:
        """How many times the device ran out of memory."""
        return self.loop.out_of_memory

    @property
    def scheduler(self) -> Scheduler:
        """What chooses the next window."""
        return self.loop.scheduler

    def queue(self, window: Window) -> None:
        """Queue a window."""
        self.loop.submit(window)

    def force(
        self, audio: Audio, aligned: Transcript, config: InferenceConfig, context: RequestContext | None = None
    ) -> Transcript:
        """Return an aligned text with times from the decoder that is forced over it (engines.Engine)."""
        return force_text(self, audio, aligned, config, context or RequestContext())

    def _on_decoded(self, window: Window, decoded: DecodedWindow) -> None:
        self._readers.submit(window.resolve_with, partial(self.read, window, decoded))

    def read(self, window: Window, decoded: DecodedWindow) -> WindowResult:
        """Return the segments of a window's tokens."""
        starts = None if decoded.attention is None else token_starts(decoded.attention).tolist()
        return read_window(self.whisper, window, decoded.result, starts, decoded.language, decoded.language_probability)


def _encoder(model: Any, extractor: Any, arithmetic: Arithmetic) -> Encoder:
    """Return the encoder: with int8 weights in the decoder, it is in bfloat16 where the CPU computes in it.

    That takes the same time. Activations in int8, with one scale for all frames, add an eighth to the errors.
    """
    if arithmetic.weight_bytes == 1 and computes_in_bfloat16():
        model.model.encoder.to(torch.bfloat16)
        arithmetic = IN_ITS_PRECISION
    return Encoder(model, extractor, arithmetic)


def _draft_decoder(assistant: Any, slack: int, main: Arithmetic) -> Decoder:
    arithmetic = draft_arithmetic(assistant.device) if main is IN_ITS_PRECISION else main
    if arithmetic.weight_bytes == 1:  # int8 layers take and give float32
        assistant.model.decoder.float()
    return Decoder(assistant, 1, slack, arithmetic=arithmetic)


def _rules(whisper: Whisper, device: torch.device) -> LogitsRules:
    generation = whisper.generation
    return LogitsRules(
        whisper.vocabulary, whisper.config.vocab_size, device,
        list(generation.suppress_tokens or []), list(generation.begin_suppress_tokens or []),
        getattr(generation, "max_initial_timestamp_index", None),
    )  # fmt: skip


def _affordable_slots(slots: Slots) -> int:
    """Return the number of slots if SLOTS is not set."""
    device = slots.decoder.device
    if device.type != "cuda":
        return _SLOTS_CPU
    free, _ = torch.cuda.mem_get_info(device)
    return max(1, min(_MAX_SLOTS_GPU, int(free * _GPU_SHARE) // slots.bytes_per_slot))
