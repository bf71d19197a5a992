import numpy as np
import pytest

from audio import SAMPLE_RATE
from engines.cutting import Cut, cut

RNG = np.random.default_rng(0)


def talk(seconds: float, pauses: list[float]) -> np.ndarray:
    """Noise with pauses of 0.4 s that begin at the given seconds."""
    samples = RNG.standard_normal(int(seconds * SAMPLE_RATE)).astype(np.float32)
    for pause in pauses:
        samples[int(pause * SAMPLE_RATE) : int((pause + 0.4) * SAMPLE_RATE)] = 0
    return samples


def test_nothing_has_no_windows() -> None:
    assert cut(np.zeros(0, np.float32), 30) == []


def test_short_audio_is_one_window() -> None:
    assert cut(talk(30, []), 30) == [Cut(0, 30 * SAMPLE_RATE)]


@pytest.mark.parametrize("seconds", [30.0001, 61, 95.5])
def test_windows_follow_on_each_other_and_leave_nothing_out(seconds: float) -> None:
    samples = talk(seconds, [])
    windows = cut(samples, 30)
    assert windows[0].start == 0
    assert windows[-1].end == len(samples)
    assert [one.end for one in windows[:-1]] == [other.start for other in windows[1:]]
    assert all(0 < window.seconds <= 30 for window in windows)


def test_cuts_lie_in_pauses_the_latest_that_fits() -> None:
    ends = [window.end / SAMPLE_RATE for window in cut(talk(60, [5, 20, 27, 40, 50]), 30)]
    assert ends[:-1] == [pytest.approx(27.2, abs=0.25), pytest.approx(50.2, abs=0.25)]


def test_silence_is_cut_too() -> None:
    assert sum(window.seconds for window in cut(np.zeros(100 * SAMPLE_RATE, np.float32), 30)) == pytest.approx(100)
