"""Live sessions: the stream of samples, speech in it, turns, stable words, and the session around them."""

from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from itertools import pairwise

import av
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.conftest import SAMPLES
from transcription.audio import SAMPLE_RATE, Samples
from transcription.audio.streams import Encoding, StreamDecoder
from transcription.config import InferenceConfig
from transcription.live.events import LiveEvent, TurnCommitted, TurnCompleted, TurnFailed, WordsAdded
from transcription.live.session import LiveSession
from transcription.live.stability import StableWords
from transcription.live.turns import MAX_TURN_SECONDS, TurnDetector, TurnEnded, TurnSettings, TurnStarted
from transcription.transcriber import Transcriber
from transcription.transcript import Word
from transcription.vad.silero import FRAME, speech_probabilities
from transcription.vad.streaming import StreamingVad

SPEECH = SAMPLES["short"].audio.samples
PAUSE = np.zeros(SAMPLE_RATE, np.float32)


def words(text: str) -> list[Word]:
    return [Word(f" {word}", float(number), number + 1.0) for number, word in enumerate(text.split())]


def texts(found: tuple[Word, ...]) -> str:
    return "".join(word.word for word in found).strip()


def session_events(transcriber: Transcriber, samples: Samples, config: InferenceConfig) -> list[LiveEvent]:
    events: list[LiveEvent] = []
    with ThreadPoolExecutor(1) as thread:
        session = LiveSession(transcriber, config, TurnSettings(), thread, events.append)
        for start in range(0, len(samples), 1600):
            session.feed(samples[start : start + 1600])
        session.finish()
    return events


def turns_of(samples: Samples, settings: TurnSettings) -> list[TurnStarted | TurnEnded]:
    detector = TurnDetector(settings)
    return [event for start in range(0, len(samples), 1600) for event in detector.feed(samples[start : start + 1600])]


@pytest.mark.parametrize(("encoding", "codec"), [("ulaw", "pcm_mulaw"), ("alaw", "pcm_alaw")])
def test_g711_is_decoded_as_ffmpeg_does(encoding: Encoding, codec: str) -> None:
    decoder = av.CodecContext.create(codec, "r")
    assert isinstance(decoder, av.AudioCodecContext)
    decoder.layout, decoder.sample_rate = "mono", SAMPLE_RATE
    expected = decoder.decode(av.Packet(bytes(range(256))))[0].to_ndarray().reshape(-1)
    found = StreamDecoder(encoding).decode(bytes(range(256)))
    assert (found * 32768).astype(int).tolist() == expected.tolist()


@given(st.lists(st.integers(1, 999), max_size=20))
def test_pieces_of_any_length_give_the_same_samples(lengths: list[int]) -> None:
    data = np.random.default_rng(0).integers(-9999, 9999, 6000).astype("<i2").tobytes()
    whole, pieces = StreamDecoder("pcm", 24000).decode(data), StreamDecoder("pcm", 24000)
    edges = [0, *np.cumsum(lengths).tolist(), len(data)]
    found = [pieces.decode(data[start:end]) for start, end in pairwise(edges)]
    np.testing.assert_allclose(np.concatenate(found), whole, atol=1e-6)


def test_the_stream_has_the_speech_probabilities_of_the_file() -> None:
    vad = StreamingVad()
    found = np.concatenate([vad.feed(SPEECH[start : start + 777]) for start in range(0, len(SPEECH), 777)])
    assert len(found) == len(SPEECH) // FRAME
    np.testing.assert_allclose(found, speech_probabilities(SPEECH)[: len(found)], atol=1e-3)


@pytest.mark.parametrize("samples", [np.zeros(0, np.float32), PAUSE])
def test_silence_has_no_turn(samples: Samples) -> None:
    assert turns_of(samples, TurnSettings()) == []


def test_a_long_turn_is_cut_without_a_gap() -> None:
    speech = np.tile(SPEECH, 6)
    events = turns_of(speech, TurnSettings(silence=None))
    ended = [event.turn for event in events if isinstance(event, TurnEnded)]
    assert ended
    assert all(turn.seconds <= MAX_TURN_SECONDS and len(turn.samples) == turn.end - turn.start for turn in ended)
    started = [event.start for event in events if isinstance(event, TurnStarted)]
    assert started[1] == ended[0].end
    np.testing.assert_array_equal(ended[0].samples, speech[ended[0].start : ended[0].end])


def test_words_are_stable_when_two_decodings_agree() -> None:
    stable = StableWords()
    assert [texts(stable.add(words(text), 0.0)) for text in ("", "a b", "A, c d", "a c d e", "x c d e")] == [
        "", "", "A,", "c d", "e"
    ]  # fmt: skip
    assert texts(stable.rest(words("a c d e f"))) == "f"


def test_a_word_with_audio_behind_it_is_stable_at_once() -> None:
    likely = [replace(word, probability=0.9) for word in words("a b c")]  # they end at 1, 2 and 3 seconds
    assert texts(StableWords().add(likely, 2.5)) == "a b"
    assert texts(StableWords().add(words("a b c"), 2.5)) == ""


def test_each_turn_ends_with_its_transcript(transcriber: Transcriber) -> None:
    events = session_events(transcriber, np.concatenate([SPEECH, PAUSE]), InferenceConfig())
    committed = [event.item for event in events if isinstance(event, TurnCommitted)]
    completed = [event for event in events if isinstance(event, TurnCompleted)]
    assert committed
    assert [event.item for event in completed] == committed
    assert all(event.transcript.words for event in completed)


def test_a_turn_that_cannot_be_decoded_has_failed(transcriber: Transcriber) -> None:
    events = session_events(transcriber, SPEECH, InferenceConfig(diarize=True))
    committed = [event.item for event in events if isinstance(event, TurnCommitted)]
    assert committed
    assert [event.item for event in events if isinstance(event, TurnFailed)] == committed


def test_noise_has_no_words(transcriber: Transcriber) -> None:
    noise = np.random.default_rng(0).normal(0, 0.03, 20 * SAMPLE_RATE).astype(np.float32)
    events = session_events(transcriber, noise, InferenceConfig())
    assert [event for event in events if isinstance(event, WordsAdded)] == []
