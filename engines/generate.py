"""The engine on transformers' own generation loop: the yardstick, plain and right in every case.

Every window is encoded once; language, silence, every temperature and the word times read that encoding.
Windows do not depend on each other's text, so they are decoded in batches.
"""

import copy
import threading
import zlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any

import torch
from torch import Tensor
from transformers import GenerationMixin
from transformers.generation.logits_process import (
    LogitsProcessorList,
    WhisperTimeStampLogitsProcessor,
)
from transformers.modeling_outputs import BaseModelOutput
from transformers.models.whisper.tokenization_whisper import TO_LANGUAGE_CODE

from audio import SAMPLE_RATE, Audio
from config import InferenceConfig, ModelSettings
from engines import Progress
from engines.alignment import token_starts, watched_heads
from engines.cutting import Cut, cut
from engines.loading import load_assistant, load_checkpoint
from engines.tokens import Span, Vocabulary, spans, split_words
from errors import InvalidRequest
from transcript import Segment, Transcript, Word

_FRAME = SAMPLE_RATE // 50  # samples an encoder position stands for
_SPOKEN = 0.5  # no-speech probability under which a window may decide the language


@dataclass(frozen=True)
class Decoded:
    """What one window says, and how sure the model is of it."""

    tokens: list[int]  # without the end of text
    avg_logprob: float
    compression_ratio: float
    temperature: float
    no_speech_prob: float = 0.0


class GenerateEngine:
    """A Whisper checkpoint, and optionally an assistant that drafts for it."""

    def __init__(self, settings: ModelSettings) -> None:
        self.checkpoint = load_checkpoint(settings)
        self.assistant = load_assistant(settings, self.checkpoint)
        self.model: Any = self.checkpoint.model
        self.generation = self.model.generation_config
        self.vocabulary = Vocabulary.of(self.checkpoint.tokenizer, self.generation)
        self._lock = threading.Lock()  # generation keeps state on the model's configuration

    def transcribe(self, audio: Audio, config: InferenceConfig, progress: Progress | None = None) -> Transcript:
        """What is said in `audio` (16 kHz). Raises InvalidRequest."""
        language = self._check(config)
        guess: str | None = None
        probability: float | None = None
        segments: list[Segment] = []
        windows = cut(audio.samples, config.chunk_length_s)
        rows = 1 if config.assisted else config.batch_size
        with self._lock, torch.inference_mode():
            for batch in (windows[at : at + rows] for at in range(0, len(windows), rows)):
                states = self._encode([audio.samples[window.start : window.end] for window in batch])
                logits = self._first_logits(states)
                silence = self._no_speech(logits)
                if language is None and self.vocabulary.languages:
                    guess, probability = self._detect(logits, silence)
                    if min(silence) < _SPOKEN:  # else a later window may know better
                        language = guess
                segments += self._batch(batch, states, silence, language or guess, config)
                if progress is not None:
                    progress(batch[-1].end / SAMPLE_RATE, audio.duration)
        return Transcript(
            tuple(segments), language or guess, audio.duration, config.task, probability, partial=audio.partial
        )

    def _check(self, config: InferenceConfig) -> str | None:
        """The language's code, None where it is to be detected. Raises InvalidRequest."""
        if config.assisted and self.assistant is None:
            raise InvalidRequest("assisted needs an assistant: set ASSISTANT_MODEL, or leave assisted out")
        known = self.vocabulary.languages
        if config.task == "translate" and not known:
            raise InvalidRequest("this model is English only: task translate needs a multilingual one")
        if config.language is None:
            return None
        name = config.language.strip().lower()
        code: str = TO_LANGUAGE_CODE.get(name, name)
        if known and code not in known:
            some = ", ".join(sorted(known)[:100])
            raise InvalidRequest(f"language {name[:20]!r} is not one this model knows: {some}")
        if not known and code != "en":
            raise InvalidRequest("this model is English only: leave language out, or send en")
        return code

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
        start = torch.full((len(states), 1), self.vocabulary.start, device=states.device)
        return self._decode(start, states)[:, 0]

    def _no_speech(self, logits: Tensor) -> list[float]:
        if self.vocabulary.no_speech is None:
            return [0.0] * len(logits)
        chances: list[float] = logits.softmax(-1)[:, self.vocabulary.no_speech].tolist()
        return chances

    def _detect(self, logits: Tensor, silence: list[float]) -> tuple[str, float]:
        """The likeliest language of the window that is surest to hold speech, and its probability."""
        codes = list(self.vocabulary.languages)
        spoken = silence.index(min(silence))
        chances = logits[spoken, list(self.vocabulary.languages.values())].softmax(-1)
        best = int(chances.argmax())
        return codes[best], float(chances[best])

    def _prompt(self, language: str | None, config: InferenceConfig) -> list[int]:
        """What the decoder is fed before the first word (openai/whisper, decoding.py)."""
        prompt: list[int] = []
        if config.prompt and config.prompt.strip() and self.vocabulary.previous is not None:
            text = self.checkpoint.tokenizer(
                " " + config.prompt.strip(), add_special_tokens=False, verbose=False
            ).input_ids
            most = self.model.config.max_target_positions // 2 - 1
            prompt += [self.vocabulary.previous, *text[-most:]]
        prompt.append(self.vocabulary.start)
        if language is not None and self.vocabulary.languages:
            prompt += [self.vocabulary.languages[language], self.vocabulary.tasks[config.task]]
        if config.timestamps == "none":
            prompt.append(self.vocabulary.no_timestamps)
        return prompt

    def _batch(
        self, windows: list[Cut], states: Tensor, silence: list[float], language: str | None,
        config: InferenceConfig,
    ) -> Iterator[Segment]:  # fmt: skip
        """The segments of some windows, in order."""
        prompt = self._prompt(language, config)
        decoded = [
            replace(one, no_speech_prob=chance)
            for one, chance in zip(self._climb(states, prompt, silence, config), silence, strict=True)
        ]
        words: list[list[tuple[float, float]]] = [[] for _ in windows]
        if config.timestamps == "word":
            words = self._timed(windows, states, prompt, decoded)
        for window, one, times in zip(windows, decoded, words, strict=True):
            if not _is_silence(one, config):
                yield from self._segments(window, one, times, language, config)

    def _climb(self, states: Tensor, prompt: list[int], silence: list[float], config: InferenceConfig) -> list[Decoded]:
        """Each window at the first temperature of the ladder that meets the thresholds, else the last."""
        results: dict[int, Decoded] = {}
        pending = list(range(len(states)))
        for temperature in config.temperature:
            if not pending:
                break
            outcome = self._generate(states[pending], prompt, temperature, config)
            results.update(zip(pending, outcome, strict=True))
            pending = [row for row in pending if _is_doubtful(results[row], silence[row], config)]
        return [results[row] for row in range(len(states))]

    def _generate(
        self, states: Tensor, prompt: list[int], temperature: float, config: InferenceConfig
    ) -> list[Decoded]:
        """All windows at one temperature, through transformers' generation loop.

        It is entered below Whisper's own generate(), which would encode again and cut segments itself.
        """
        options = copy.deepcopy(self.generation)
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
            assistant_model=self.assistant if config.assisted else None,
        )
        scores = torch.stack(out.scores, dim=1).float() * (temperature or 1.0)
        written = out.sequences[:, len(prompt) :]
        logprobs = scores.log_softmax(-1).gather(2, written[..., None])[..., 0].tolist()
        return [
            self._judged(tokens, chances, temperature)
            for tokens, chances in zip(written.tolist(), logprobs, strict=True)
        ]

    def _judged(self, tokens: list[int], logprobs: list[float], temperature: float) -> Decoded:
        """The tokens up to the end of text, with their mean log-probability, the end's included."""
        ends = tokens.index(self.vocabulary.end) if self.vocabulary.end in tokens else len(tokens)
        counted = logprobs[: ends + 1]
        text = self.checkpoint.tokenizer.decode([token for token in tokens[:ends] if token < self.vocabulary.end])
        data = text.encode()
        return Decoded(
            tokens=tokens[:ends],
            avg_logprob=sum(counted) / (ends + 1),
            compression_ratio=len(data) / len(zlib.compress(data)) if data else 0.0,
            temperature=temperature,
        )

    def _timed(
        self, windows: list[Cut], states: Tensor, prompt: list[int], decoded: list[Decoded]
    ) -> list[list[tuple[float, float]]]:
        """For every window (start second, probability) of each token and of the end: one pass for all."""
        lengths = [len(one.tokens) + 1 for one in decoded]
        rows = [[*prompt, *one.tokens, *[self.vocabulary.end] * (max(lengths) - len(one.tokens))] for one in decoded]
        tokens = torch.tensor(rows, device=states.device)
        with watched_heads(self.model, self._alignment_heads()) as heads:
            logits = self._decode(tokens[:, :-1], states)
        attention = torch.stack(heads, dim=1)
        first = len(prompt) - 1  # this position predicts the first written token
        chances = logits[:, first:].softmax(-1).gather(2, tokens[:, first + 1 :, None])[..., 0]
        timed = []
        for row, (window, length) in enumerate(zip(windows, lengths, strict=True)):
            frames = min(-(-(window.end - window.start) // _FRAME), attention.shape[-1])
            starts = token_starts(attention[row, :, first : first + length, :frames])
            timed.append(list(zip(starts.tolist(), chances[row, :length].tolist(), strict=True)))
        return timed

    def _alignment_heads(self) -> list[tuple[int, int]]:
        """The checkpoint's, or every head of the last half of the layers (openai/whisper's default)."""
        heads = getattr(self.generation, "alignment_heads", None)
        if heads:
            return [(int(layer), int(head)) for layer, head in heads]
        layers, width = self.model.config.decoder_layers, self.model.config.decoder_attention_heads
        return [(layer, head) for layer in range(layers // 2, layers) for head in range(width)]

    def _segments(
        self, window: Cut, one: Decoded, times: list[tuple[float, float]], language: str | None,
        config: InferenceConfig,
    ) -> Iterator[Segment]:  # fmt: skip
        tokenizer, offset = self.checkpoint.tokenizer, window.start_seconds
        found = (
            [Span(0, len(one.tokens), 0.0, window.seconds)]
            if config.timestamps == "none"
            else spans(one.tokens, self.vocabulary.first_timestamp, self.vocabulary.end, window.seconds)
        )
        for span in found:
            tokens = [token for token in one.tokens[span.first : span.last] if token < self.vocabulary.end]
            text = tokenizer.decode(tokens, clean_up_tokenization_spaces=False)
            if not text.strip():
                continue
            words = self._words(tokens, times[span.first :], window, language) if times else ()
            yield Segment(
                text=text,
                start=words[0].start if words else offset + span.start,
                end=words[-1].end if words else offset + span.end,
                words=words,
                tokens=tuple(one.tokens[span.first : span.last]),
                temperature=one.temperature,
                avg_logprob=one.avg_logprob,
                compression_ratio=one.compression_ratio,
                no_speech_prob=one.no_speech_prob,
            )

    def _words(
        self, tokens: list[int], times: list[tuple[float, float]], window: Cut, language: str | None
    ) -> tuple[Word, ...]:
        """The words of one segment; `times` are (start, probability) from its first token on."""
        words = []
        for word in split_words(tokens, self.checkpoint.tokenizer, language):
            start, end = (min(times[at][0], window.seconds) for at in (word.first, word.last))
            chances = [chance for _, chance in times[word.first : word.last]]
            words.append(
                Word(
                    word=word.text,
                    start=window.start_seconds + start,
                    end=window.start_seconds + max(end, start),
                    probability=sum(chances) / len(chances),
                )
            )
        return tuple(words)


def _is_silence(one: Decoded, config: InferenceConfig) -> bool:
    """Whisper's rule: probably nobody speaks, and the text is a guess."""
    if config.no_speech_threshold is None or one.no_speech_prob <= config.no_speech_threshold:
        return False
    return config.logprob_threshold is None or one.avg_logprob < config.logprob_threshold


def _is_doubtful(one: Decoded, no_speech_prob: float, config: InferenceConfig) -> bool:
    """Whether a higher temperature should be tried: repetition, or a guess that is not silence."""
    if _is_silence(replace(one, no_speech_prob=no_speech_prob), config):
        return False
    repetition = config.compression_ratio_threshold
    if repetition is not None and one.compression_ratio > repetition:
        return True
    return config.logprob_threshold is not None and one.avg_logprob < config.logprob_threshold
