"""Diarizer with the demo pipeline, on known recordings."""

import shutil
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import yaml
from pyannote.core import Annotation, Segment

from benchmarks.scores import der
from benchmarks.truth import read_truth
from tests.conftest import DIARIZATION, SAMPLES, diarization_settings
from transcription.audio import Audio
from transcription.config import InferenceConfig
from transcription.context import RequestContext
from transcription.diarization.assign import exclusive_turns
from transcription.diarization.loading import preserve_global_state
from transcription.diarization.pyannote import Diarizer, read_output
from transcription.diarization.result import Diarization
from transcription.transcriber import Transcriber


@pytest.fixture(scope="module")
def diarizer(diarizing_transcriber: Transcriber) -> Diarizer:
    assert isinstance(diarizing_transcriber.diarizer, Diarizer)
    return diarizing_transcriber.diarizer


def diarize(diarizer: Diarizer, name: str, **parameters: Any) -> Diarization:
    return diarizer.diarize(SAMPLES[name].audio, InferenceConfig.from_request(parameters))


def test_the_batch_size_is_that_of_the_settings(diarizer: Diarizer) -> None:
    pipeline = diarizer.pipeline
    assert (pipeline.segmentation_batch_size, pipeline.embedding_batch_size) == (32, 32)
    small = Diarizer(diarization_settings(DIARIZATION, diarization_batch_size=4))
    assert (small.pipeline.segmentation_batch_size, small.pipeline.embedding_batch_size) == (4, 4)
    assert diarize(small, "short") == diarize(diarizer, "short")


@pytest.fixture(scope="module")
def conversation(diarizer: Diarizer) -> Diarization:
    """Return the turns of the sample with three speakers."""
    return diarize(diarizer, "conversation", num_speakers=3)


def test_finds_the_speakers_of_a_conversation(conversation: Diarization) -> None:
    assert {turn.speaker for turn in conversation.turns} == {"SPEAKER_00", "SPEAKER_01", "SPEAKER_02"}
    assert conversation.turns[0].speaker == "SPEAKER_00"
    assert der(read_truth(SAMPLES["conversation"].path), conversation.turns) <= 0.15
    assert conversation.warnings == ()


def test_only_the_regular_diarization_overlaps(conversation: Diarization) -> None:
    pairs = zip(conversation.exclusive, conversation.exclusive[1:], strict=False)
    assert all(turn.end <= following.start + 1e-6 for turn, following in pairs)
    talk = sum(turn.end - turn.start for turn in conversation.turns)
    assert talk > sum(turn.end - turn.start for turn in conversation.exclusive) + 1.0


def test_a_turn_continues_after_an_interruption(conversation: Diarization) -> None:
    """ "No." at 16.2 s interrupts a sentence that continues for half a second."""
    truth = read_truth(SAMPLES["conversation"].path).turns
    (_, start, end), (_, inner_start, inner_end) = next(
        (outer, inner) for outer in truth for inner in truth
        if outer[0] != inner[0] and outer[1] < inner[1] and inner[2] < outer[2] - 0.4
    )  # fmt: skip

    def speakers_at(seconds: float) -> set[str]:
        return {turn.speaker for turn in conversation.turns if turn.start <= seconds <= turn.end}

    [speaker] = speakers_at((start + inner_start) / 2)
    assert speaker in speakers_at((inner_end + end) / 2)
    assert speakers_at((inner_start + inner_end) / 2) > {speaker}


@pytest.mark.parametrize("name", ["short", "noisy"])
def test_finds_one_speaker(diarizer: Diarizer, name: str) -> None:
    assert {turn.speaker for turn in diarize(diarizer, name).turns} == {"SPEAKER_00"}


def test_silence_has_no_speaker(diarizer: Diarizer) -> None:
    assert diarize(diarizer, "silence") == Diarization()
    assert diarizer.diarize(Audio(np.zeros(100, np.float32)), InferenceConfig()) == Diarization()


@pytest.mark.parametrize("seconds", [0.1, 0.5, 3.0])
def test_diarizes_audio_shorter_than_a_chunk(diarizer: Diarizer, seconds: float) -> None:
    part = Audio(SAMPLES["short"].audio.samples[: int(seconds * 16_000)])
    assert len({turn.speaker for turn in diarizer.diarize(part, InferenceConfig()).turns}) <= 1


def test_warns_if_the_number_of_speakers_is_not_the_requested_one(diarizer: Diarizer) -> None:
    diarization = diarize(diarizer, "silence", num_speakers=2)
    assert diarization.warnings == ("0 speakers were found, but num_speakers is 2",)
    assert diarize(diarizer, "silence", min_speakers=3).warnings == ("0 speakers were found, but min_speakers is 3",)


def test_the_number_of_speakers_can_be_limited(diarizer: Diarizer) -> None:
    assert {turn.speaker for turn in diarize(diarizer, "conversation", max_speakers=1).turns} == {"SPEAKER_00"}
    assert len({turn.speaker for turn in diarize(diarizer, "conversation", min_speakers=2).turns}) >= 2


@pytest.mark.parametrize(
    ("talk", "counts", "expected"),
    [
        ({"A": 60.0, "B": 0.3}, {}, 1),  # an error of the clustering
        ({"A": 60.0, "B": 0.3}, {"num_speakers": 2}, 2),
        ({"A": 60.0, "B": 0.7}, {}, 2),  # at least MIN_SPEAKER_TALK
        ({"A": 4.0, "B": 0.3}, {}, 2),  # at least MIN_SPEAKER_SHARE
        ({"A": 0.2}, {}, 1),
        ({}, {}, 0),
    ],
)
def test_removes_speakers_who_talk_for_an_instant(
    talk: dict[str, float], counts: dict[str, int], expected: int
) -> None:
    annotation = Annotation()
    for number, (speaker, seconds) in enumerate(talk.items()):
        annotation[Segment(100.0 * number, 100.0 * number + seconds)] = speaker
    diarization = read_output(annotation, counts)
    assert (
        len({turn.speaker for turn in diarization.turns})
        == len({turn.speaker for turn in diarization.exclusive})
        == expected
    )


def test_does_not_change_the_audio(diarizer: Diarizer) -> None:
    audio = SAMPLES["short"].audio
    before = audio.samples.copy()
    diarizer.diarize(audio, InferenceConfig())
    np.testing.assert_array_equal(audio.samples, before)


def test_does_not_change_tf32(diarizer: Diarizer) -> None:
    before = torch.backends.cuda.matmul.allow_tf32, torch.backends.cudnn.allow_tf32
    torch.backends.cuda.matmul.allow_tf32 = torch.backends.cudnn.allow_tf32 = True
    try:
        diarize(diarizer, "short")
        with preserve_global_state():
            torch.backends.cuda.matmul.allow_tf32 = torch.backends.cudnn.allow_tf32 = False
        assert (torch.backends.cuda.matmul.allow_tf32, torch.backends.cudnn.allow_tf32) == (True, True)
    finally:
        torch.backends.cuda.matmul.allow_tf32, torch.backends.cudnn.allow_tf32 = before


def test_progress_grows_to_the_length_of_the_audio(diarizer: Diarizer) -> None:
    reports: list[tuple[float, float]] = []
    audio = SAMPLES["conversation"].audio
    diarizer.diarize(audio, InferenceConfig(), RequestContext(lambda _, done, total: reports.append((done, total))))
    assert len(reports) > 5
    assert reports == sorted(reports)
    assert reports[-1] == (audio.duration, audio.duration)


def test_concurrent_requests_get_their_own_results(diarizer: Diarizer) -> None:
    names = ["short", "meeting", "noisy"]
    with ThreadPoolExecutor(3) as pool:
        concurrent = list(pool.map(lambda name: diarize(diarizer, name), names))
    assert concurrent == [diarize(diarizer, name) for name in names]


def test_reads_the_annotation_of_pyannote_3(diarizer: Diarizer, tmp_path: Path) -> None:
    shutil.copytree(DIARIZATION, tmp_path / "old")
    config = yaml.safe_load((tmp_path / "old" / "config.yaml").read_text())
    config["pipeline"]["params"]["legacy"] = True
    (tmp_path / "old" / "config.yaml").write_text(yaml.safe_dump(config))
    old, new = Diarizer(diarization_settings(tmp_path / "old")), diarize(diarizer, "meeting")
    assert diarize(old, "meeting") == new
    file = {"waveform": torch.from_numpy(SAMPLES["meeting"].audio.samples)[None], "sample_rate": 16_000}
    whole = read_output(old.pipeline(file), {})
    assert whole.turns == new.turns
    assert whole.exclusive == tuple(exclusive_turns(new.turns))
