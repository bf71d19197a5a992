"""Previews of live speech: encoded with less silence, and decoded behind the words that are known."""

import numpy as np
import pytest
import torch

from tests.conftest import SAMPLES
from tests.random_models import SHAPES, VOCABULARY, random_model
from tests.test_slots import decode_all, make_slots
from transcription.config import InferenceConfig
from transcription.engines.batching.engine import BatchingEngine
from transcription.engines.batching.row import Row
from transcription.engines.batching.window import DecodingRequest, Window, WindowOptions
from transcription.transcriber import Transcriber
from transcription.transcript import Word

SHORT = SAMPLES["short"].audio
CONFIG = InferenceConfig(language="en", timestamps="word", beam_size=1, assisted=False)  # drafts change the last bits
UNTIMED = WindowOptions(has_timestamps=False)


@pytest.fixture(scope="module")
def engine(transcriber: Transcriber) -> BatchingEngine:
    assert isinstance(transcriber.engine, BatchingEngine)
    return transcriber.engine


def words_after(engine: BatchingEngine, prefix: str) -> list[Word]:
    options = WindowOptions(has_timestamps=False, prefix=prefix)
    result = engine.submit(DecodingRequest(CONFIG, "en"), SHORT.samples, options).result()
    return [word for segment in result.segments for word in segment.words]


def text(words: list[Word]) -> str:
    return "".join(word.word for word in words)


@pytest.mark.parametrize("count", [1, 3, 8])
def test_behind_its_first_words_a_text_goes_on_as_without_them(engine: BatchingEngine, count: int) -> None:
    whole = words_after(engine, "")
    known = words_after(engine, text(whole[:count]))
    assert text(known) == text(whole)
    assert [word.start for word in known] == pytest.approx([word.start for word in whole], abs=0.1)
    assert {word.probability for word in known[:count]} == {1.0}
    assert [word.probability for word in known[count:]] == pytest.approx(
        [word.probability for word in whole[count:]], abs=1e-4
    )


@pytest.mark.parametrize("prefix", ["  ", " the" * 400])
def test_without_a_prefix_or_with_one_that_is_too_long_the_window_is_decoded_from_its_start(
    engine: BatchingEngine, prefix: str
) -> None:
    assert [(word.word, word.start) for word in words_after(engine, prefix)] == [
        (word.word, word.start) for word in words_after(engine, "")
    ]


@pytest.mark.parametrize(("seconds", "is_live", "frames"), [(0.1, True, 300), (9.9, True, 800), (29.0, True, 1500),
                                                            (0.1, False, 1500)])  # fmt: skip
def test_only_a_preview_is_encoded_with_less_silence(
    engine: BatchingEngine, seconds: float, is_live: bool, frames: int
) -> None:
    samples = np.zeros(round(seconds * 16_000), np.float32)
    row = Row(Window(DecodingRequest(CONFIG, is_live=is_live), samples, UNTIMED))
    assert engine.loop.encoder.frames(row) == frames


@pytest.mark.parametrize("drafts", [(0,), (3,)])
def test_windows_of_different_numbers_of_frames_are_decoded_as_alone(drafts: tuple[int, ...]) -> None:
    model, prompt = random_model(SHAPES["tiny"], 0), [VOCABULARY.start, VOCABULARY.languages["en"]]
    torch.manual_seed(1)
    states = [torch.randn(frames, 48) for frames in (300, 1500, 700, 100)]
    with torch.inference_mode():
        alone = [decode_all(make_slots(model, 1), [one], [prompt], timed=False)[0] for one in states]
        beside = decode_all(make_slots(model, 3, model), states, [prompt] * 4, timed=False, drafts=drafts)
    assert beside == alone
