"""Whisper: a loaded checkpoint, its prompts, and how its tokens become segments."""

import zlib
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Any, Protocol

from transcription.audio import SAMPLE_RATE
from transcription.config import InferenceConfig, Task
from transcription.transcript import Segment, TokenLogprob, Word
from transcription.whisper.capabilities import Capabilities
from transcription.whisper.chinese import in_one_script
from transcription.whisper.confidence import word_probability
from transcription.whisper.decoding_result import DecodingResult, is_silence
from transcription.whisper.tokens import (
    Span,
    Vocabulary,
    WordTokens,
    split_segments,
    split_sentences,
    split_words,
    token_bytes,
)

if TYPE_CHECKING:
    from torch import Tensor

SAMPLES_PER_FRAME = SAMPLE_RATE // 50
"""Samples per position of the encoder, 20 ms."""
SPEECH_BELOW = 0.5
"""A window may decide the language of its request if its no-speech probability is below this."""
_MAX_CONTEXT = 8192  # characters of a prompt that are tokenized; the decoder takes their last 223 tokens
_TIMESTAMP_ERROR = 0.5  # seconds by which the model's timestamps may miss a word (openai/whisper, timing.py)

TokenTimes = list[tuple[float, float]]
"""(start in seconds, probability) of every token of a window, and of the end of text."""


class LoadedCheckpoint(Protocol):
    """A tokenizer as those of transformers, and a model with its configurations."""

    @property
    def model(self) -> Any:
        """Has config and generation_config."""
        ...

    @property
    def tokenizer(self) -> Any:
        """Has the methods of transformers' tokenizers."""
        ...


class Whisper:
    """A loaded checkpoint: what to feed its decoder, and how to read its tokens."""

    def __init__(self, checkpoint: LoadedCheckpoint, assisted: bool) -> None:
        """Read the vocabulary of a checkpoint. assisted: whether an assistant is loaded beside it."""
        self.checkpoint: Any = checkpoint
        self.tokenizer = checkpoint.tokenizer
        self.config: Any = checkpoint.model.config
        self.generation: Any = checkpoint.model.generation_config
        self.vocabulary = Vocabulary.of(self.tokenizer, self.generation)
        self.capabilities = Capabilities(tuple(self.vocabulary.languages), assisted)

    @property
    def detects_language(self) -> bool:
        """Whether the checkpoint is multilingual."""
        return bool(self.vocabulary.languages)

    def no_speech_probs(self, logits: "Tensor") -> list[float]:
        """Return the no-speech probability of each row of logits (rows, vocabulary) after the start token."""
        if self.vocabulary.no_speech is None:
            return [0.0] * len(logits)
        probabilities: list[float] = logits.softmax(-1)[:, self.vocabulary.no_speech].tolist()
        return probabilities

    def detect_language(self, logits: "Tensor", config: InferenceConfig) -> tuple[str, float]:
        """Return the most probable of the candidate languages, and its probability.

        logits: (vocabulary,), after the start token.
        """
        probabilities = self.language_probabilities(logits, config)
        best = max(probabilities, key=lambda code: probabilities[code])
        return best, probabilities[best]

    def language_probabilities(self, logits: "Tensor", config: InferenceConfig) -> dict[str, float]:
        """Return the probability of each candidate language; see detect_language."""
        ids = self.vocabulary.languages
        codes = self.capabilities.candidate_languages(config) or list(ids)
        probabilities: list[float] = logits[[ids[code] for code in codes]].softmax(-1).tolist()
        return dict(zip(codes, probabilities, strict=True))

    def context_tokens(self, config: InferenceConfig) -> list[int]:
        """Return the tokens of the request's keywords and prompt, with their start token; empty without both."""
        parts = (", ".join(config.keywords), config.prompt or "")
        context = " ".join(part.strip() for part in parts if part.strip())
        if not context or self.vocabulary.previous is None:
            return []
        tokens = self.tokenizer(" " + context[-_MAX_CONTEXT:], add_special_tokens=False, verbose=False).input_ids
        return [self.vocabulary.previous, *tokens[-(self.config.max_target_positions // 2 - 1) :]]

    def prompt(self, context: list[int], language: str | None, task: Task, has_timestamps: bool) -> list[int]:
        """Return the tokens that the decoder is fed before the first word (openai/whisper, decoding.py)."""
        prompt = [*context, self.vocabulary.start]
        if language is not None and self.detects_language:
            prompt += [self.vocabulary.languages[language], self.vocabulary.tasks[task]]
        if not has_timestamps:
            prompt.append(self.vocabulary.no_timestamps)
        return prompt

    def prefix_tokens(self, prefix: str, prompt: list[int]) -> list[int]:
        """Return the tokens of text that a window begins with, behind its prompt.

        They are none if the text is empty, or if they leave less than a quarter of the decoder's positions.
        """
        if not prefix.strip():
            return []
        tokens = list(self.tokenizer(f" {prefix.strip()}", add_special_tokens=False, verbose=False).input_ids)
        return tokens if len(prompt) + len(tokens) <= self.config.max_target_positions * 3 // 4 else []

    def score(
        self, tokens: list[int], logprobs: list[float], temperature: float, no_speech_prob: float
    ) -> DecodingResult:
        """Return the tokens up to the end of text with their scores; avg_logprob includes the end of text."""
        end = self.vocabulary.end
        length = tokens.index(end) if end in tokens else len(tokens)
        counted = logprobs[: length + 1]
        text_tokens = [token for token in tokens[:length] if token < end]
        text = self.tokenizer.decode(text_tokens).encode()
        return DecodingResult(
            tokens=tokens[:length],
            logprobs=logprobs[:length],
            avg_logprob=sum(counted) / max(len(counted), 1),
            compression_ratio=len(text) / len(zlib.compress(text)) if text else 0.0,
            temperature=temperature,
            no_speech_prob=no_speech_prob,
            text_tokens=text_tokens,
        )

    def alignment_heads(self) -> list[tuple[int, int]]:
        """Return the checkpoint's (layer, head) pairs, by default all heads of the upper half (openai/whisper)."""
        heads = getattr(self.generation, "alignment_heads", None)
        if heads:
            return [(int(layer), int(head)) for layer, head in heads]
        layers, count = self.config.decoder_layers, self.config.decoder_attention_heads
        return [(layer, head) for layer in range(layers // 2, layers) for head in range(count)]

    def segments(
        self, seconds: float, result: DecodingResult, times: TokenTimes, language: str | None, config: InferenceConfig,
        has_timestamps: bool = True,
    ) -> Iterator[Segment]:  # fmt: skip
        """Yield the segments of a window of so many seconds, with times from the start of the window.

        times: empty without word timestamps. Without timestamps among the tokens, the segments are sentences, or the
        whole window if there are no times. Chinese is in the script that the request asks for.
        """
        if is_silence(result, config):
            return
        if has_timestamps:
            spans = split_segments(result.tokens, self.vocabulary.first_timestamp, self.vocabulary.end, seconds)
        elif times and max(result.tokens, default=0) < self.vocabulary.end:
            spans = split_sentences(split_words(result.tokens, self.tokenizer, language), [time for time, _ in times])
        else:
            spans = [Span(0, len(result.tokens), 0.0, seconds)]
        for span in spans:
            tokens = [token for token in result.tokens[span.first : span.last] if token < self.vocabulary.end]
            text = self.tokenizer.decode(tokens, clean_up_tokenization_spaces=False)
            if not text.strip() or span.start == span.end:  # openai/whisper drops segments without duration too
                continue
            words: tuple[Word, ...] = ()
            if times:
                groups = split_words(tokens, self.tokenizer, language)
                words = self.timed_words(groups, tokens, times[span.first :], (span.start, span.end), seconds)
            segment = Segment(
                text=text,
                start=words[0].start if words else span.start,
                end=words[-1].end if words else span.end,
                words=words,
                tokens=tuple(result.tokens[span.first : span.last]),
                temperature=result.temperature,
                avg_logprob=result.avg_logprob,
                compression_ratio=result.compression_ratio,
                no_speech_prob=result.no_speech_prob,
                logprobs=self._token_logprobs(result, span) if config.logprobs else (),
                language=language if self.detects_language else None,
            )
            yield in_one_script(segment, config)

    def _token_logprobs(self, result: DecodingResult, span: Span) -> tuple[TokenLogprob, ...]:
        """Return the log-probability of each text token of one segment."""
        tokens, logprobs = result.tokens[span.first : span.last], result.logprobs[span.first : span.last]
        text = [
            (token_bytes(token, self.tokenizer), logprob)
            for token, logprob in zip(tokens, logprobs, strict=True)
            if token < self.vocabulary.end
        ]
        return tuple(TokenLogprob(data.decode("utf-8", "replace"), data, logprob) for data, logprob in text)

    def timed_words(
        self, groups: Sequence[WordTokens], tokens: Sequence[int], times: TokenTimes, span: tuple[float, float],
        seconds: float,
    ) -> tuple[Word, ...]:  # fmt: skip
        """Return the words of one segment of a window of so many seconds. `times` begin at the first of the tokens.

        span: the model's timestamps. The attention may stretch a word over speech that has no text; they do not.
        """
        limits = max(span[0] - _TIMESTAMP_ERROR, 0.0), min(span[1] + _TIMESTAMP_ERROR, seconds)
        words = []
        for word in groups:
            start, end = (min(max(times[index][0], limits[0]), limits[1]) for index in (word.first, word.last))
            probabilities = [probability for _, probability in times[word.first : word.last]]
            data = [token_bytes(token, self.tokenizer) for token in tokens[word.first : word.last]]
            words.append(Word(word.text, start, max(end, start), word_probability(probabilities, data)))
        return tuple(words)
