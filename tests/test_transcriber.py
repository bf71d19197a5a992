"""Transcriber: words and speakers of recordings where both are known, and requests that cannot have speakers."""

import logging
from collections.abc import Callable
from functools import cache
from typing import Any

import pytest

from benchmarks.scores import cp_wer, der, wer
from benchmarks.truth import read_truth
from tests.conftest import DEMO, SAMPLES
from transcription.audio import Audio, read_file
from transcription.config import InferenceConfig, ModelSettings
from transcription.context import RequestContext
from transcription.errors import EngineFailure, InvalidRequest
from transcription.transcriber import Transcriber
from transcription.transcript import Transcript

TranscribeSample = Callable[..., Transcript]


@pytest.fixture(scope="module")
def transcribe(diarizing_transcriber: Transcriber) -> TranscribeSample:
    """Return a function that transcribes a sample with speakers. It caches its results."""

    @cache
    def transcribe(name: str, **parameters: Any) -> Transcript:
        return diarizing_transcriber.transcribe(SAMPLES[name].audio, InferenceConfig.from_request(parameters))

    return transcribe


MAX_SPEAKER_ERRORS = {"discussion": 0.06}
"""Maximum of cpWER - WER; 0.02 for other samples. The demo diarization assigns eleven of the 280 sentences in ten
minutes to a wrong speaker."""
COUNTS = {"short": 1, "meeting": 3, "conversation": 3, "discussion": 4}


@pytest.mark.parametrize("name", COUNTS)
def test_every_word_has_the_right_speaker(transcribe: TranscribeSample, name: str) -> None:
    transcript = transcribe(name, timestamps="word", num_speakers=COUNTS[name])
    assert [word for word in transcript.words if word.speaker is None or word.confidence is None] == []
    truth = read_truth(SAMPLES[name].path)
    attributed, _ = cp_wer(truth, transcript.words)
    assert attributed - wer(truth, transcript) <= MAX_SPEAKER_ERRORS.get(name, 0.02)
    assert [warning for warning in transcript.warnings if "speakers were found" in warning] == []


def test_finds_four_speakers_in_ten_minutes(transcribe: TranscribeSample) -> None:
    transcript = transcribe("discussion", timestamps="word", num_speakers=4)
    assert transcript.turns is not None
    assert len(transcript.speakers) == 4
    assert der(read_truth(SAMPLES["discussion"].path), transcript.turns) <= 0.10


@pytest.mark.parametrize("name", [name for name in COUNTS if name != "discussion"])
def test_speakers_do_not_change_the_words(transcribe: TranscribeSample, name: str) -> None:
    plain = transcribe(name, timestamps="word", diarize=False)
    assert plain.turns is None
    labelled = transcribe(name, timestamps="word", num_speakers=COUNTS[name])
    assert [word.word for word in labelled.words] == [word.word for word in plain.words]
    assert labelled.text == plain.text


def test_segments_are_split_by_speaker_without_word_timestamps_too(transcribe: TranscribeSample) -> None:
    by_words = transcribe("conversation", timestamps="word", num_speakers=3)
    for timestamps in ("segment", "none"):
        transcript = transcribe("conversation", timestamps=timestamps, num_speakers=3)
        assert transcript.words == ()
        assert [(segment.text, segment.speaker) for segment in transcript.segments] == [
            (segment.text, segment.speaker) for segment in by_words.segments
        ]


def test_words_in_overlap_are_marked(transcribe: TranscribeSample) -> None:
    words = transcribe("conversation", timestamps="word", num_speakers=3).words
    assert any(word.overlap for word in words)
    assert any(word.second_speaker for word in words if word.overlap)
    assert sum(word.overlap for word in words) < 0.2 * len(words)


def test_silence_has_no_text_and_no_speakers(transcribe: TranscribeSample) -> None:
    transcript = transcribe("silence")
    assert (transcript.text, transcript.turns, transcript.speakers) == ("", (), ())


def test_concurrent_diarization_changes_no_result(diarizing_transcriber: Transcriber) -> None:
    audio, config = SAMPLES["meeting"].audio, InferenceConfig(timestamps="word")
    both = diarizing_transcriber.transcribe(audio, config)
    words = diarizing_transcriber.transcribe(audio, InferenceConfig(timestamps="word", diarize=False)).words
    assert [(word.word, word.start, word.end) for word in both.words] == [
        (word.word, word.start, word.end) for word in words
    ]
    assert diarizing_transcriber.diarizer is not None
    assert both.turns == diarizing_transcriber.diarizer.diarize(audio, config).turns


def test_an_invalid_request_stops_its_diarization(diarizing_transcriber: Transcriber) -> None:
    shares: list[float] = []

    def progress(stage: str, done: float, total: float) -> None:
        shares.append(done / total)

    with pytest.raises(InvalidRequest, match="language"):
        diarizing_transcriber.transcribe(
            SAMPLES["discussion"].audio, InferenceConfig(language="xx"), RequestContext(progress)
        )
    assert max(shares, default=0.0) < 0.9


def test_reports_progress_of_both_stages(diarizing_transcriber: Transcriber) -> None:
    stages: dict[str, tuple[float, float]] = {}
    audio = SAMPLES["meeting"].audio
    diarizing_transcriber.transcribe(
        audio, InferenceConfig(), RequestContext(lambda stage, done, total: stages.update({stage: (done, total)}))
    )
    assert stages == {name: pytest.approx((audio.duration, audio.duration)) for name in ("transcribe", "diarize")}


@pytest.fixture(scope="module")
def broken(tmp_path_factory: pytest.TempPathFactory) -> Transcriber:
    """Return a transcriber whose diarization model is an empty directory."""
    empty = tmp_path_factory.mktemp("no-pipeline")
    return Transcriber(ModelSettings.from_environment(asr_model=str(DEMO), diarization_model=str(empty)))


class TestWithoutADiarizer:
    """Requests that require speakers fail; the others get a warning."""

    def test_transcribes_with_a_warning_if_the_diarization_model_cannot_be_loaded(self, broken: Transcriber) -> None:
        transcript = broken.transcribe(SAMPLES["short"].audio, InferenceConfig())
        assert transcript.text
        assert transcript.turns is None
        [warning] = transcript.warnings
        assert warning.startswith("speakers are missing: DIARIZATION_MODEL no-pipeline")
        assert broken.transcribe(SAMPLES["short"].audio, InferenceConfig(diarize=False)).warnings == ()

    def test_a_request_that_requires_speakers_fails_with_the_reason(
        self, broken: Transcriber, transcriber: Transcriber
    ) -> None:
        config = InferenceConfig(diarize=True)
        with pytest.raises(InvalidRequest, match=r"^DIARIZATION_MODEL no-pipeline\d* is not a pyannote pipeline"):
            broken.transcribe(SAMPLES["short"].audio, config)
        with pytest.raises(InvalidRequest, match=r"^no diarization model is loaded: set DIARIZATION_MODEL$"):
            transcriber.transcribe(SAMPLES["short"].audio, config)

    def test_warns_if_the_request_only_gives_a_number_of_speakers(self, transcriber: Transcriber) -> None:
        transcript = transcriber.transcribe(SAMPLES["short"].audio, InferenceConfig(num_speakers=2))
        assert transcript.warnings == ("speakers are missing: no diarization model is loaded: set DIARIZATION_MODEL",)


def test_a_failing_diarizer_does_not_lose_the_text(
    diarizing_transcriber: Transcriber, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def fail(*_: object) -> None:
        raise RuntimeError("CUDA out of memory")

    monkeypatch.setattr(diarizing_transcriber.diarizer, "diarize", fail)
    with caplog.at_level(logging.CRITICAL):
        transcript = diarizing_transcriber.transcribe(SAMPLES["short"].audio, InferenceConfig())
        with pytest.raises(EngineFailure, match=r"^the model ran out of memory"):
            diarizing_transcriber.transcribe(SAMPLES["short"].audio, InferenceConfig(diarize=True))
    assert transcript.text
    assert transcript.warnings == ("speakers are missing: diarization failed",)


@pytest.fixture(scope="module")
def call() -> Audio:
    """Return a phone call with one person per channel."""
    return read_file(SAMPLES["call"].path, keep_channels=True)


class TestChannels:
    def test_each_channel_is_transcribed_separately_as_one_speaker(self, transcriber: Transcriber, call: Audio) -> None:
        transcript = transcriber.transcribe(call, InferenceConfig(multichannel=True, timestamps="word"))
        assert call.channels is not None
        for number, samples in enumerate(call.channels):
            channel = transcriber.transcribe(Audio(samples), InferenceConfig(timestamps="word", vad_filter=True))
            own = [word for word in transcript.words if word.speaker == f"SPEAKER_{number:02}"]
            assert [(word.word, word.start) for word in own] == [(word.word, word.start) for word in channel.words]
        starts = [segment.start for segment in transcript.segments]
        assert starts == sorted(starts)
        assert set(transcript.speakers) == {"SPEAKER_00", "SPEAKER_01"}
        assert cp_wer(read_truth(SAMPLES["call"].path), transcript.words)[0] <= 0.06

    def test_mono_audio_has_one_speaker(self, transcriber: Transcriber) -> None:
        transcript = transcriber.transcribe(SAMPLES["short"].audio, InferenceConfig(multichannel=True))
        assert transcript.speakers == ("SPEAKER_00",)
        assert transcript.text == transcriber.transcribe(SAMPLES["short"].audio, InferenceConfig()).text

    def test_progress_covers_all_channels(self, transcriber: Transcriber, call: Audio) -> None:
        reports: list[tuple[float, float]] = []
        config = InferenceConfig(multichannel=True)
        transcriber.transcribe(call, config, RequestContext(lambda _, done, total: reports.append((done, total))))
        assert reports == sorted(reports)
        assert reports[-1] == pytest.approx((2 * call.duration, 2 * call.duration))
