"""LongFormTranscriber over a decoder that answers from a script; voice activity detection is the real one."""

from collections.abc import Callable
from concurrent.futures import Future
from itertools import pairwise

import numpy as np
import pytest

from tests.conftest import SAMPLES
from transcription.audio import SAMPLE_RATE, Audio, Samples
from transcription.config import InferenceConfig
from transcription.context import RequestContext
from transcription.engines.batching.longform import LongFormTranscriber
from transcription.engines.batching.window import DEFAULT_OPTIONS, DecodingRequest, WindowOptions, WindowResult
from transcription.errors import EngineFailure
from transcription.transcript import Segment, Transcript, Word
from transcription.whisper.capabilities import Capabilities

SPEECH = SAMPLES["short"].audio.samples  # 6.8 s: speech at 0.3-2.9 and 3.4-6.4 s
SILENCE = np.zeros(10 * SAMPLE_RATE, np.float32)
Answer = Callable[[Samples], WindowResult]


def nothing(_: Samples) -> WindowResult:
    """Find no text."""
    return WindowResult(())


class ScriptedDecoder:
    """Answers each window at once, and keeps the length in seconds of those that are decoded with timestamps."""

    def __init__(self, answer: Answer, untimed: Answer = nothing) -> None:
        self.answer, self.untimed, self.seconds = answer, untimed, list[float]()

    def submit(
        self, request: DecodingRequest, samples: Samples, options: WindowOptions = DEFAULT_OPTIONS
    ) -> Future[WindowResult]:
        future: Future[WindowResult] = Future()
        if not options.has_timestamps:
            future.set_result(self.untimed(samples))
            return future
        self.seconds.append(round(len(samples) / SAMPLE_RATE, 1))
        try:
            future.set_result(self.answer(samples))
        except EngineFailure as error:
            future.set_exception(error)
        return future

    def queue_limit(self, request: DecodingRequest) -> int:
        return 4


def transcribe(samples: Samples, answer: Answer, **config: object) -> tuple[Transcript, list[float]]:
    """Return the transcript, and the lengths of the decoded windows in seconds."""
    decoder = ScriptedDecoder(answer)
    transcriber = LongFormTranscriber(decoder, Capabilities(("en",), assisted=False))
    parameters = InferenceConfig.model_validate({"language": "en", "timestamps": "segment", **config})
    return transcriber.transcribe(Audio(samples), parameters, RequestContext()), decoder.seconds


def words_at(*spans: tuple[float, float]) -> Answer:
    """Write a word at each of the times, without timestamps."""
    words = tuple(Word(" word", start, end) for start, end in spans)
    return lambda _: WindowResult((Segment(" word" * len(words), words[0].start, words[-1].end, words),))


@pytest.mark.parametrize(
    ("spans", "is_decoded_again"),
    [
        ([(0.3, 1.2), (1.2, 2.4), (2.4, 4.0), (4.0, 5.2), (5.2, 6.4)], False),
        ([(0.3, 1.2), (1.2, 4.5), (4.5, 5.5), (5.5, 6.4)], True),  # the second word has 2.8 s of speech
        ([(1.5, 2.4), (2.4, 4.0), (4.0, 5.2), (5.2, 6.4)], True),  # somebody speaks before the first word
        ([(0.3, 1.2), (1.2, 2.4), (2.4, 4.0), (4.0, 5.0)], True),  # and behind the last one
    ],
)
def test_a_window_whose_words_miss_speech_is_decoded_again_with_timestamps(
    spans: list[tuple[float, float]], is_decoded_again: bool
) -> None:
    decoder = ScriptedDecoder(whole_window, words_at(*spans))
    transcriber = LongFormTranscriber(decoder, Capabilities(("en",), assisted=False))
    transcript = transcriber.transcribe(Audio(SPEECH), InferenceConfig(language="en"), RequestContext())
    assert (transcript.text == "text") == is_decoded_again
    assert decoder.seconds == [6.8] * is_decoded_again


def whole_window(samples: Samples) -> WindowResult:
    """Return one segment over the whole window."""
    return WindowResult((Segment(" text", 0.0, len(samples) / SAMPLE_RATE),), len(samples) / SAMPLE_RATE)


def times(transcript: Transcript) -> list[tuple[float, float]]:
    return [(round(segment.start, 1), round(segment.end, 1)) for segment in transcript.segments]


@pytest.mark.parametrize("sequential", [False, True])
def test_silence_is_not_decoded_and_has_no_text(sequential: bool) -> None:
    transcript, decoded = transcribe(SILENCE, whole_window, sequential=sequential)
    assert (transcript.text, transcript.warnings, transcript.duration, decoded) == ("", (), 10.0, [])


@pytest.mark.parametrize("sequential", [False, True])
def test_the_rest_of_a_window_is_decoded_if_its_last_segment_is_unfinished(sequential: bool) -> None:
    def unfinished_at_first(samples: Samples) -> WindowResult:
        if len(samples) == len(SPEECH):
            return WindowResult((Segment(" one", 0.3, 2.9),), end=2.9, is_finished=False)
        return whole_window(samples)

    transcript, decoded = transcribe(SPEECH, unfinished_at_first, sequential=sequential)
    assert decoded == [6.8, 3.9]
    assert (transcript.text, times(transcript)) == ("one text", [(0.3, 2.9), (2.9, 6.8)])
    assert transcript.warnings == ()


def test_the_rest_of_a_window_is_decoded_if_speech_follows_its_text() -> None:
    def ends_early(samples: Samples) -> WindowResult:
        if len(samples) == len(SPEECH):
            return WindowResult((Segment(" one", 0.3, 2.9),), end=2.9)
        return whole_window(samples)

    assert transcribe(SPEECH, ends_early)[1] == [6.8, 3.9]


def test_silence_behind_the_text_is_not_decoded_again() -> None:
    def ends_with_the_speech(_: Samples) -> WindowResult:
        return WindowResult((Segment(" one", 0.3, 6.5),), end=6.5)

    transcript, decoded = transcribe(np.concatenate([SPEECH, SILENCE]), ends_with_the_speech)
    assert (decoded, transcript.warnings) == ([16.8], ())


def test_a_segment_in_silence_is_dropped() -> None:
    def with_invented_text(_: Samples) -> WindowResult:
        return WindowResult((Segment(" Thank you.", 0.0, 9.0), Segment(" one", 10.3, 16.5)), end=16.5)

    transcript, _ = transcribe(np.concatenate([SILENCE, SPEECH]), with_invented_text)
    assert (transcript.text, times(transcript)) == ("one", [(10.3, 16.5)])


def test_speech_without_text_is_named_in_a_warning() -> None:
    transcript, _ = transcribe(SPEECH, lambda _: WindowResult(()))
    (warning,) = transcript.warnings
    assert warning.startswith("somebody speaks and no text was found at 0.")
    assert transcript.text == ""


def kinds(transcript: Transcript) -> list[str]:
    """Return the kinds of the coverage; it must be a partition of the recording."""
    bounds = [(part.start, part.end) for part in transcript.coverage]
    assert [start for start, _ in bounds] == [0.0, *(end for _, end in bounds[:-1])]
    assert bounds[-1][1] == transcript.duration
    return [part.kind for part in transcript.coverage]


@pytest.mark.parametrize("sequential", [False, True])
def test_coverage_accounts_for_every_second(sequential: bool) -> None:
    whole = np.concatenate([SPEECH, SILENCE])

    def first_half(samples: Samples) -> WindowResult:
        return WindowResult((Segment(" one", 0.3, 2.9),) if len(samples) == len(whole) else (), end=2.9)

    transcript, _ = transcribe(whole, first_half, sequential=sequential)
    assert kinds(transcript) == ["silent", "transcribed", "silent", "uncertain", "silent"]
    (uncertain,) = [part for part in transcript.coverage if part.kind == "uncertain"]
    assert transcript.warnings[0].endswith(f"found at {uncertain.start:.1f}-{uncertain.end:.1f} s")


def test_silence_is_covered_without_a_window() -> None:
    assert kinds(transcribe(SILENCE, whole_window)[0]) == ["silent"]


def test_audio_that_vad_filter_leaves_out_is_silent() -> None:
    transcript, decoded = transcribe(np.concatenate([SPEECH, SILENCE, SPEECH]), whole_window, vad_filter=True)
    assert (len(decoded), len(transcript.segments)) == (1, 1)
    assert kinds(transcript) == ["transcribed", "silent"] * 2


def test_windows_are_joined_in_order_and_reported_with_their_times() -> None:
    reported: list[Segment] = []
    decoder = ScriptedDecoder(whole_window)
    transcriber = LongFormTranscriber(decoder, Capabilities(("en",), assisted=False))
    long = np.tile(np.concatenate([SPEECH, SILENCE[: 3 * SAMPLE_RATE]]), 8)
    config = InferenceConfig(language="en", timestamps="segment")
    transcript = transcriber.transcribe(Audio(long), config, RequestContext(segments=reported.extend))
    assert tuple(reported) == transcript.segments
    starts = [segment.start for segment in transcript.segments]
    assert starts == sorted(starts)
    assert sum(decoder.seconds) == pytest.approx(len(long) / SAMPLE_RATE, abs=0.3)


def test_a_failed_window_fails_the_request() -> None:
    def fail(_: Samples) -> WindowResult:
        raise EngineFailure("out of order")

    with pytest.raises(EngineFailure, match=r"^out of order$"):
        transcribe(SPEECH, fail)


def test_empty_audio_is_an_empty_transcript() -> None:
    assert transcribe(np.zeros(0, np.float32), whole_window) == (Transcript(language="en"), [])


def test_speech_between_two_segments_is_decoded_again_and_stands_between_them() -> None:
    long = np.concatenate([SPEECH, SPEECH, SPEECH])  # 6.8 s each

    def without_the_middle(samples: Samples) -> WindowResult:
        if len(samples) == len(long):
            return WindowResult((Segment(" one", 0.3, 6.6), Segment(" three", 13.9, 20.3)), end=20.3)
        return WindowResult((Segment(" two", 0.2, len(samples) / SAMPLE_RATE),), end=len(samples) / SAMPLE_RATE)

    transcript, decoded = transcribe(long, without_the_middle)
    assert len(decoded) > 1
    words = [segment.text for segment in transcript.segments]
    assert (words[0], set(words[1:-1]), words[-1]) == (" one", {" two"}, " three")
    starts = [segment.start for segment in transcript.segments]
    assert starts == sorted(starts)
    assert transcript.warnings == ()


def test_words_stay_out_of_speech_that_is_decoded_again() -> None:
    def answer(samples: Samples) -> WindowResult:
        is_rest = len(samples) < len(SPEECH)
        end = len(samples) / SAMPLE_RATE if is_rest else 3.3  # in the pause, nearer to the speech behind it
        words = tuple(Word(" word", start, start + 0.1) for start in (0.0, end - 0.1))
        return WindowResult((Segment(" word word", 0.0, end, words),), end)

    transcript, decoded = transcribe(SPEECH, answer, timestamps="word")
    assert decoded == [6.8, 3.5]
    words = transcript.words
    assert len(words) == 4
    assert all(before.end <= behind.start for before, behind in pairwise(words))
    assert words[0].start > 0.2
    assert words[-1].end < 6.6


@pytest.mark.parametrize("sequential", [False, True])
def test_a_window_without_progress_is_not_decoded_again(sequential: bool) -> None:
    def hardly_any(_: Samples) -> WindowResult:
        return WindowResult((Segment(" one", 0.0, 0.02),), end=0.02, is_finished=False)

    transcript, decoded = transcribe(SPEECH, hardly_any, sequential=sequential)
    assert decoded[0] == 6.8
    assert len(decoded) <= 3  # with the gaps
    assert len(transcript.warnings) == 1
