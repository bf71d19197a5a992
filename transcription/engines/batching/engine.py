"""BatchingEngine: requests in, transcripts out, over the loop that decodes them all together."""

import math
from dataclasses import replace

import torch

from transcription.audio import SAMPLE_RATE, Audio
from transcription.config import InferenceConfig, ModelSettings
from transcription.context import RequestContext
from transcription.engines.batching.cuda_graphs import CudaGraphs
from transcription.engines.batching.decoder import Decoder
from transcription.engines.batching.encoder import Encoder
from transcription.engines.batching.jobs import Answer, Heard, Window
from transcription.engines.batching.linear import int8, plain
from transcription.engines.batching.logits_rules import Rules
from transcription.engines.batching.longform import Requests, answer_of
from transcription.engines.batching.loop import Loop
from transcription.engines.batching.slots import Slots
from transcription.engines.batching.speculation import CHOICES, Speculation
from transcription.errors import Cancelled, InvalidSettings
from transcription.transcript import Transcript
from transcription.whisper.alignment import token_starts
from transcription.whisper.checkpoint import Whisper, is_silence
from transcription.whisper.loading import load_assistant, load_checkpoint
from transcription.whisper.tokens import finished

_TOGETHER_CPU, _TOGETHER_GPU = 2, 16  # windows encoded in one go
_SLOTS_CPU, _SLOTS_GPU = 24, 128  # where the settings do not say
_SHARE = 0.5  # of a GPU's free memory may then become slots


class BatchingEngine:
    """A Whisper checkpoint, and optionally an assistant that drafts for it. Safe to call from several threads."""

    def __init__(self, settings: ModelSettings) -> None:
        """Raises InvalidSettings."""
        checkpoint = load_checkpoint(settings)
        assistant = load_assistant(settings, checkpoint)
        quantized = settings.quantization == "int8"
        if quantized and checkpoint.device.type != "cpu":
            raise InvalidSettings("QUANTIZATION int8 computes on CPUs: set DEVICE to cpu, or leave QUANTIZATION out")
        self.whisper = Whisper(checkpoint, assistant is not None)
        linear = int8 if quantized else plain
        slack = max(CHOICES) + 1
        decoder = Decoder(checkpoint.model, 1, slack, self.whisper.alignment_heads(), linear)
        drafter = None if assistant is None else Decoder(assistant, 1, slack, linear=linear)
        slots = Slots(
            decoder, _rules(self.whisper), drafter, CudaGraphs(settings.cuda_graphs and decoder.device.type == "cuda")
        )
        slots.resize(settings.slots or _affordable(slots))
        own_encoder = assistant is not None and hasattr(assistant.model, "encoder")
        self.loop = Loop(
            self.whisper, slots, _TOGETHER_GPU if checkpoint.device.type == "cuda" else _TOGETHER_CPU,
            Encoder(checkpoint.model, checkpoint.feature_extractor, linear),
            Encoder(assistant, checkpoint.feature_extractor, linear) if own_encoder else None,
            None if drafter is None else Speculation(drafter.weights / decoder.weights),
        )  # fmt: skip
        self._requests = Requests(self.loop, self.whisper.capabilities, self._read)

    @property
    def out_of_memory(self) -> int:
        """How often the device's memory has run out."""
        return self.loop.out_of_memory

    def transcribe(self, audio: Audio, config: InferenceConfig, context: RequestContext | None = None) -> Transcript:
        """What is said in `audio` (16 kHz). Raises InvalidRequest, EngineFailure, Cancelled."""
        return self._requests.transcribe(audio, config, context or RequestContext())

    def hear(self, window: Window, context: RequestContext) -> Heard:
        """What one window of a request says, whose others may be decoded elsewhere.

        The window's job knows the language afterwards. Raises EngineFailure, Cancelled.
        """
        job = window.job
        with self.loop.job(job), context.on_cancel(lambda: job.answers.put(Cancelled())):
            self.loop.submit(window)
            return self._read(answer_of(job), window)

    def _read(self, answer: Answer | Heard, window: Window) -> Heard:
        """A window's tokens as segments; in a thread of its request, beside the loop's."""
        if isinstance(answer, Heard):
            return answer
        config, seconds, decoded = window.job.config, len(window.samples) / SAMPLE_RATE, answer.decoded
        times: list[tuple[float, float]] = []
        if answer.attention is not None:
            starts = [*token_starts(answer.attention).tolist(), seconds]  # the end's, where the model wrote none
            times = list(zip(starts, map(math.exp, [*decoded.logprobs, 0.0]), strict=False))
        resume = None
        if config.sequential and config.timestamps != "none" and not is_silence(decoded, config):
            # Without what the next window says again.
            kept, resume = finished(decoded.tokens, self.whisper.vocabulary.first_timestamp)
            decoded = replace(decoded, tokens=decoded.tokens[:kept], logprobs=decoded.logprobs[:kept])
        said = self.whisper.segments(seconds, decoded, times, answer.language, config)
        return Heard(answer.number, tuple(said), resume)


def _rules(whisper: Whisper) -> Rules:
    generation = whisper.generation
    return Rules(
        whisper.vocabulary, whisper.config.vocab_size, whisper.checkpoint.device,
        list(generation.suppress_tokens or []), list(generation.begin_suppress_tokens or []),
        getattr(generation, "max_initial_timestamp_index", None),
    )  # fmt: skip


def _affordable(slots: Slots) -> int:
    """How many slots, where the settings do not say."""
    device = slots.decoder.device
    if device.type != "cuda":
        return _SLOTS_CPU
    free, _ = torch.cuda.mem_get_info(device)
    return max(1, min(_SLOTS_GPU, int(free * _SHARE) // slots.bytes_each))
