"""What any engine knows of a Whisper checkpoint: its prompts, its thresholds, how its tokens become segments."""

import zlib
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from torch import Tensor

from transcription.audio import SAMPLE_RATE
from transcription.config import InferenceConfig
from transcription.transcript import Segment, TokenLogprob, Word
from transcription.whisper.capabilities import Capabilities
from transcription.whisper.loading import Checkpoint
from transcription.whisper.tokens import Span, Vocabulary, spans, split_words, token_bytes

FRAME = SAMPLE_RATE // 50
"""Samples that an encoder position stands for."""
_CONTEXT = 8192
"""Characters of a prompt that are looked at; of their tokens the decoder takes some two hundred, the last ones."""
SPOKEN = 0.5
"""No-speech probability under which a window may decide the language."""


@dataclass(frozen=True)
class DecodingResult:
    """What one window says, and how sure the model is of it."""

    tokens: list[int]  # without the end of text
    logprobs: list[float]  # of each of them
    avg_logprob: float
    compression_ratio: float
    temperature: float
    no_speech_prob: float


class Whisper:
    """A loaded checkpoint, and how it is spoken to and read."""

    def __init__(self, checkpoint: Checkpoint, assisted: bool) -> None:
        """assisted: whether an assistant is loaded beside it."""
        self.checkpoint = checkpoint
        self.tokenizer = checkpoint.tokenizer
        self.config: Any = checkpoint.model.config
        self.generation: Any = checkpoint.model.generation_config
        self.vocabulary = Vocabulary.of(self.tokenizer, self.generation)
        self.capabilities = Capabilities(tuple(self.vocabulary.languages), assisted)

    def no_speech(self, logits: Tensor) -> list[float]:
        """The probability that nobody speaks, of each row of logits (rows, vocabulary) after the start token."""
        if self.vocabulary.no_speech is None:
            return [0.0] * len(logits)
        chances: list[float] = logits.softmax(-1)[:, self.vocabulary.no_speech].tolist()
        return chances

    def language(self, logits: Tensor, config: InferenceConfig) -> tuple[str, float]:
        """The likeliest of the languages to choose from, and its probability.

        logits (vocabulary,) are those after the start token.
        """
        known = self.vocabulary.languages
        codes = self.capabilities.among(config) or list(known)
        chances = logits[[known[code] for code in codes]].softmax(-1)
        best = int(chances.argmax())
        return codes[best], float(chances[best])

    def prompt(self, language: str | None, config: InferenceConfig) -> list[int]:
        """What the decoder is fed before the first word (openai/whisper, decoding.py)."""
        prompt: list[int] = []
        context = " ".join(part.strip() for part in (", ".join(config.keywords), config.prompt or "") if part.strip())
        if context and self.vocabulary.previous is not None:
            text = self.tokenizer(" " + context[-_CONTEXT:], add_special_tokens=False, verbose=False).input_ids
            most = self.config.max_target_positions // 2 - 1
            prompt += [self.vocabulary.previous, *text[-most:]]
        prompt.append(self.vocabulary.start)
        if language is not None and self.vocabulary.languages:
            prompt += [self.vocabulary.languages[language], self.vocabulary.tasks[config.task]]
        if config.timestamps == "none":
            prompt.append(self.vocabulary.no_timestamps)
        return prompt

    def score(
        self, tokens: list[int], logprobs: list[float], temperature: float, no_speech_prob: float
    ) -> DecodingResult:  # fmt: skip
        """The tokens up to the end of text, with their mean log-probability, the end's included."""
        ends = tokens.index(self.vocabulary.end) if self.vocabulary.end in tokens else len(tokens)
        counted = logprobs[: ends + 1]
        text = self.tokenizer.decode([token for token in tokens[:ends] if token < self.vocabulary.end])
        data = text.encode()
        return DecodingResult(
            tokens=tokens[:ends],
            logprobs=logprobs[:ends],
            avg_logprob=sum(counted) / max(len(counted), 1),
            compression_ratio=len(data) / len(zlib.compress(data)) if data else 0.0,
            temperature=temperature,
            no_speech_prob=no_speech_prob,
        )

    def alignment_heads(self) -> list[tuple[int, int]]:
        """The checkpoint's, or every head of the last half of the layers (openai/whisper's default)."""
        heads = getattr(self.generation, "alignment_heads", None)
        if heads:
            return [(int(layer), int(head)) for layer, head in heads]
        layers, width = self.config.decoder_layers, self.config.decoder_attention_heads
        return [(layer, head) for layer in range(layers // 2, layers) for head in range(width)]

    def segments(
        self, seconds: float, one: DecodingResult, times: list[tuple[float, float]], language: str | None,
        config: InferenceConfig,
    ) -> Iterator[Segment]:  # fmt: skip
        """What a window of so many seconds says, with times from its own start.

        times: (start second, probability) of every token, none without word times.
        """
        if is_silence(one, config):
            return
        found = (
            [Span(0, len(one.tokens), 0.0, seconds)]
            if config.timestamps == "none"
            else spans(one.tokens, self.vocabulary.first_timestamp, self.vocabulary.end, seconds)
        )
        for span in found:
            tokens = [token for token in one.tokens[span.first : span.last] if token < self.vocabulary.end]
            text = self.tokenizer.decode(tokens, clean_up_tokenization_spaces=False)
            if not text.strip():
                continue
            words = self._words(tokens, times[span.first :], seconds, language) if times else ()
            yield Segment(
                text=text,
                start=words[0].start if words else span.start,
                end=words[-1].end if words else span.end,
                words=words,
                tokens=tuple(one.tokens[span.first : span.last]),
                temperature=one.temperature,
                avg_logprob=one.avg_logprob,
                compression_ratio=one.compression_ratio,
                no_speech_prob=one.no_speech_prob,
                logprobs=self._logprobs(one, span) if config.logprobs else (),
            )

    def _logprobs(self, one: DecodingResult, span: Span) -> tuple[TokenLogprob, ...]:
        """Of one segment's text tokens."""
        pairs = zip(one.tokens[span.first : span.last], one.logprobs[span.first : span.last], strict=True)
        spelt = [(token_bytes(token, self.tokenizer), chance) for token, chance in pairs if token < self.vocabulary.end]
        return tuple(TokenLogprob(data.decode("utf-8", "replace"), data, chance) for data, chance in spelt)

    def _words(
        self, tokens: list[int], times: list[tuple[float, float]], seconds: float, language: str | None
    ) -> tuple[Word, ...]:
        """The words of one segment; `times` are (start, probability) from its first token on."""
        words = []
        for word in split_words(tokens, self.tokenizer, language):
            start, end = (min(times[at][0], seconds) for at in (word.first, word.last))
            chances = [chance for _, chance in times[word.first : word.last]]
            words.append(
                Word(
                    word=word.text,
                    start=start,
                    end=max(end, start),
                    probability=sum(chances) / len(chances),
                )
            )
        return tuple(words)


def is_silence(one: DecodingResult, config: InferenceConfig) -> bool:
    """Whisper's rule: probably nobody speaks, and the text is a guess."""
    if config.no_speech_threshold is None or one.no_speech_prob <= config.no_speech_threshold:
        return False
    return config.logprob_threshold is None or one.avg_logprob < config.logprob_threshold


def needs_fallback(one: DecodingResult, config: InferenceConfig) -> bool:
    """Whether a higher temperature should be tried: repetition, or a guess that is not silence."""
    if is_silence(one, config):
        return False
    repetition = config.compression_ratio_threshold
    if repetition is not None and one.compression_ratio > repetition:
        return True
    return config.logprob_threshold is not None and one.avg_logprob < config.logprob_threshold
