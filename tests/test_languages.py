"""Recordings in one language and in several: which window is written in which language."""

import asyncio

import jiwer
import numpy as np
import pytest

from tests.conftest import DEMO, SAMPLES
from transcription.audio import SAMPLE_RATE, Audio
from transcription.cluster.engine_replica import EngineReplica
from transcription.cluster.messages import WindowRequest
from transcription.config import InferenceConfig, ModelSettings
from transcription.engines.batching.engine import BatchingEngine
from transcription.engines.batching.languages import choose_language, language_changes
from transcription.engines.batching.scheduler import Quota, Scheduler
from transcription.engines.batching.window import DecodingRequest, Window, WindowOptions
from transcription.errors import InvalidRequest
from transcription.transcriber import Transcriber
from transcription.transcript import Segment, Transcript, spoken_languages

ENGLISH, GERMAN = SAMPLES["short"].audio.samples, SAMPLES["german"].audio.samples
PAUSE = np.zeros(SAMPLE_RATE, np.float32)
BOTH = Audio(np.concatenate([ENGLISH, ENGLISH, ENGLISH, ENGLISH, PAUSE, GERMAN]))
AUTO, MULTI = InferenceConfig(timestamps="segment"), InferenceConfig(timestamps="segment", language="multi")


@pytest.fixture(scope="module")
def settings() -> ModelSettings:
    return ModelSettings.from_environment(asr_model=str(DEMO), slots=4)


@pytest.fixture(scope="module")
def engine(settings: ModelSettings) -> BatchingEngine:
    return BatchingEngine(settings)


def spoken(transcript: Transcript) -> list[str | None]:
    """Return the languages in order of time, each once for consecutive segments."""
    codes = [segment.language for segment in transcript.segments]
    return [code for number, code in enumerate(codes) if not number or codes[number - 1] != code]


@pytest.mark.parametrize("config", [AUTO, MULTI])
def test_each_language_is_written_as_it_is_spoken(engine: BatchingEngine, config: InferenceConfig) -> None:
    transcript = engine.transcribe(BOTH, config)
    assert spoken(transcript) == ["en", "de"]
    assert (transcript.language, transcript.languages) == ("en", ("en", "de"))
    german = "".join(segment.text for segment in transcript.segments if segment.language == "de").strip()
    assert jiwer.wer(SAMPLES["german"].truth["text"], german) <= 0.15


def test_a_given_language_is_the_language_of_all_windows(engine: BatchingEngine) -> None:
    transcript = engine.transcribe(BOTH, InferenceConfig(language="en", timestamps="segment"))
    assert (spoken(transcript), transcript.language_probability) == (["en"], None)


def test_languages_are_the_candidates_of_multi(engine: BatchingEngine) -> None:
    config = InferenceConfig(language=" Multi ", languages=("english",))
    assert engine.transcribe(BOTH, config).languages == ("en",)


def test_the_other_engine_refuses_multi() -> None:
    other = Transcriber(ModelSettings.from_environment(asr_model=str(DEMO), engine="transformers"))
    with pytest.raises(InvalidRequest, match=r"^language multi needs another engine: set ENGINE to batching$"):
        other.transcribe(Audio(ENGLISH), MULTI)


def test_a_window_of_a_replica_keeps_the_language_of_its_parent(settings: ModelSettings) -> None:
    blink = np.zeros(SAMPLE_RATE, np.float32)
    message = WindowRequest("one", blink, AUTO, "en", True, 1.0, options=WindowOptions("de"))
    response = asyncio.run(EngineReplica(settings).decode_window(message))
    assert not isinstance(response, Exception)
    assert (response.result.language, response.language) == ("de", "en")


def test_windows_of_multi_do_not_wait_for_the_first_one() -> None:
    scheduler = Scheduler(Quota(), detects_language=True)
    request = DecodingRequest(MULTI)
    for _ in range(2):
        scheduler.add(Window(request, PAUSE))
    assert [scheduler.next_window() is not None for _ in range(3)] == [True, True, False]


@pytest.mark.parametrize(
    ("probabilities", "kept", "may_switch", "expected"),
    [
        ({"cy": 0.6, "en": 0.3}, None, True, "cy"),  # nothing to keep
        ({"cy": 0.6, "en": 0.3}, "en", True, "en"),  # quiet English
        ({"pt": 0.75, "fr": 0.08, "de": 0.01}, "de", True, "pt"),
        ({"pt": 0.75, "fr": 0.08, "de": 0.01}, "de", False, "de"),  # too short, or silent
        ({"ko": 0.3, "en": 0.01}, "en", True, "en"),  # nothing is probable
        ({"de": 0.9}, "en", True, "de"),  # en is no candidate
    ],
)
def test_a_window_keeps_its_language_unless_another_is_much_more_probable(
    probabilities: dict[str, float], kept: str | None, may_switch: bool, expected: str
) -> None:
    assert choose_language(probabilities, kept, may_switch, min_odds=10) == expected


@pytest.mark.parametrize(
    ("parts", "expected"),
    [
        ([], ()),
        ([("en", 0.9)], ()),
        ([("en", 0.9), ("en", 0.9)], ()),
        ([("en", 0.9), ("cy", 0.6), ("en", 0.9)], ()),
        ([("en", 0.9), ("de", 0.9)], (6.0,)),
        ([("en", 0.9), ("la", 0.3), ("de", 0.9)], (9.0,)),
        ([("en", 0.9), ("de", 0.9), ("fr", 0.9)], (6.0, 12.0)),
    ],
)
def test_the_language_changes_between_parts_whose_language_is_clear(
    parts: list[tuple[str, float]], expected: tuple[float, ...]
) -> None:
    assert language_changes(parts, 6.0) == expected


def test_the_language_that_is_spoken_longest_comes_first() -> None:
    segments = [Segment("", 0, 2, language="de"), Segment("", 2, 5, language="en"), Segment("", 5, 9)]
    assert spoken_languages(segments) == ("en", "de")
    assert spoken_languages([]) == ()
    assert (Transcript().languages, Transcript(language="fr").languages) == ((), ("fr",))
