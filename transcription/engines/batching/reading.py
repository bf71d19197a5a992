"""From the decoded tokens of a window to its segments. It needs no torch."""

import math
from collections.abc import Sequence
from dataclasses import replace

from transcription.engines.batching.window import Window, WindowResult
from transcription.whisper.checkpoint import TokenTimes, Whisper
from transcription.whisper.decoding_result import DecodingResult, is_silence
from transcription.whisper.tokens import last_timestamp, split_finished


def read_window(
    whisper: Whisper, window: Window, result: DecodingResult, starts: Sequence[float] | None, language: str | None,
    language_probability: float | None,
) -> WindowResult:  # fmt: skip
    """Return the segments of a window.

    starts: of its tokens, in seconds, None without word timestamps. language_probability: of a detected language.
    """
    config, first_timestamp = window.request.config, whisper.vocabulary.first_timestamp
    times: TokenTimes = []
    if starts is not None:
        # The last time is that of the end of text, if the model wrote none.
        times = list(zip([*starts, window.seconds], map(math.exp, [*result.logprobs, 0.0]), strict=False))
    resume = None
    if config.timestamps != "none" and not is_silence(result, config):
        finished, resume = split_finished(result.tokens, first_timestamp)
        result = replace(result, tokens=result.tokens[:finished], logprobs=result.logprobs[:finished])
    end = last_timestamp(result.tokens, first_timestamp)
    segments = whisper.segments(window.seconds, result, times, language, config)
    return WindowResult(tuple(segments), end, resume is None, language, language_probability)
