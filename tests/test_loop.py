"""Many requests in one loop: fair, cancellable, and alive after failures."""

import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import torch

from tests.conftest import ASSISTANT, DEMO, SAMPLES
from tests.serving import until
from transcription.audio import SAMPLE_RATE, Audio
from transcription.config import FALLBACK_TEMPERATURES, InferenceConfig, ModelSettings
from transcription.context import RequestContext
from transcription.engines.batching.engine import BatchingEngine
from transcription.engines.batching.loop import DecodingLoop
from transcription.engines.batching.row import DecodedWindow
from transcription.engines.batching.window import DecodingRequest, Window, WindowResult
from transcription.errors import Cancelled, EngineFailure
from transcription.transcript import Transcript
from transcription.vad.chunking import split_at_pauses

SHORT, LONG = SAMPLES["short"].audio, SAMPLES["long"].audio
SEGMENTS = InferenceConfig(timestamps="segment", language="en")


def new_engine(**changes: Any) -> BatchingEngine:
    return BatchingEngine(ModelSettings.from_environment(asr_model=str(DEMO), **changes))


@pytest.fixture
def engine() -> Iterator[BatchingEngine]:
    """Yield an engine with four slots; all are free again at the end."""
    found = new_engine(slots=4, assistant_model=str(ASSISTANT))
    yield found
    idle(found.loop)


def idle(loop: DecodingLoop) -> None:
    """Wait until the loop has let go of every window."""
    until(lambda: loop.is_idle)


def tokens(transcript: Transcript) -> list[tuple[int, ...]]:
    return [segment.tokens for segment in transcript.segments]


def test_one_slot_gives_the_text_of_four(engine: BatchingEngine) -> None:
    meeting = SAMPLES["meeting"].audio
    assert tokens(new_engine(slots=1).transcribe(meeting, SEGMENTS)) == tokens(engine.transcribe(meeting, SEGMENTS))


def test_requests_in_one_batch_get_the_transcripts_that_they_get_alone(engine: BatchingEngine) -> None:
    asked = [
        (name, InferenceConfig(timestamps=timestamps, assisted=assisted))
        for name in ("short", "german", "noisy", "meeting", "silence")
        for timestamps, assisted in (("word", False), ("none", True), ("segment", "auto"))
    ]
    with ThreadPoolExecutor(len(asked)) as pool:
        together = list(pool.map(lambda one: engine.transcribe(SAMPLES[one[0]].audio, one[1]), asked))
    for (name, config), transcript in zip(asked, together, strict=True):
        alone = engine.transcribe(SAMPLES[name].audio, config)
        assert tokens(transcript) == tokens(alone)
        assert (transcript.text, transcript.language) == (alone.text, alone.language)
        assert [(one.word, one.start, one.end) for one in transcript.words] == [
            (one.word, one.start, one.end) for one in alone.words
        ]


def test_a_short_request_overtakes_a_long_one(engine: BatchingEngine) -> None:
    minutes = Audio(np.tile(LONG.samples, 3))
    begun, finished = threading.Event(), []
    with ThreadPoolExecutor(2) as pool:
        long = pool.submit(engine.transcribe, minutes, SEGMENTS, RequestContext(lambda *_: begun.set()))
        assert begun.wait(120)
        for _ in range(3):
            engine.transcribe(SHORT, SEGMENTS)
            finished.append(long.done())
        assert finished == [False] * 3
        alone = engine.transcribe(LONG, SEGMENTS)
        assert len(long.result().text.split()) == pytest.approx(3 * len(alone.text.split()), rel=0.04)


def test_a_streaming_request_gets_its_first_segments_before_its_last_window_is_encoded() -> None:
    engine, encoded = new_engine(slots=24), list[int]()
    encode = engine.loop.encoder.encode
    engine.loop.encoder.encode = lambda windows, frames: encoded.append(len(windows)) or encode(windows, frames)  # type: ignore[func-returns-value]
    at_first, minutes = list[int](), Audio(np.tile(LONG.samples, 4))
    listened = engine.transcribe(minutes, SEGMENTS, RequestContext(segments=lambda _: at_first.append(sum(encoded))))
    windows = sum(encoded)
    assert at_first[0] < windows
    assert len(at_first) == len(list(split_at_pauses(minutes.samples, 30)))
    assert tokens(listened) == tokens(engine.transcribe(minutes, SEGMENTS))
    idle(engine.loop)


def test_a_window_that_comes_when_the_thread_is_about_to_end_is_decoded(
    engine: BatchingEngine, monkeypatch: pytest.MonkeyPatch
) -> None:
    add = engine.scheduler.add

    def add_slowly(window: Window) -> None:
        time.sleep(0.005)  # the thread's time to wait passes; it cannot end yet, as the caller holds the lock
        add(window)

    monkeypatch.setattr(engine.loop, "idle_seconds", 0.001)
    monkeypatch.setattr(engine.scheduler, "add", add_slowly)
    for _ in range(5):
        request = DecodingRequest(SEGMENTS, "en", is_short=True)
        assert engine.submit(request, SHORT.samples[:SAMPLE_RATE]).result(20).language == "en"


def test_a_cancelled_context_ends_the_request_and_frees_its_slots(engine: BatchingEngine) -> None:
    context = RequestContext()
    with ThreadPoolExecutor(1) as pool:
        long = pool.submit(engine.transcribe, Audio(np.tile(LONG.samples, 4)), SEGMENTS, context)
        context.cancel()
        assert isinstance(long.exception(30), Cancelled)
    idle(engine.loop)


def test_an_exception_in_the_callers_thread_frees_its_slots(engine: BatchingEngine) -> None:
    class Left(Exception):
        pass

    def leave(*_: object) -> None:
        raise Left

    with pytest.raises(Left):
        engine.transcribe(Audio(np.tile(LONG.samples, 4)), SEGMENTS, RequestContext(leave))
    idle(engine.loop)
    assert engine.transcribe(SHORT, SEGMENTS).text


def test_out_of_memory_halves_the_slots_and_loses_no_window(
    engine: BatchingEngine, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    expected = tokens(engine.transcribe(LONG, SEGMENTS))
    forward, calls = engine.loop.slots.decoder.forward, []

    def tight(*args: Any) -> torch.Tensor:
        calls.append(len(args[0]))
        if engine.loop.slots.decoder.slots > 1 and len(calls) > 20:
            raise torch.OutOfMemoryError
        return forward(*args)

    monkeypatch.setattr(engine.loop.slots.decoder, "forward", tight)
    assert tokens(engine.transcribe(LONG, SEGMENTS)) == expected
    assert engine.loop.slots.decoder.slots == 1
    assert caplog.messages == ["out of memory: going on with 2 slots", "out of memory: going on with 1 slots"]


def test_too_little_memory_for_one_window_is_an_engine_failure(
    engine: BatchingEngine, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*_: Any) -> None:
        raise torch.OutOfMemoryError

    with monkeypatch.context() as patch:
        patch.setattr(engine.loop.slots.decoder, "forward", full)
        with pytest.raises(EngineFailure, match=r"^the device's memory is too small for one window$"):
            engine.transcribe(LONG, SEGMENTS)
    assert engine.transcribe(SHORT, SEGMENTS).text


def test_a_failed_step_fails_its_requests_and_the_next_request_is_served(
    engine: BatchingEngine, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def fail(*_: Any) -> None:
        raise RuntimeError("/secret/path")

    with monkeypatch.context() as patch:
        patch.setattr(engine.loop.slots.decoder, "forward", fail)
        with pytest.raises(EngineFailure, match=r"^decoding failed: see the log$"):
            engine.transcribe(SHORT, SEGMENTS)
    assert caplog.messages == ["decoding failed"]
    assert engine.transcribe(SHORT, SEGMENTS).text


def test_each_window_is_encoded_once_for_language_fallback_and_word_times(
    engine: BatchingEngine, monkeypatch: pytest.MonkeyPatch
) -> None:
    encode, encoded = engine.loop.encoder.encode, list[Any]()

    def counted(windows: list[Any], frames: int) -> torch.Tensor:
        encoded.extend(windows)
        return encode(windows, frames)

    monkeypatch.setattr(engine.loop.encoder, "encode", counted)
    config = InferenceConfig(timestamps="word", temperature=FALLBACK_TEMPERATURES, logprob_threshold=-0.0)
    engine.transcribe(SHORT, config)
    assert len(encoded) == 1


def test_temperature_fallback_of_one_request_does_not_change_another(engine: BatchingEngine) -> None:
    fallback = {"temperature": (0.0, 0.4, 0.8), "language": "en", "no_speech_threshold": None}
    calm = engine.transcribe(LONG, InferenceConfig(**fallback))
    assert {segment.temperature for segment in calm.segments} == {0.0}
    asked = [InferenceConfig(**fallback), InferenceConfig(**fallback, logprob_threshold=0)]
    with ThreadPoolExecutor(2) as pool:
        one, other = pool.map(lambda config: engine.transcribe(LONG, config), asked)
    assert tokens(one) == tokens(other) == tokens(calm)  # no attempt met the threshold: the most probable one is kept


def test_the_same_request_samples_the_same_text_alone_and_beside_others(engine: BatchingEngine) -> None:
    sampled = InferenceConfig(temperature=1.0, language="en", no_speech_threshold=None)
    alone = tokens(engine.transcribe(SHORT, sampled))
    with ThreadPoolExecutor(3) as pool:
        requests = [(SHORT, sampled), (LONG, SEGMENTS), (SHORT, sampled)]
        together = list(pool.map(lambda one: tokens(engine.transcribe(*one)), requests))
    assert together[0] == together[2] == alone
    noisy, seeds = SAMPLES["noisy"].audio, range(6)
    samples = [tokens(engine.transcribe(noisy, sampled.model_copy(update={"seed": seed}))) for seed in seeds]
    assert any(one != samples[0] for one in samples)


def test_a_request_takes_no_more_rows_than_its_batch_size(
    engine: BatchingEngine, monkeypatch: pytest.MonkeyPatch
) -> None:
    rows: list[int] = []
    ended_rows = engine.loop.slots.ended_rows

    def counted(count: int) -> list[int]:
        rows.append(count)
        return ended_rows(count)

    monkeypatch.setattr(engine.loop.slots, "ended_rows", counted)
    engine.transcribe(LONG, InferenceConfig(language="en", batch_size=2))
    assert max(rows) == 2
    engine.transcribe(LONG, InferenceConfig(language="en"))
    assert max(rows) == 3  # one is left for short requests


@pytest.mark.filterwarnings("ignore")
def test_sequential_gives_the_segments_of_generate(engine: BatchingEngine) -> None:
    checkpoint = engine.whisper.checkpoint
    model: Any = checkpoint.model
    features = checkpoint.feature_extractor(
        LONG.samples, sampling_rate=16_000, return_tensors="pt", truncation=False, padding="longest",
        return_attention_mask=True,
    )  # fmt: skip
    expected = model.generate(
        features.input_features, attention_mask=features.attention_mask, return_timestamps=True, return_segments=True,
        language="en", task="transcribe", num_beams=1, do_sample=False, condition_on_prev_tokens=False,
    )["segments"][0]  # fmt: skip
    found = engine.transcribe(LONG, InferenceConfig(language="en", timestamps="segment", sequential=True)).segments
    decoded = [checkpoint.tokenizer.decode(one["tokens"], skip_special_tokens=True) for one in expected]
    assert [one.text for one in found] == decoded
    full = [(float(one["start"]), float(one["end"])) for one in expected[:-4]]  # its last window is padded otherwise
    np.testing.assert_allclose([(one.start, one.end) for one in found[:-4]], full, atol=1e-3)


def test_sequential_gives_word_times_and_no_words_in_silence(engine: BatchingEngine) -> None:
    config = InferenceConfig(timestamps="word", sequential=True)
    words = engine.transcribe(LONG, config).words
    assert [word.start for word in words] == sorted(word.start for word in words)
    assert engine.transcribe(SAMPLES["silence"].audio, config).words == ()


def test_words_have_times_also_without_an_end_of_text(engine: BatchingEngine, monkeypatch: pytest.MonkeyPatch) -> None:
    decoded: list[DecodedWindow] = []
    read = engine.read

    def recorded(window: Window, found: DecodedWindow) -> WindowResult:
        decoded.append(found)
        return read(window, found)

    monkeypatch.setattr(engine, "read", recorded)
    request = DecodingRequest(InferenceConfig(timestamps="word"), "en", is_short=True)
    whole = engine.submit(request, SHORT.samples).result(60)
    (found,) = decoded
    assert found.attention is not None
    endless = read(Window(request, SHORT.samples), replace(found, attention=found.attention[:, :-1]))
    words, same = ([word for segment in result.segments for word in segment.words] for result in (whole, endless))
    assert [word.word for word in same] == [word.word for word in words]
    assert same[-1].end <= SHORT.duration


def test_a_window_that_cannot_be_read_fails_alone(
    engine: BatchingEngine, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    read = engine.read

    def fail_german(window: Window, decoded: DecodedWindow) -> WindowResult:
        if window.request.config.language == "de":
            raise RuntimeError("/secret/path")
        return read(window, decoded)

    monkeypatch.setattr(engine, "read", fail_german)
    with ThreadPoolExecutor(2) as pool:
        bad = pool.submit(engine.transcribe, LONG, InferenceConfig(language="de"))
        assert pool.submit(engine.transcribe, SHORT, SEGMENTS).result().text
        with pytest.raises(EngineFailure, match=r"^transcription failed inside the model: see the log$"):
            bad.result()
    assert set(caplog.messages) == {"the tokens of a window cannot be read"}
    idle(engine.loop)
