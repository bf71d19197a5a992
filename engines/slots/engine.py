"""SlotEngine: requests in, transcripts out, over the loop that decodes them all together."""

from collections.abc import Generator
from contextlib import closing
from dataclasses import replace

import torch

from audio import SAMPLE_RATE, Audio
from config import InferenceConfig, ModelSettings
from engines.alignment import token_starts
from engines.cutting import Cut, windows
from engines.loading import load_assistant, load_checkpoint
from engines.slots.decoder import Decoder
from engines.slots.encoder import Encoder
from engines.slots.jobs import BRIEF, Answer, Job, Window
from engines.slots.linear import int8, plain
from engines.slots.loop import Loop
from engines.slots.replay import Replay
from engines.slots.rules import Rules
from engines.slots.slots import Slots
from engines.slots.speculation import CHOICES, Speculation
from engines.tokens import finished
from engines.whisper import Whisper, is_silence
from errors import Cancelled, InvalidSettings
from transcript import Segment, Transcript
from watch import Watch

_AHEAD = 4  # windows of one request that wait for a slot
_TOGETHER_CPU, _TOGETHER_GPU = 2, 16  # windows encoded in one go
_SLOTS_CPU, _SLOTS_GPU = 24, 128  # where the settings do not say
_SHARE = 0.5  # of a GPU's free memory may then become slots


class SlotEngine:
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
            decoder, _rules(self.whisper), drafter, Replay(settings.cuda_graphs and decoder.device.type == "cuda")
        )
        slots.resize(settings.slots or _affordable(slots))
        own_encoder = assistant is not None and hasattr(assistant.model, "encoder")
        self.loop = Loop(
            self.whisper, slots, _TOGETHER_GPU if checkpoint.device.type == "cuda" else _TOGETHER_CPU,
            Encoder(checkpoint.model, checkpoint.feature_extractor, linear),
            Encoder(assistant, checkpoint.feature_extractor, linear) if own_encoder else None,
            None if drafter is None else Speculation(drafter.weights / decoder.weights),
        )  # fmt: skip

    @property
    def out_of_memory(self) -> int:
        """How often the device's memory has run out."""
        return self.loop.out_of_memory

    def transcribe(self, audio: Audio, config: InferenceConfig, watch: Watch | None = None) -> Transcript:
        """What is said in `audio` (16 kHz). Raises InvalidRequest, EngineFailure, Cancelled."""
        watch = watch or Watch()
        brief = audio.duration <= BRIEF * config.chunk_length_s
        job = Job(config, self.whisper.check(config), brief, eager=watch.listening)
        segments: list[Segment] = []
        answers = self._one_by_one(audio, job) if config.sequential else self._windows(audio, job)
        with closing(answers), watch.on_stop(lambda: job.answers.put(Cancelled())):
            for window, found in answers:
                segments += found
                watch.heard(found)
                watch.done("transcribe", window.end / SAMPLE_RATE, audio.duration)
        watch.done("transcribe", audio.duration, audio.duration)
        return Transcript(
            tuple(segments), job.language or job.guess, audio.duration, config.task, job.language_probability,
            partial=audio.partial,
        )  # fmt: skip

    def _windows(self, audio: Audio, job: Job) -> Generator[tuple[Cut, list[Segment]], None, None]:
        """Each window with what it says, in order, as soon as it and those before it are done."""
        upcoming = windows(audio.samples, job.config)
        cuts: list[Cut] = []
        done: dict[int, list[Segment]] = {}
        entered = told = 0
        with self.loop.job(job):
            while True:
                while len(cuts) < entered + _AHEAD and (window := next(upcoming, None)) is not None:
                    self.loop.submit(Window(job, len(cuts), window.of(audio.samples)))
                    cuts.append(window)
                if told == len(cuts):
                    return
                answer = job.answers.get()
                if answer is None:
                    entered += 1
                elif isinstance(answer, Exception):
                    raise answer
                else:
                    done[answer.number] = self._read(cuts[answer.number], answer, job.config)
                while told in done:
                    yield cuts[told], done.pop(told)
                    told += 1

    def _one_by_one(self, audio: Audio, job: Job) -> Generator[tuple[Cut, list[Segment]], None, None]:
        """Whisper's sequential algorithm: a window begins where the last finished segment of the one before ends."""
        start, longest = 0, int(job.config.chunk_length_s * SAMPLE_RATE)
        with self.loop.job(job):
            while start < len(audio.samples):
                window = Cut(((start, min(start + longest, len(audio.samples))),))
                self.loop.submit(Window(job, start, window.of(audio.samples)))
                while not isinstance(answer := job.answers.get(), Answer):
                    if answer is not None:
                        raise answer
                answer, resume = self._finished(answer, job.config)
                yield window, self._read(window, answer, job.config)
                start = window.end if resume is None else start + round(resume * SAMPLE_RATE)

    def _finished(self, answer: Answer, config: InferenceConfig) -> tuple[Answer, float | None]:
        """The answer without what the next window says again, and where in the window that begins."""
        if config.timestamps == "none" or is_silence(answer.decoded, config):
            return answer, None
        tokens = answer.decoded.tokens
        kept, resume = finished(tokens, self.whisper.vocabulary.first_timestamp)
        return replace(
            answer, decoded=replace(answer.decoded, tokens=tokens[:kept], logprobs=answer.decoded.logprobs[:kept])
        ), resume

    def _read(self, window: Cut, answer: Answer, config: InferenceConfig) -> list[Segment]:
        times: list[tuple[float, float]] = []
        if answer.attention is not None:
            times = list(zip(token_starts(answer.attention).tolist(), answer.chances, strict=True))
        return list(self.whisper.segments(window, answer.decoded, times, answer.language, config))


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
