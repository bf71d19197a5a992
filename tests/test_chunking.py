"""Windows leave nothing out and end where nobody speaks."""

from itertools import pairwise

import numpy as np
import pytest
import torch

from tests.conftest import SAMPLES
from tools.samples import read_truth
from transcription.audio import SAMPLE_RATE, read_file
from transcription.config import InferenceConfig
from transcription.vad.chunking import Chunk, cut, packed
from transcription.vad.silero import FRAME, speech


def noise(seconds: float) -> np.ndarray:
    return np.random.default_rng(0).standard_normal(int(seconds * SAMPLE_RATE)).astype(np.float32)


def test_nothing_has_no_windows() -> None:
    assert list(cut(np.zeros(0, np.float32), 30)) == []


def test_short_audio_is_one_window() -> None:
    assert list(cut(noise(30), 30)) == [Chunk(((0, 30 * SAMPLE_RATE),))]


@pytest.mark.parametrize("longest", [1, 7.3, 30])
@pytest.mark.parametrize(
    "sound", [noise(61), np.zeros(50 * SAMPLE_RATE + 7, np.float32), SAMPLES["long"].audio.samples]
)
def test_windows_follow_on_each_other_and_leave_nothing_out(sound: np.ndarray, longest: float) -> None:
    found = list(cut(sound, longest))
    assert all(0 < window.seconds <= longest for window in found)
    assert np.array_equal(np.concatenate([window.of(sound) for window in found]), sound)


@pytest.mark.parametrize("name", ["long", "discussion", "conversation"])
def test_no_word_is_cut(name: str) -> None:
    truth, found = read_truth(SAMPLES[name].path), list(cut(SAMPLES[name].audio.samples, 30))
    ends = [window.end / SAMPLE_RATE for window in found[:-1]]
    inside = [word for word in truth.words for end in ends if word.start + 0.05 < end < word.end - 0.05]
    assert inside == []
    assert np.mean([window.seconds for window in found[:-1]]) > 25


def test_a_pause_is_found_under_noise() -> None:
    samples = SAMPLES["long"].audio.samples
    loud = samples + 0.02 * np.random.default_rng(0).standard_normal(len(samples)).astype(np.float32)
    clean, noisy = ([window.end for window in cut(sound, 30)] for sound in (samples, loud))
    assert np.abs(np.subtract(clean, noisy)).max() < SAMPLE_RATE / 4


def test_packed_windows_hold_every_word_and_no_long_silence() -> None:
    truth = read_truth(SAMPLES["call"].path)
    channel = read_file(SAMPLES["call"].path, keep_channels=True).channels[0]  # type: ignore[index]
    found = list(packed(channel, InferenceConfig()))
    pieces = [piece for window in found for piece in window.pieces]
    for word in (word for word in truth.words if word.speaker == "speaker 1"):
        assert any(start <= word.start * SAMPLE_RATE and word.end * SAMPLE_RATE <= end for start, end in pieces)
    assert sum(window.seconds for window in found) < 0.8 * len(channel) / SAMPLE_RATE
    assert all(window.seconds <= 30 for window in found)


def test_shorter_pauses_and_less_padding_leave_less() -> None:
    samples = SAMPLES["meeting"].audio.samples
    wide = InferenceConfig()
    narrow = InferenceConfig(vad_silence_ms=200, vad_padding_ms=50, vad_threshold=0.6)
    seconds = [sum(window.seconds for window in packed(samples, config)) for config in (wide, narrow)]
    assert seconds[1] < 0.9 * seconds[0]
    pieces = [piece for window in packed(samples, narrow) for piece in window.pieces]
    assert pieces == sorted(pieces)
    assert all(end <= start for (_, end), (start, _) in pairwise(pieces))


def test_silence_is_packed_into_nothing() -> None:
    assert list(packed(np.zeros(100 * SAMPLE_RATE, np.float32), InferenceConfig())) == []
    assert list(packed(np.zeros(0, np.float32), InferenceConfig())) == []


def test_a_packed_window_knows_its_times() -> None:
    window = Chunk(((16_000, 32_000), (80_000, 112_000)))
    assert window.seconds == 3.0
    assert [window.at(seconds) for seconds in (0.0, 0.5, 1.0, 2.5)] == [1.0, 1.5, 5.0, 6.5]
    assert window.at(1.0, ends=True) == 2.0
    assert window.of(np.arange(200_000, dtype=np.float32))[[0, 16_000]].tolist() == [16_000, 80_000]


def test_speech_is_heard_and_silence_is_not() -> None:
    samples = SAMPLES["short"].audio.samples
    heard = speech(samples)
    assert len(heard) == -(-len(samples) // FRAME)
    assert float(np.median(heard)) > 0.9
    assert float(speech(np.zeros(SAMPLE_RATE, np.float32)).max()) < 0.1
    assert len(speech(np.zeros(0, np.float32))) == 0


def test_the_voice_detector_leaves_torchs_threads_alone() -> None:
    before = torch.get_num_threads()
    speech(np.zeros(FRAME, np.float32))
    assert torch.get_num_threads() == before
