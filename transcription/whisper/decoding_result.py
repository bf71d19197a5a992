"""DecodingResult: the tokens of one window, and Whisper's rules for silence and temperature fallback."""

from collections.abc import Sequence
from dataclasses import dataclass

from transcription.config import InferenceConfig
from transcription.whisper.repetition import are_alike, ends_in_loop, has_repeats, is_copied


@dataclass(frozen=True)
class DecodingResult:
    """The decoded tokens of one window, and how confident the model is of them.

    text_tokens: without timestamps.
    """

    tokens: list[int]  # without the end of text
    logprobs: list[float]  # one per token
    avg_logprob: float
    compression_ratio: float
    temperature: float
    no_speech_prob: float
    text_tokens: list[int]

    @property
    def is_loop(self) -> bool:
        """Whether the text ends with one phrase many times over."""
        return ends_in_loop(self.text_tokens)


def is_silence(result: DecodingResult, config: InferenceConfig) -> bool:
    """Return whether the window is silent: no_speech_prob is high, and avg_logprob is low (openai/whisper)."""
    if config.no_speech_threshold is None or result.no_speech_prob <= config.no_speech_threshold:
        return False
    return config.logprob_threshold is None or result.avg_logprob < config.logprob_threshold


def needs_fallback(result: DecodingResult, config: InferenceConfig) -> bool:
    """Return whether to decode again at a higher temperature: the text repeats itself, or its avg_logprob is low."""
    if is_silence(result, config):
        return False
    if is_repetitive(result, config):
        return True
    return config.logprob_threshold is not None and result.avg_logprob < config.logprob_threshold


def is_repetitive(result: DecodingResult, config: InferenceConfig) -> bool:
    """Return whether the text repeats itself.

    For openai/whisper, a high compression ratio is enough. But a sentence that is said three times has one, too.
    """
    threshold = config.compression_ratio_threshold
    if threshold is None:
        return False
    return result.is_loop or (result.compression_ratio > threshold and has_repeats(result.text_tokens))


def preference(result: DecodingResult, config: InferenceConfig) -> tuple[bool, bool, float]:
    """Return the key that is highest for the attempt to keep.

    If every attempt fails, it is the most probable one of those that do not repeat themselves (faster-whisper);
    openai/whisper keeps the one at the highest temperature, which is often invented.
    """
    return not needs_fallback(result, config), not is_repetitive(result, config), result.avg_logprob


def follows_prompt(result: DecodingResult, prompt: Sequence[int], config: InferenceConfig) -> bool:
    """Return whether the window says what the prompt says, loops or says nothing: a prompt can do that to speech.

    prompt: its text tokens.
    """
    tokens = result.text_tokens
    return not tokens or is_silence(result, config) or ends_in_loop(tokens) or is_copied(tokens, prompt)


def is_confirmed(result: DecodingResult, without_prompt: DecodingResult) -> bool:
    """Return whether a window that follows its prompt says the same without it."""
    return are_alike(result.text_tokens, without_prompt.text_tokens)
