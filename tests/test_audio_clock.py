"""Recordings with damage, with gaps in the clock, and with video: the times and what is partial."""

import tracemalloc

import pytest

from benchmarks.recordings import recording
from tests.audio_files import damaged, loud_from_to, tone
from transcription.audio import SAMPLE_RATE, AudioLimits, decode_audio
from transcription.errors import AudioTooLong

SIX_SECONDS = tone(6)


@pytest.mark.parametrize("kind", ["mp3", "m4a", "aac", "amr", "ac3", "flac", "ogg", "webm", "mka", "mkv", "mp4", "ts"])
def test_audio_around_damage_is_decoded_and_partial(kind: str) -> None:
    audio = decode_audio(damaged(recording(SIX_SECONDS, kind)))
    assert audio.partial
    assert audio.duration == pytest.approx(6, abs=0.6)  # amr loses most: it has 30 bytes a frame
    assert loud_from_to(audio)[-1] == pytest.approx(audio.duration, abs=0.2)


CLOCKED = ["mp4", "m4a", "mka", "webm", "mkv", "flv", "ts", "mpeg", "wmv"]


@pytest.mark.parametrize("kind", CLOCKED)
def test_a_gap_of_the_clock_becomes_silence(kind: str) -> None:
    """Regression: the file was refused as truncated, or all later times were too early."""
    audio = decode_audio(recording(SIX_SECONDS, kind, gaps={3.0: 10.0}))
    assert not audio.partial
    assert loud_from_to(audio) == pytest.approx([0, 3, 13, 16], abs=0.15)


@pytest.mark.parametrize("kind", ["mp4", "mkv", "flv", "ts", "mpeg", "wmv"])
def test_audio_that_begins_late_in_a_video_has_the_times_of_the_video(kind: str) -> None:
    audio = decode_audio(recording(SIX_SECONDS, kind, offset=5, video_seconds=11))
    assert loud_from_to(audio) == pytest.approx([5, 11], abs=0.1)
    assert not audio.partial


@pytest.mark.parametrize("kind", ["mka", "ts", "flv"])
def test_the_start_of_the_clock_does_not_matter_without_video(kind: str) -> None:
    audio = decode_audio(recording(SIX_SECONDS, kind, offset=5))
    assert loud_from_to(audio) == pytest.approx([0, 6], abs=0.1)
    assert not audio.partial


@pytest.mark.parametrize("kind", ["mp4", "mkv", "flv", "ts", "mpeg", "wmv", "avi"])
def test_a_video_longer_than_its_audio_is_whole(kind: str) -> None:
    audio = decode_audio(recording(SIX_SECONDS, kind, video_seconds=14))
    assert audio.duration == pytest.approx(6, abs=0.1)
    assert not audio.partial


@pytest.mark.parametrize("kind", ["mkv", "flv", "webm", "wmv", "ogg"])
def test_a_truncated_recording_is_partial(kind: str) -> None:
    data = recording(SIX_SECONDS, kind)
    audio = decode_audio(data[: len(data) // 2])
    assert audio.partial
    assert 2 < audio.duration < 4


@pytest.mark.parametrize("kind", ["mka", "ts"])
def test_small_and_backward_jumps_of_the_clock_are_ignored(kind: str) -> None:
    assert decode_audio(recording(SIX_SECONDS, kind, gaps={2.0: 0.08})).duration == pytest.approx(6, abs=0.05)
    joined = decode_audio(recording(tone(3), "ts") * 2)  # the second file begins at the same time as the first
    assert loud_from_to(joined) == pytest.approx([0, 6], abs=0.1)


def test_a_gap_over_the_limit_is_an_error_before_memory_is_used() -> None:
    data = recording(tone(1), "mka", gaps={0.5: 20 * 3600.0})
    tracemalloc.start()
    with pytest.raises(AudioTooLong, match="longer than the 60 s"):
        decode_audio(data, AudioLimits(max_seconds=60))
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert peak < 3 * 60 * SAMPLE_RATE * 4


def test_a_jump_of_days_is_an_error_of_the_clock() -> None:
    assert decode_audio(recording(tone(1), "mka", gaps={0.5: 80 * 3600.0})).duration == pytest.approx(1, abs=0.05)
