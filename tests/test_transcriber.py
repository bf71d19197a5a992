"""The whole way of one request: words and speakers together, on recordings where both are known."""

import logging
import subprocess
import sys
from collections.abc import Callable
from functools import cache
from typing import Any

import pytest

from tests.conftest import DEMO, ROOT, SAMPLES
from tools.samples import read_truth
from tools.scores import cp_wer, der, wer
from transcription.audio import Audio, read_file
from transcription.config import InferenceConfig, ModelSettings
from transcription.context import RequestContext
from transcription.errors import EngineFailure, InvalidRequest
from transcription.transcriber import Transcriber
from transcription.transcript import Transcript

Told = Callable[..., Transcript]


@pytest.fixture(scope="module")
def told(listener: Transcriber) -> Told:
    """A sample's transcript with speakers; each is made once."""

    @cache
    def tell(name: str, **parameters: Any) -> Transcript:
        return listener.transcribe(SAMPLES[name].audio, InferenceConfig.from_request(parameters))

    return tell


CONFUSED = {"discussion": 0.06}
"""What errors of speakers may add to those of words; 0.02 elsewhere. In ten minutes the demo diarization takes eleven
of 280 sentences for another's."""
COUNTS = {"short": 1, "meeting": 3, "conversation": 3, "discussion": 4}


@pytest.mark.parametrize("name", COUNTS)
def test_every_word_has_its_speaker(told: Told, name: str) -> None:
    transcript = told(name, timestamps="word", num_speakers=COUNTS[name])
    assert [word for word in transcript.words if word.speaker is None or word.confidence is None] == []
    truth = read_truth(SAMPLES[name].path)
    attributed, _ = cp_wer(truth, transcript.words)
    assert attributed - wer(truth, transcript) <= CONFUSED.get(name, 0.02)
    assert transcript.warnings == ()


def test_ten_minutes_of_four_people_are_told_apart(told: Told) -> None:
    transcript = told("discussion", timestamps="word", num_speakers=4)
    assert transcript.turns is not None
    assert len(transcript.speakers) == 4
    assert der(read_truth(SAMPLES["discussion"].path), transcript.turns) <= 0.10


@pytest.mark.parametrize("name", [name for name in COUNTS if name != "discussion"])
def test_speakers_change_no_word(told: Told, name: str) -> None:
    alone = told(name, timestamps="word", diarize=False)
    assert alone.turns is None
    labelled = told(name, timestamps="word", num_speakers=COUNTS[name])
    assert [word.word for word in labelled.words] == [word.word for word in alone.words]
    assert labelled.text == alone.text


def test_segments_are_split_between_speakers_also_without_word_times(told: Told) -> None:
    by_words = told("conversation", timestamps="word", num_speakers=3)
    for timestamps in ("segment", "none"):
        transcript = told("conversation", timestamps=timestamps, num_speakers=3)
        assert transcript.words == ()
        assert [(one.text, one.speaker) for one in transcript.segments] == [
            (one.text, one.speaker) for one in by_words.segments
        ]


def test_overlapped_words_are_flagged(told: Told) -> None:
    words = told("conversation", timestamps="word", num_speakers=3).words
    assert any(word.overlap for word in words)
    assert any(word.second_speaker for word in words if word.overlap)
    assert sum(word.overlap for word in words) < 0.2 * len(words)


def test_silence_says_nothing_and_has_nobody(told: Told) -> None:
    transcript = told("silence")
    assert (transcript.text, transcript.turns, transcript.speakers) == ("", (), ())


def test_both_at_the_same_time_find_what_each_finds_alone(listener: Transcriber) -> None:
    audio, config = SAMPLES["meeting"].audio, InferenceConfig(timestamps="word")
    together = listener.transcribe(audio, config)
    words = listener.transcribe(audio, InferenceConfig(timestamps="word", diarize=False)).words
    assert [(word.word, word.start, word.end) for word in together.words] == [
        (word.word, word.start, word.end) for word in words
    ]
    assert listener.diarizer is not None
    assert together.turns == listener.diarizer.diarize(audio, config).turns


def test_a_request_that_is_refused_is_diarized_no_further(listener: Transcriber) -> None:
    heard: list[float] = []

    def progress(stage: str, done: float, total: float) -> None:
        heard.append(done / total)

    with pytest.raises(InvalidRequest, match="language"):
        listener.transcribe(SAMPLES["discussion"].audio, InferenceConfig(language="xx"), RequestContext(progress))
    assert max(heard, default=0.0) < 0.9


def test_progress_of_both_is_told(listener: Transcriber) -> None:
    stages: dict[str, tuple[float, float]] = {}
    audio = SAMPLES["meeting"].audio
    listener.transcribe(
        audio, InferenceConfig(), RequestContext(lambda stage, done, total: stages.update({stage: (done, total)}))
    )
    assert stages == {name: pytest.approx((audio.duration, audio.duration)) for name in ("transcribe", "diarize")}


@pytest.fixture(scope="module")
def broken(tmp_path_factory: pytest.TempPathFactory) -> Transcriber:
    """A service whose diarization model is an empty directory."""
    empty = tmp_path_factory.mktemp("no-pipeline")
    return Transcriber(ModelSettings.from_environment(asr_model=str(DEMO), diarization_model=str(empty)))


class TestWithoutADiarizer:
    """What is asked for and cannot be done is said; transcription goes on."""

    def test_a_model_that_cannot_be_loaded_stops_nothing(self, broken: Transcriber) -> None:
        transcript = broken.transcribe(SAMPLES["short"].audio, InferenceConfig())
        assert transcript.text
        assert transcript.turns is None
        [warning] = transcript.warnings
        assert warning.startswith("speakers are missing: DIARIZATION_MODEL no-pipeline")
        assert broken.transcribe(SAMPLES["short"].audio, InferenceConfig(diarize=False)).warnings == ()

    def test_who_asks_for_speakers_is_told_why_not(self, broken: Transcriber, transcriber: Transcriber) -> None:
        config = InferenceConfig(diarize=True)
        with pytest.raises(InvalidRequest, match=r"^DIARIZATION_MODEL no-pipeline\d* is no pyannote pipeline"):
            broken.transcribe(SAMPLES["short"].audio, config)
        with pytest.raises(InvalidRequest, match=r"^no diarization model is loaded: set DIARIZATION_MODEL$"):
            transcriber.transcribe(SAMPLES["short"].audio, config)

    def test_a_count_alone_is_answered_with_a_warning(self, transcriber: Transcriber) -> None:
        transcript = transcriber.transcribe(SAMPLES["short"].audio, InferenceConfig(num_speakers=2))
        assert transcript.warnings == ("speakers are missing: no diarization model is loaded: set DIARIZATION_MODEL",)


def test_a_diarizer_that_fails_loses_no_text(
    listener: Transcriber, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def fail(*_: object) -> None:
        raise RuntimeError("CUDA out of memory")

    monkeypatch.setattr(listener.diarizer, "diarize", fail)
    with caplog.at_level(logging.CRITICAL):
        transcript = listener.transcribe(SAMPLES["short"].audio, InferenceConfig())
        with pytest.raises(EngineFailure, match=r"^the model ran out of memory"):
            listener.transcribe(SAMPLES["short"].audio, InferenceConfig(diarize=True))
    assert transcript.text
    assert transcript.warnings == ("speakers are missing: diarization failed",)


@pytest.fixture(scope="module")
def call() -> Audio:
    """A telephone call, one person a channel."""
    return read_file(SAMPLES["call"].path, keep_channels=True)


class TestChannels:
    def test_each_is_transcribed_by_itself_and_is_a_speaker(self, transcriber: Transcriber, call: Audio) -> None:
        transcript = transcriber.transcribe(call, InferenceConfig(multichannel=True, timestamps="word"))
        assert call.channels is not None
        for number, samples in enumerate(call.channels):
            alone = transcriber.transcribe(Audio(samples), InferenceConfig(timestamps="word", vad_filter=True))
            own = [word for word in transcript.words if word.speaker == f"SPEAKER_{number:02}"]
            assert [(word.word, word.start) for word in own] == [(word.word, word.start) for word in alone.words]
        assert [one.start for one in transcript.segments] == sorted(one.start for one in transcript.segments)
        assert set(transcript.speakers) == {"SPEAKER_00", "SPEAKER_01"}
        assert cp_wer(read_truth(SAMPLES["call"].path), transcript.words)[0] <= 0.06

    def test_mono_is_one_speaker(self, transcriber: Transcriber) -> None:
        transcript = transcriber.transcribe(SAMPLES["short"].audio, InferenceConfig(multichannel=True))
        assert transcript.speakers == ("SPEAKER_00",)
        assert transcript.text == transcriber.transcribe(SAMPLES["short"].audio, InferenceConfig()).text

    def test_progress_covers_all(self, transcriber: Transcriber, call: Audio) -> None:
        told: list[tuple[float, float]] = []
        config = InferenceConfig(multichannel=True)
        transcriber.transcribe(call, config, RequestContext(lambda _, done, total: told.append((done, total))))
        assert told == sorted(told)
        assert told[-1] == pytest.approx((2 * call.duration, 2 * call.duration))


def test_pyannote_is_imported_only_where_it_is_used() -> None:
    code = (
        "import sys; from transcription.config import *; from transcription.transcriber import Transcriber;"
        f"Transcriber(ModelSettings.from_environment(asr_model={str(DEMO)!r}));"
        "print(any(name.startswith('pyannote') for name in sys.modules))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, cwd=ROOT)
    assert done.stdout.strip() == "False"
