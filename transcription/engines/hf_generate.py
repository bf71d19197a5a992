"""The engine on transformers' own generate(): the reference that the batching engine is compared with.

Every window is encoded once; language detection, silence, each temperature and word timestamps read those encoder
states. Windows do not depend on each other's text, so they are decoded in batches.
"""

import copy
import threading
from collections.abc import Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from typing import Any

import numpy as np
import torch
import transformers
from torch import Tensor
from transformers.generation.logits_process import (
    LogitsProcessorList,
    WhisperTimeStampLogitsProcessor,
)
from transformers.modeling_outputs import BaseModelOutput

from transcription.audio import SAMPLE_RATE, Audio, Samples
from transcription.config import InferenceConfig, ModelSettings
from transcription.context import RequestContext
from transcription.engines.batching.window import WindowResult
from transcription.errors import InvalidRequest
from transcription.transcript import Segment, Transcript
from transcription.vad.activity import Interval, SpeechActivity
from transcription.vad.chunking import Chunk, windows
from transcription.vad.coverage import MIN_UNCERTAIN, account_for, coverage_warnings
from transcription.whisper.alignment import record_attention, token_starts
from transcription.whisper.checkpoint import SAMPLES_PER_FRAME, SPEECH_BELOW, TokenTimes, Whisper
from transcription.whisper.decoding_result import DecodingResult, needs_fallback, preference
from transcription.whisper.loading import load_assistant, load_checkpoint
from transcription.whisper.word_timing import place_words


class HFGenerateEngine:
    """A Whisper checkpoint and an optional assistant, decoded by transformers, one request at a time."""

    def __init__(self, settings: ModelSettings) -> None:
        """Load the models.

        Raises InvalidSettings if they cannot be loaded.
        """
        self.checkpoint = load_checkpoint(settings)
        self.assistant = load_assistant(settings, self.checkpoint)
        self.whisper = Whisper(self.checkpoint, self.assistant is not None)
        self.model: Any = self.checkpoint.model
        self.out_of_memory = 0
        self._lock = threading.Lock()  # generate() keeps state in the model's configuration
        self._previews = ThreadPoolExecutor(1, "preview")

    def warm_up(self) -> None:
        """Decode a second of silence."""
        self.transcribe(Audio(np.zeros(SAMPLE_RATE, np.float32)), InferenceConfig())

    def transcribe(self, audio: Audio, config: InferenceConfig, context: RequestContext | None = None) -> Transcript:
        """Return the transcript of audio at 16 kHz.

        Raises InvalidRequest, or Cancelled if the context is cancelled.
        """
        context = context or RequestContext()
        if config.sequential:
            raise InvalidRequest("sequential needs another engine: set ENGINE to batching")
        if config.beam_size is not None and config.beam_size > 1:
            raise InvalidRequest("beam_size above 1 needs another engine: set ENGINE to batching", "beam_size")
        if config.is_multilingual:
            raise InvalidRequest("language multi needs another engine: set ENGINE to batching", "language")
        language = self.whisper.capabilities.check(config)
        guess: str | None = None
        probability: float | None = None
        segments: list[Segment] = []
        chunks = list(windows(audio.samples, config))
        rows = 1 if config.assisted is True else config.batch_size
        with self._lock, torch.inference_mode(), self._counting_out_of_memory():
            for batch in (chunks[first : first + rows] for first in range(0, len(chunks), rows)):
                states = self._encode([chunk.of(audio.samples) for chunk in batch])
                logits = self._first_logits(states)
                no_speech_probs = self.whisper.no_speech_probs(logits)
                if language is None and self.whisper.detects_language:
                    least_silent = no_speech_probs.index(min(no_speech_probs))
                    guess, probability = self.whisper.detect_language(logits[least_silent], config)
                    if min(no_speech_probs) < SPEECH_BELOW:  # otherwise a later window decides
                        language = guess
                new = list(self._batch(audio.samples, batch, states, no_speech_probs, language or guess, config))
                segments += new
                context.report_segments(new)
                context.report_progress("transcribe", batch[-1].end / SAMPLE_RATE, audio.duration)
        context.report_progress("transcribe", audio.duration, audio.duration)
        text = [(segment.start, segment.end) for segment in segments]
        coverage = account_for(audio.duration, _speech(chunks, audio.samples), text)
        return Transcript(
            tuple(segments), language or guess, audio.duration, config.task, probability, partial=audio.partial,
            warnings=coverage_warnings(coverage), coverage=coverage,
        )  # fmt: skip

    def force(
        self, audio: Audio, aligned: Transcript, config: InferenceConfig, context: RequestContext | None = None
    ) -> Transcript:
        """Return the text as it is: this engine cannot force its decoder (engines.Engine)."""
        return aligned

    def preview(self, samples: Samples, config: InferenceConfig, prefix: str = "") -> Future[WindowResult]:
        """Queue up to 30 s of speech that goes on, and return the future of its words (engines.Engine)."""
        config = config.model_copy(update={"temperature": (0.0,), "timestamps": "word"})
        self.whisper.capabilities.check(config)
        return self._previews.submit(lambda: WindowResult(self.transcribe(Audio(samples), config).segments))

    @contextmanager
    def _counting_out_of_memory(self) -> Iterator[None]:
        try:
            yield
        except torch.OutOfMemoryError:
            self.out_of_memory += 1
            raise

    def _encode(self, samples: Sequence[Any]) -> Tensor:
        """Return encoder states (windows, frames, width)."""
        features = self.checkpoint.feature_extractor(
            list(samples), sampling_rate=SAMPLE_RATE, return_tensors="pt"
        ).input_features.to(self.checkpoint.device, self.checkpoint.dtype)
        states: Tensor = self.model.model.encoder(features).last_hidden_state
        return states

    def _decode(self, tokens: Tensor, states: Tensor) -> Tensor:
        """Return logits (rows, length, vocabulary) in float32."""
        hidden = self.model.model.decoder(
            input_ids=tokens, encoder_hidden_states=states, use_cache=False
        ).last_hidden_state
        logits: Tensor = self.model.proj_out(hidden)
        return logits.float()

    def _first_logits(self, states: Tensor) -> Tensor:
        """Return logits (windows, vocabulary) after the start token."""
        start = torch.full((len(states), 1), self.whisper.vocabulary.start, device=states.device)
        return self._decode(start, states)[:, 0]

    def _batch(
        self, samples: Samples, chunks: list[Chunk], states: Tensor, no_speech_probs: list[float],
        language: str | None, config: InferenceConfig,
    ) -> Iterator[Segment]:  # fmt: skip
        """Yield the segments of some windows, in order."""
        prompt = self.whisper.prompt(
            self.whisper.context_tokens(config), language, config.task, config.timestamps != "none"
        )
        results = self._decode_with_fallback(states, prompt, no_speech_probs, config)
        times: list[TokenTimes] = [[] for _ in chunks]
        if config.timestamps == "word":
            times = self._token_times(chunks, states, prompt, results)
        for chunk, result, token_times in zip(chunks, results, times, strict=True):
            segments = list(
                self.whisper.segments(chunk.seconds, result, token_times, language, config, config.timestamps != "none")
            )
            if token_times and segments:
                activity = SpeechActivity.of(chunk.of(samples))
                segments = place_words(segments, activity, end=chunk.seconds)
            yield from map(chunk.to_recording_time, segments)

    def _decode_with_fallback(
        self, states: Tensor, prompt: list[int], no_speech_probs: list[float], config: InferenceConfig
    ) -> list[DecodingResult]:
        """Return each window's result at the first temperature that meets the thresholds, else the best of all."""
        results: dict[int, list[DecodingResult]] = {row: [] for row in range(len(states))}
        pending = list(range(len(states)))
        for temperature in config.temperature:
            if not pending:
                break
            outputs = self._generate(states[pending], prompt, temperature, config)
            for row, (tokens, logprobs) in zip(pending, outputs, strict=True):
                results[row].append(self.whisper.score(tokens, logprobs, temperature, no_speech_probs[row]))
            pending = [row for row in pending if needs_fallback(results[row][-1], config)]
        return [max(attempts, key=lambda attempt: preference(attempt, config)) for attempts in results.values()]

    def _generate(
        self, states: Tensor, prompt: list[int], temperature: float, config: InferenceConfig
    ) -> list[tuple[list[int], list[float]]]:
        """Return tokens and log-probabilities of all windows at one temperature.

        This calls GenerationMixin below Whisper's own generate(), which would encode again and split segments itself.
        """
        options = copy.deepcopy(self.whisper.generation)
        options.update(
            max_length=self.model.config.max_target_positions, max_new_tokens=None, num_beams=1,
            forced_decoder_ids=None, return_dict_in_generate=True, output_scores=True,
            return_timestamps=config.timestamps != "none",
            **({"do_sample": True, "temperature": temperature, "top_k": 0} if temperature else {"do_sample": False}),
        )  # fmt: skip
        processors = LogitsProcessorList()  # generate() itself adds the suppressed tokens
        if options.return_timestamps:
            processors.append(WhisperTimeStampLogitsProcessor(options, begin_index=len(prompt)))
        torch.manual_seed(config.seed)
        output = transformers.GenerationMixin.generate(
            self.model,
            generation_config=options,
            logits_processor=processors,
            encoder_outputs=BaseModelOutput(last_hidden_state=states),
            attention_mask=torch.ones(states.shape[:2], dtype=torch.long, device=states.device),
            decoder_input_ids=torch.tensor([prompt] * len(states), device=states.device),
            assistant_model=self.assistant if config.assisted is True else None,
        )
        scores = torch.stack(output.scores, dim=1).float() * (temperature or 1.0)
        tokens = output.sequences[:, len(prompt) :]
        logprobs = scores.log_softmax(-1).gather(2, tokens[..., None])[..., 0].tolist()
        return list(zip(tokens.tolist(), logprobs, strict=True))

    def _token_times(
        self, chunks: list[Chunk], states: Tensor, prompt: list[int], results: list[DecodingResult]
    ) -> list[TokenTimes]:
        """Return the token times of every window, from one pass over all of them."""
        end = self.whisper.vocabulary.end
        lengths = [len(result.tokens) + 1 for result in results]
        rows = [[*prompt, *result.tokens, *[end] * (max(lengths) - len(result.tokens))] for result in results]
        tokens = torch.tensor(rows, device=states.device)
        with record_attention(self.model, self.whisper.alignment_heads()) as heads:
            logits = self._decode(tokens[:, :-1], states)
        attention = torch.stack(heads, dim=1)
        first = len(prompt) - 1  # this position predicts the first decoded token
        probabilities = logits[:, first:].softmax(-1).gather(2, tokens[:, first + 1 :, None])[..., 0]
        times = []
        for row, (chunk, length) in enumerate(zip(chunks, lengths, strict=True)):
            frames = min(-(-round(chunk.seconds * SAMPLE_RATE) // SAMPLES_PER_FRAME), attention.shape[-1])
            starts = token_starts(attention[row, :, first : first + length, :frames])
            times.append(list(zip(starts.tolist(), probabilities[row, :length].tolist(), strict=True)))
        return times


def _speech(chunks: Sequence[Chunk], samples: Samples) -> Iterator[Interval]:
    """Yield the intervals of clear speech in the windows, in seconds of the recording."""
    for chunk in chunks:
        for start, end in SpeechActivity.of(chunk.of(samples)).intervals(MIN_UNCERTAIN):
            yield from chunk.spans(start, end)
