"""SpeechActivity on the shipped recordings and on sounds that are no speech."""

import numpy as np
import pytest

from tests.conftest import SAMPLES
from transcription.audio import SAMPLE_RATE
from transcription.vad.activity import SpeechActivity

TIME = np.arange(10 * SAMPLE_RATE) / SAMPLE_RATE
NOISE = np.random.default_rng(0).normal(size=len(TIME))
SOUNDS = {
    "silence": 0 * TIME,
    "faint noise": 1e-3 * NOISE,
    "loud noise": 0.3 * NOISE,
    "tone": 0.3 * np.sin(2 * np.pi * 440 * TIME),
    "hum": 0.2 * np.sin(2 * np.pi * 50 * TIME) + 0.05 * np.sin(2 * np.pi * 150 * TIME),
    "beeps": 0.3 * np.sin(2 * np.pi * 880 * TIME) * (TIME % 1 < 0.2),
}


@pytest.mark.parametrize("name", SOUNDS)
def test_sounds_are_no_speech(name: str) -> None:
    activity = SpeechActivity.of(SOUNDS[name].astype(np.float32))
    assert not activity.has_speech()
    assert (activity.speech_seconds(), list(activity.intervals(0.0))) == (0.0, [])


@pytest.mark.parametrize("gain", [1.0, 0.03])
def test_quiet_speech_is_speech(gain: float) -> None:
    activity = SpeechActivity.of(gain * SAMPLES["short"].audio.samples)
    assert activity.has_speech()
    assert activity.speech_seconds() > 3


def test_empty_audio_has_no_speech() -> None:
    assert not SpeechActivity.of(np.zeros(0, np.float32)).has_speech()


def test_times_are_seconds_and_parts_join_to_the_whole() -> None:
    activity = SpeechActivity(np.repeat(np.array([0.0, 0.9, 0.0, 0.9], np.float32), 100))  # 3.2 s each
    assert [activity.has_speech(0.0, 3.1), activity.has_speech(3.0, 3.4)] == [False, True]
    assert list(activity.intervals(1.0)) == [(3.2, 6.4), (pytest.approx(9.6), pytest.approx(12.8))]
    assert list(activity.intervals(4.0)) == []
    before, after = activity.until(6.4), activity.after(6.4)
    assert before.speech_seconds() + after.speech_seconds() == pytest.approx(activity.speech_seconds())
    assert not after.has_speech(0.0, 3.1)
