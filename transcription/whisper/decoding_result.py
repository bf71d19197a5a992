"""DecodingResult: the tokens of one window, and Whisper's rules for silence and temperature fallback."""

from dataclasses import dataclass

from transcription.config import InferenceConfig


@dataclass(frozen=True)
class DecodingResult:
    """The decoded tokens of one window, and how confident the model is of them."""

    tokens: list[int]  # without the end of text
    logprobs: list[float]  # one per token
    avg_logprob: float
    compression_ratio: float
    temperature: float
    no_speech_prob: float


def is_silence(result: DecodingResult, config: InferenceConfig) -> bool:
    """Return whether the window is silent: no_speech_prob is high, and avg_logprob is low (openai/whisper)."""
    if config.no_speech_threshold is None or result.no_speech_prob <= config.no_speech_threshold:
        return False
    return config.logprob_threshold is None or result.avg_logprob < config.logprob_threshold


def needs_fallback(result: DecodingResult, config: InferenceConfig) -> bool:
    """Return whether to decode again at a higher temperature: the text repeats itself, or its avg_logprob is low."""
    if is_silence(result, config):
        return False
    if config.compression_ratio_threshold is not None and result.compression_ratio > config.compression_ratio_threshold:
        return True
    return config.logprob_threshold is not None and result.avg_logprob < config.logprob_threshold
