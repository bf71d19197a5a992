"""The decoder forced over a given text: which words it gets, and which times are taken."""

from concurrent.futures import Future

import numpy as np

from tests.conftest import SAMPLES
from transcription.audio import SAMPLE_RATE, Audio, Samples
from transcription.config import InferenceConfig
from transcription.context import RequestContext
from transcription.engines.batching.engine import BatchingEngine
from transcription.engines.batching.forced_alignment import force_text
from transcription.engines.batching.window import (
    DEFAULT_OPTIONS,
    DecodingRequest,
    Phrase,
    WindowOptions,
    WindowResult,
)
from transcription.transcriber import Transcriber
from transcription.transcript import Segment, Transcript, Word
from transcription.whisper.text_alignment import align_text

WORDS = InferenceConfig(timestamps="word", beam_size=1)
SHORT = SAMPLES["short"]


class ScriptedDecoder:
    """Moves all words by some seconds, and keeps what it was given."""

    def __init__(self, move: float = 0.0) -> None:
        self.move = move
        self.windows: list[tuple[float, str | None, tuple[Phrase, ...]]] = []

    def submit(
        self, request: DecodingRequest, samples: Samples, options: WindowOptions = DEFAULT_OPTIONS
    ) -> Future[WindowResult]:
        self.windows.append((len(samples) / SAMPLE_RATE, options.language, options.phrases))
        future: Future[WindowResult] = Future()
        future.set_result(WindowResult(tuple(map(self._segment, options.phrases))))
        return future

    def _segment(self, phrase: Phrase) -> Segment:
        step = (phrase.end - phrase.start) / len(phrase.words)
        starts = [phrase.start + self.move + step * number for number in range(len(phrase.words))]
        words = tuple(Word(word, at, at + step, 0.5) for word, at in zip(phrase.words, starts, strict=True))
        return Segment("".join(phrase.words), words[0].start, words[-1].end, words)

    def queue_limit(self, request: DecodingRequest) -> int:
        return 2


def text(*segments: str, language: str = "en", unsaid: str = "never", gap: float = 0.0) -> Transcript:
    """Return an aligned text with a word a second, and `gap` seconds between segments."""
    found, now = list[Segment](), 0.0
    for segment in segments:
        words = list[Word]()
        for word in segment.split():
            said = word != unsaid
            words.append(Word(f" {word}", now, now + said, None, said=said))
            now += said
        found.append(
            Segment("".join(word.word for word in words), words[0].start, now, tuple(words), language=language)
        )
        now += gap
    return Transcript(tuple(found), language, now)


def forced(aligned: Transcript, decoder: ScriptedDecoder) -> Transcript:
    samples = np.zeros(round(aligned.duration * SAMPLE_RATE), np.float32)
    return force_text(decoder, Audio(samples), aligned, WORDS, RequestContext())


def test_words_that_are_said_are_forced_with_their_pauses() -> None:
    decoder = ScriptedDecoder()
    forced(text("we never met", "them never", "now", gap=0.5), decoder)
    phrases = (Phrase((" we", " met"), 0.0, 2.0), Phrase((" them",), 2.5, 3.5), Phrase((" now",), 4.0, 5.0))
    assert decoder.windows == [(5.3, "en", phrases)]


def test_a_forced_time_is_taken_if_it_is_near_to_the_matched_one() -> None:
    aligned = text("we never met them")
    near, far = (forced(aligned, ScriptedDecoder(move)).words for move in (0.25, 0.75))
    assert [(word.start, word.said, word.probability) for word in near] == [
        (0.25, True, 0.5), (1.25, False, None), (1.25, True, 0.5), (2.25, True, 0.5),
    ]  # fmt: skip
    assert [(word.start, word.end) for word in far] == [(word.start, word.end) for word in aligned.words]


def test_a_window_has_one_language_and_is_cut_at_pauses() -> None:
    decoder = ScriptedDecoder()
    german = Segment(" e", 38.5, 39.0, (Word(" e", 38.5, 39.0),), language="de")
    aligned = Transcript((*text("a b " * 8, "c d " * 10, gap=1.0).segments, german), "en", 40.0)
    forced(aligned, decoder)
    assert [(language, len(phrases)) for _, language, phrases in decoder.windows] == [("en", 1), ("en", 1), ("de", 1)]
    assert [len(phrases[0].words) for _, _, phrases in decoder.windows] == [16, 20, 1]


def test_words_are_left_out_if_a_window_cannot_hold_them() -> None:
    decoder = ScriptedDecoder()
    aligned = text(" ".join(["a" * 441, *["b" * 100] * 9, "c"]))
    assert forced(aligned, decoder).text == aligned.text
    windows = [[len(word) for phrase in phrases for word in phrase.words] for _, _, phrases in decoder.windows]
    assert windows == [[101] * 4, [101] * 4, [101, 2]]


def test_a_text_without_said_words_is_not_forced() -> None:
    decoder = ScriptedDecoder()
    for aligned in (Transcript(duration=3.0), text("never never")):
        assert forced(aligned, decoder) == aligned
    assert decoder.windows == []


def test_a_text_that_the_model_wrote_has_the_same_times(transcriber: Transcriber) -> None:
    heard = transcriber.transcribe(SHORT.audio, WORDS)
    aligned = align_text(heard, heard.text)
    again = transcriber.engine.force(SHORT.audio, aligned, WORDS)
    assert [(word.word, word.probability) for word in again.words] == [
        (word.word, word.probability) for word in aligned.words
    ]
    moves = [abs(word.start - before.start) for word, before in zip(again.words, aligned.words, strict=True)]
    assert sorted(moves)[len(moves) // 2] <= 0.04


def test_a_word_that_was_heard_as_another_gets_its_own_probability(transcriber: Transcriber) -> None:
    other = SHORT.truth["text"].replace("budget", "gadget", 1)
    aligned = transcriber.transcribe(SHORT.audio, InferenceConfig(align=other))
    (word,) = [word for word in aligned.words if "gadget" in word.word]
    true = next(word for word in SHORT.truth["words"] if "budget" in word["word"])
    assert word.probability is not None
    assert word.probability < 0.5
    assert abs(word.start - true["start"]) < 0.15


def test_a_text_that_is_too_long_for_the_decoder_is_not_read(transcriber: Transcriber) -> None:
    engine = transcriber.engine
    assert isinstance(engine, BatchingEngine)
    request = DecodingRequest(WORDS.model_copy(update={"language": "en"}), "en")
    long, short = ((Phrase((" to",) * count, 0.0, 6.0),) for count in (500, 2))
    results = [
        engine.submit(request, SHORT.audio.samples, WindowOptions("en", phrases=phrases)).result()
        for phrases in (long, short)
    ]
    assert results[0].segments == ()
    assert [word.word for word in results[1].segments[0].words] == [" to", " to"]
