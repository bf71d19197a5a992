"""The engine on transformers' own generation loop: the yardstick, plain and right in every case.

Every window is encoded once; language, silence, every temperature and the word times read that encoding.
Windows do not depend on each other's text, so they are decoded in batches.
"""

import copy
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor
from transformers import GenerationMixin
from transformers.generation.logits_process import (
    LogitsProcessorList,
    WhisperTimeStampLogitsProcessor,
)
from transformers.modeling_outputs import BaseModelOutput

from transcription.audio import SAMPLE_RATE, Audio
from transcription.config import InferenceConfig, ModelSettings
from transcription.context import RequestContext
from transcription.errors import InvalidRequest
from transcription.transcript import Segment, Transcript
from transcription.vad.chunking import Chunk, windows
from transcription.whisper.alignment import record_attention, token_starts
from transcription.whisper.checkpoint import FRAME, SPOKEN, DecodingResult, Whisper, needs_fallback
from transcription.whisper.loading import load_assistant, load_checkpoint


class HFGenerateEngine:
    """A Whisper checkpoint, and optionally an assistant that drafts for it."""

    def __init__(self, settings: ModelSettings) -> None:
        self.checkpoint = load_checkpoint(settings)
        self.assistant = load_assistant(settings, self.checkpoint)
        self.whisper = Whisper(self.checkpoint, self.assistant is not None)
        self.model: Any = self.checkpoint.model
        self.out_of_memory = 0
        self._lock = threading.Lock()  # generation keeps state on the model's configuration

    def transcribe(self, audio: Audio, config: InferenceConfig, context: RequestContext | None = None) -> Transcript:
        """What is said in `audio` (16 kHz). Raises InvalidRequest, Cancelled."""
        context = context or RequestContext()
        if config.sequential:
            raise InvalidRequest("sequential needs another engine: set ENGINE to slots")
        language = self.whisper.capabilities.check(config)
        guess: str | None = None
        probability: float | None = None
        segments: list[Segment] = []
        cuts = list(windows(audio.samples, config))
        rows = 1 if config.assisted is True else config.batch_size
        with self._lock, torch.inference_mode(), self._counted():
            for batch in (cuts[at : at + rows] for at in range(0, len(cuts), rows)):
                states = self._encode([window.of(audio.samples) for window in batch])
                logits = self._first_logits(states)
                silence = self.whisper.no_speech(logits)
                if language is None and self.whisper.vocabulary.languages:
                    guess, probability = self.whisper.language(logits[silence.index(min(silence))], config)
                    if min(silence) < SPOKEN:  # else a later window may know better
                        language = guess
                found = list(self._batch(batch, states, silence, language or guess, config))
                segments += found
                context.report_segments(found)
                context.report_progress("transcribe", batch[-1].end / SAMPLE_RATE, audio.duration)
        context.report_progress("transcribe", audio.duration, audio.duration)
        return Transcript(
            tuple(segments), language or guess, audio.duration, config.task, probability, partial=audio.partial
        )

    @contextmanager
    def _counted(self) -> Iterator[None]:
        try:
            yield
        except torch.OutOfMemoryError:
            self.out_of_memory += 1
            raise

    def _encode(self, samples: Sequence[Any]) -> Tensor:
        """Encoder states (windows, frames, width)."""
        features = self.checkpoint.feature_extractor(
            list(samples), sampling_rate=SAMPLE_RATE, return_tensors="pt"
        ).input_features.to(self.checkpoint.device, self.checkpoint.dtype)
        states: Tensor = self.model.model.encoder(features).last_hidden_state
        return states

    def _decode(self, tokens: Tensor, states: Tensor) -> Tensor:
        """Logits (rows, length, vocabulary), in float32."""
        hidden = self.model.model.decoder(
            input_ids=tokens, encoder_hidden_states=states, use_cache=False
        ).last_hidden_state
        logits: Tensor = self.model.proj_out(hidden)
        return logits.float()

    def _first_logits(self, states: Tensor) -> Tensor:
        """Logits (windows, vocabulary) right after the start token."""
        start = torch.full((len(states), 1), self.whisper.vocabulary.start, device=states.device)
        return self._decode(start, states)[:, 0]

    def _batch(
        self, windows: list[Chunk], states: Tensor, silence: list[float], language: str | None,
        config: InferenceConfig,
    ) -> Iterator[Segment]:  # fmt: skip
        """The segments of some windows, in order."""
        prompt = self.whisper.prompt(language, config)
        decoded = self._climb(states, prompt, silence, config)
        words: list[list[tuple[float, float]]] = [[] for _ in windows]
        if config.timestamps == "word":
            words = self._timed(windows, states, prompt, decoded)
        for window, one, times in zip(windows, decoded, words, strict=True):
            said = self.whisper.segments(window.seconds, one, times, language, config)
            yield from map(window.to_recording_time, said)

    def _climb(
        self, states: Tensor, prompt: list[int], silence: list[float], config: InferenceConfig
    ) -> list[DecodingResult]:
        """Each window at the first temperature of the ladder that meets the thresholds, else the last."""
        results: dict[int, DecodingResult] = {}
        pending = list(range(len(states)))
        for temperature in config.temperature:
            if not pending:
                break
            outcome = self._generate(states[pending], prompt, temperature, config)
            for row, (tokens, logprobs) in zip(pending, outcome, strict=True):
                results[row] = self.whisper.score(tokens, logprobs, temperature, silence[row])
            pending = [row for row in pending if needs_fallback(results[row], config)]
        return [results[row] for row in range(len(states))]

    def _generate(
        self, states: Tensor, prompt: list[int], temperature: float, config: InferenceConfig
    ) -> list[tuple[list[int], list[float]]]:
        """Tokens and log-probabilities of all windows at one temperature, through transformers' generation loop.

        It is entered below Whisper's own generate(), which would encode again and cut segments itself.
        """
        options = copy.deepcopy(self.whisper.generation)
        options.update(
            max_length=self.model.config.max_target_positions, max_new_tokens=None, num_beams=1,
            forced_decoder_ids=None, return_dict_in_generate=True, output_scores=True,
            return_timestamps=config.timestamps != "none",
            **({"do_sample": True, "temperature": temperature, "top_k": 0} if temperature else {"do_sample": False}),
        )  # fmt: skip
        rules = LogitsProcessorList()  # generate() itself adds the suppressed tokens
        if options.return_timestamps:
            rules.append(WhisperTimeStampLogitsProcessor(options, begin_index=len(prompt)))
        start = torch.tensor([prompt] * len(states), device=states.device)
        out = GenerationMixin.generate(
            self.model,
            generation_config=options,
            logits_processor=rules,
            encoder_outputs=BaseModelOutput(last_hidden_state=states),
            attention_mask=torch.ones(states.shape[:2], dtype=torch.long, device=states.device),
            decoder_input_ids=start,
            assistant_model=self.assistant if config.assisted is True else None,
        )
        scores = torch.stack(out.scores, dim=1).float() * (temperature or 1.0)
        written = out.sequences[:, len(prompt) :]
        logprobs = scores.log_softmax(-1).gather(2, written[..., None])[..., 0].tolist()
        return list(zip(written.tolist(), logprobs, strict=True))

    def _timed(
        self, windows: list[Chunk], states: Tensor, prompt: list[int], decoded: list[DecodingResult]
    ) -> list[list[tuple[float, float]]]:
        """For every window (start second, probability) of each token and of the end: one pass for all."""
        lengths = [len(one.tokens) + 1 for one in decoded]
        rows = [
            [*prompt, *one.tokens, *[self.whisper.vocabulary.end] * (max(lengths) - len(one.tokens))] for one in decoded
        ]
        tokens = torch.tensor(rows, device=states.device)
        with record_attention(self.model, self.whisper.alignment_heads()) as heads:
            logits = self._decode(tokens[:, :-1], states)
        attention = torch.stack(heads, dim=1)
        first = len(prompt) - 1  # this position predicts the first written token
        chances = logits[:, first:].softmax(-1).gather(2, tokens[:, first + 1 :, None])[..., 0]
        timed = []
        for row, (window, length) in enumerate(zip(windows, lengths, strict=True)):
            frames = min(-(-round(window.seconds * SAMPLE_RATE) // FRAME), attention.shape[-1])
            starts = token_starts(attention[row, :, first : first + length, :frames])
            timed.append(list(zip(starts.tolist(), chances[row, :length].tolist(), strict=True)))
        return timed
