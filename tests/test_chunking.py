"""Windows cover all audio, end at pauses, and contain only speech with vad_filter."""

from itertools import pairwise

import numpy as np
import pytest
import torch

from benchmarks.truth import read_truth
from tests.conftest import SAMPLES
from transcription.audio import SAMPLE_RATE, read_file
from transcription.config import InferenceConfig
from transcription.vad.chunking import Chunk, pack_speech, split_at_pauses
from transcription.vad.silero import FRAME, speech_probabilities


def noise(seconds: float) -> np.ndarray:
    return np.random.default_rng(0).standard_normal(int(seconds * SAMPLE_RATE)).astype(np.float32)


def test_empty_audio_has_no_windows() -> None:
    assert list(split_at_pauses(np.zeros(0, np.float32), 30)) == []


def test_short_audio_is_one_window() -> None:
    assert list(split_at_pauses(noise(30), 30)) == [Chunk(((0, 30 * SAMPLE_RATE),))]


@pytest.mark.parametrize("max_seconds", [1, 7.3, 30])
@pytest.mark.parametrize(
    "samples", [noise(61), np.zeros(50 * SAMPLE_RATE + 7, np.float32), SAMPLES["long"].audio.samples]
)
def test_windows_cover_all_samples_in_order(samples: np.ndarray, max_seconds: float) -> None:
    windows = list(split_at_pauses(samples, max_seconds))
    assert all(0 < window.seconds <= max_seconds for window in windows)
    assert np.array_equal(np.concatenate([window.of(samples) for window in windows]), samples)


@pytest.mark.parametrize("name", ["long", "discussion", "conversation"])
def test_no_window_ends_inside_a_word(name: str) -> None:
    truth, windows = read_truth(SAMPLES[name].path), list(split_at_pauses(SAMPLES[name].audio.samples, 30))
    ends = [window.end / SAMPLE_RATE for window in windows[:-1]]
    cut_words = [word for word in truth.words for end in ends if word.start + 0.05 < end < word.end - 0.05]
    assert cut_words == []
    assert np.mean([window.seconds for window in windows[:-1]]) > 25


def test_pauses_are_found_in_noise() -> None:
    samples = SAMPLES["long"].audio.samples
    noisy_samples = samples + 0.02 * np.random.default_rng(0).standard_normal(len(samples)).astype(np.float32)
    clean, noisy = ([window.end for window in split_at_pauses(sound, 30)] for sound in (samples, noisy_samples))
    assert np.abs(np.subtract(clean, noisy)).max() < SAMPLE_RATE / 4


def test_packed_windows_contain_every_word_and_no_long_silence() -> None:
    truth = read_truth(SAMPLES["call"].path)
    channel = read_file(SAMPLES["call"].path, keep_channels=True).channels[0]  # type: ignore[index]
    windows = list(pack_speech(channel, InferenceConfig()))
    pieces = [piece for window in windows for piece in window.pieces]
    for word in (word for word in truth.words if word.speaker == "speaker 1"):
        assert any(start <= word.start * SAMPLE_RATE and word.end * SAMPLE_RATE <= end for start, end in pieces)
    assert sum(window.seconds for window in windows) < 0.8 * len(channel) / SAMPLE_RATE
    assert all(window.seconds <= 30 for window in windows)


def test_shorter_pauses_and_less_padding_keep_less_audio() -> None:
    samples = SAMPLES["meeting"].audio.samples
    wide = InferenceConfig()
    narrow = InferenceConfig(vad_silence_ms=200, vad_padding_ms=50, vad_threshold=0.6)
    seconds = [sum(window.seconds for window in pack_speech(samples, config)) for config in (wide, narrow)]
    assert seconds[1] < 0.9 * seconds[0]
    pieces = [piece for window in pack_speech(samples, narrow) for piece in window.pieces]
    assert pieces == sorted(pieces)
    assert all(end <= start for (_, end), (start, _) in pairwise(pieces))


def test_silence_has_no_packed_windows() -> None:
    assert list(pack_speech(np.zeros(100 * SAMPLE_RATE, np.float32), InferenceConfig())) == []
    assert list(pack_speech(np.zeros(0, np.float32), InferenceConfig())) == []


def test_times_in_a_packed_window_map_to_times_in_the_audio() -> None:
    window = Chunk(((16_000, 32_000), (80_000, 112_000)))
    assert window.seconds == 3.0
    assert [window.at(seconds) for seconds in (0.0, 0.5, 1.0, 2.5)] == [1.0, 1.5, 5.0, 6.5]
    assert window.at(1.0, is_end=True) == 2.0
    assert window.of(np.arange(200_000, dtype=np.float32))[[0, 16_000]].tolist() == [16_000, 80_000]


def test_speech_has_a_high_probability_and_silence_a_low_one() -> None:
    samples = SAMPLES["short"].audio.samples
    probabilities = speech_probabilities(samples)
    assert len(probabilities) == -(-len(samples) // FRAME)
    assert float(np.median(probabilities)) > 0.9
    assert float(speech_probabilities(np.zeros(SAMPLE_RATE, np.float32)).max()) < 0.1
    assert len(speech_probabilities(np.zeros(0, np.float32))) == 0


def test_silero_does_not_change_the_threads_of_torch() -> None:
    before = torch.get_num_threads()
    speech_probabilities(np.zeros(FRAME, np.float32))
    assert torch.get_num_threads() == before


def test_an_interval_of_a_packed_window_spans_only_what_the_window_has() -> None:
    window = Chunk(((16_000, 32_000), (80_000, 112_000)))
    assert list(window.spans(0.25, 0.75)) == [(1.25, 1.75)]
    assert list(window.spans(0.5, 9.0)) == [(1.5, 2.0), (5.0, 7.0)]
    assert list(window.spans(1.0, 1.0)) == []


@pytest.mark.parametrize(
    ("seconds", "before", "after"),
    [
        (0.5, [(16_000, 24_000)], [(24_000, 32_000), (64_000, 96_000)]),
        (1.0, [(16_000, 32_000)], [(64_000, 96_000)]),
        (2.0, [(16_000, 32_000), (64_000, 80_000)], [(80_000, 96_000)]),
    ],
)
def test_splits_a_window_at_a_time_in_it(
    seconds: float, before: list[tuple[int, int]], after: list[tuple[int, int]]
) -> None:
    chunk = Chunk(((16_000, 32_000), (64_000, 96_000)))  # 1 s and 2 s
    assert (chunk.until(seconds), chunk.after(seconds)) == (Chunk(tuple(before)), Chunk(tuple(after)))
