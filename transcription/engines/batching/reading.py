"""From the decoded tokens of a window to its segments. It needs no torch."""

import math
from collections.abc import Sequence
from dataclasses import replace

from transcription.engines.batching.window import Phrase, Window, WindowResult
from transcription.transcript import Segment
from transcription.whisper.checkpoint import TokenTimes, Whisper
from transcription.whisper.decoding_result import DecodingResult, is_silence
from transcription.whisper.tokens import TIME_PRECISION, WordTokens, last_timestamp, split_finished


def read_window(
    whisper: Whisper, window: Window, result: DecodingResult, starts: Sequence[float] | None, language: str | None,
    language_probability: float | None,
) -> WindowResult:  # fmt: skip
    """Return the segments of a window. Those of a given text are its phrases.

    starts: of its tokens, in seconds, None without word timestamps. language_probability: of a detected language.
    """
    config, first_timestamp = window.request.config, whisper.vocabulary.first_timestamp
    if window.options.phrases:
        return _read_given(whisper, window, result, starts or (), language)
    times: TokenTimes = []
    if starts is not None:
        # The last time is that of the end of text, if the model wrote none.
        times = list(zip([*starts, window.seconds], map(math.exp, [*result.logprobs, 0.0]), strict=False))
    resume = None
    if window.options.has_timestamps and not is_silence(result, config):
        finished, resume = split_finished(result.tokens, first_timestamp)
        result = replace(result, tokens=result.tokens[:finished], logprobs=result.logprobs[:finished])
    end = last_timestamp(result.tokens, first_timestamp)
    segments = whisper.segments(window.seconds, result, times, language, config, window.options.has_timestamps)
    return WindowResult(tuple(segments), end, resume is None, language, language_probability)


def given_tokens(whisper: Whisper, phrases: Sequence[Phrase]) -> tuple[list[int], list[list[WordTokens]]]:
    """Return the tokens of a given text, each phrase between its timestamps, and the words of each phrase.

    The timestamps tell the decoder where the pauses are. Without them, words beside a pause are stretched into it.
    """
    tokens: list[int] = []
    words: list[list[WordTokens]] = []
    for phrase in phrases:
        start, end = (
            whisper.vocabulary.first_timestamp + round(time / TIME_PRECISION) for time in (phrase.start, phrase.end)
        )
        tokens.append(start)
        words.append([])
        for word in phrase.words:
            first = len(tokens)
            tokens += whisper.tokenizer(word, add_special_tokens=False, verbose=False).input_ids
            words[-1].append(WordTokens(word, first, len(tokens)))
        tokens.append(end)
    return tokens, words


def _read_given(
    whisper: Whisper, window: Window, result: DecodingResult, starts: Sequence[float], language: str | None
) -> WindowResult:
    """Return a segment with words for each phrase of a window's given text, none if it was too long."""
    if not result.tokens:
        return WindowResult((), language=language)
    times = list(zip(starts, map(math.exp, [*result.logprobs, 0.0]), strict=True))
    segments = []
    for phrase, words in zip(window.options.phrases, given_tokens(whisper, window.options.phrases)[1], strict=True):
        timed = whisper.timed_words(words, result.tokens, times, (phrase.start, phrase.end), window.seconds)
        segments.append(
            Segment(
                "".join(phrase.words),
                timed[0].start,
                timed[-1].end,
                timed,
                avg_logprob=result.avg_logprob,
                language=language,
            )
        )
    return WindowResult(tuple(segments), language=language)
