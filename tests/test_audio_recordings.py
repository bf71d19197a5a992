"""Recordings as people have them: many channels, changes within the file, rare formats and wrong headers."""

import struct

import numpy as np
import pytest

from benchmarks.recordings import KINDS, recording, sphere
from tests.audio_files import encoded_mp3, float_wav, loud_from_to, surround, tone, wav
from transcription.audio import SAMPLE_RATE, AudioLimits, decode_audio, from_array, load_audio
from transcription.errors import InvalidAudio

SIX_SECONDS = tone(6)


@pytest.mark.parametrize("count", [3, 7, 8, 9, 16, 24, 64])
@pytest.mark.parametrize("rate", [16_000, 48_000])
def test_many_channels_are_averaged_to_mono(count: int, rate: int) -> None:
    """Regression: PyAV ended the process at planar samples of 8 or more channels."""
    gains = np.linspace(0.1, 1, count, dtype=np.float32)[:, None]
    second = (0.5 * np.sin(2 * np.pi * 440 * np.arange(rate) / rate)).astype(np.float32)
    audio = decode_audio(wav(gains * second, rate))
    assert audio.duration == pytest.approx(1, abs=0.01)
    if rate == SAMPLE_RATE:
        np.testing.assert_allclose(audio.samples, gains.mean() * tone(1), atol=1e-4)


@pytest.mark.parametrize(
    ("codec", "container", "layout"),
    [("aac", "ipod", "7.1"), ("libopus", "ogg", "7.1"), ("wavpack", "matroska", "hexadecagonal")],
)
def test_many_channels_of_planar_codecs_are_averaged_to_mono(codec: str, container: str, layout: str) -> None:
    audio = decode_audio(surround(tone(2), codec, container, layout))
    assert audio.duration == pytest.approx(2, abs=0.05)
    assert np.sqrt(np.mean(audio.samples**2)) == pytest.approx(0.5 / np.sqrt(2), abs=0.06)  # aac filters one channel


def test_eight_channels_are_kept_on_request() -> None:
    channels = np.linspace(0.1, 1, 8, dtype=np.float32)[:, None] * tone(1)
    audio = decode_audio(wav(channels), keep_channels=True)
    assert audio.channels is not None
    np.testing.assert_allclose(audio.channels, channels, atol=1e-4)


@pytest.mark.parametrize("count", [65, 500])
def test_more_than_64_channels_are_an_error(count: int) -> None:
    message = f"the audio has {count} channels: send up to 64"
    with pytest.raises(InvalidAudio, match=message):
        decode_audio(wav(np.zeros((count, 160), np.float32)))
    with pytest.raises(InvalidAudio, match=message):
        from_array(np.zeros((count, 160)), SAMPLE_RATE)


@pytest.mark.parametrize("container", ["mp3", "adts"])
@pytest.mark.parametrize(("rate", "layout"), [(22_050, "mono"), (44_100, "stereo"), (48_000, "stereo")])
def test_a_change_of_rate_or_channels_keeps_all_audio(container: str, rate: int, layout: str) -> None:
    """Regression: the file could not be decoded."""
    first = encoded_mp3(tone(3), 44_100, "mono", container)
    audio = decode_audio(first + encoded_mp3(tone(3), rate, layout, container))
    assert audio.duration == pytest.approx(6, abs=0.3)
    assert loud_from_to(audio) == pytest.approx([0, 6], abs=0.3)


def test_a_change_of_channels_is_an_error_if_the_channels_are_kept() -> None:
    both = encoded_mp3(tone(1), 44_100) + encoded_mp3(tone(1), 44_100, "stereo")
    with pytest.raises(InvalidAudio, match="the number of channels changes within the file"):
        decode_audio(both, keep_channels=True)


def test_joined_mp3_files_are_whole() -> None:
    """Regression: the audio ended at the header of the second file, and it was partial."""
    audio = decode_audio(recording(tone(3), "mp3") * 2)
    assert audio.duration == pytest.approx(6, abs=0.1)
    assert not audio.partial


def test_random_bytes_after_an_mp3_end_the_audio() -> None:
    data = recording(tone(1), "mp3") + np.random.default_rng(0).bytes(2_000_000)
    assert decode_audio(data, AudioLimits(max_seconds=600)).duration < 300


def test_tags_after_an_mp3_are_not_damage() -> None:
    audio = decode_audio(recording(tone(1), "mp3") + b"APETAGEX" + b"x" * 3000 + b"TAG" + b" " * 125)
    assert audio.duration == pytest.approx(1, abs=0.05)
    assert not audio.partial


@pytest.mark.parametrize(
    "size",
    [0, 2**31 - 1, 2**31 - 44, 0x7FFFF000, 0x80000000, 2**32 - 1, 2**32 - 40, SAMPLE_RATE * 2 + 8, SAMPLE_RATE * 2 - 8],
)
def test_sizes_of_wav_files_from_pipes_claim_nothing(size: int) -> None:
    data = bytearray(wav(tone(1)[None]))
    for offset, value in ((4, size + 36), (40, size)):
        struct.pack_into("<I", data, offset, min(value, 2**32 - 1))
    audio = decode_audio(bytes(data))
    assert audio.duration == pytest.approx(1, abs=0.001)
    assert not audio.partial


def test_a_wav_file_that_misses_more_than_8_bytes_is_partial() -> None:
    assert decode_audio(wav(tone(1)[None])[:-10]).partial


def test_channels_that_cancel_each_other_out_give_one_channel() -> None:
    """Regression: the mean of a channel and its inverse is silence."""
    audio = decode_audio(wav(np.stack([SIX_SECONDS, -SIX_SECONDS])))
    np.testing.assert_allclose(audio.samples, SIX_SECONDS, atol=1e-4)
    late = np.r_[np.zeros(5 * SAMPLE_RATE, np.float32), SIX_SECONDS]
    audio = from_array(np.stack([np.zeros_like(late), late, -0.99 * late]), SAMPLE_RATE)
    np.testing.assert_allclose(audio.samples, late, atol=1e-6)


def test_channels_of_different_sound_are_averaged() -> None:
    left, right = tone(2), -0.5 * tone(2)
    np.testing.assert_allclose(decode_audio(wav(np.stack([left, right]))).samples, (left + right) / 2, atol=1e-4)


def test_samples_beyond_one_are_scaled_down_by_the_peak() -> None:
    loud = 25_648 / 0.5 * tone(1)
    np.testing.assert_allclose(decode_audio(float_wav(loud)).samples, 2 * tone(1), atol=1e-5)
    np.testing.assert_allclose(from_array(loud, SAMPLE_RATE).samples, 2 * tone(1), atol=1e-5)
    kept = from_array(np.stack([loud, loud / 4]), SAMPLE_RATE, keep_channels=True)
    assert kept.channels is not None
    np.testing.assert_allclose(kept.channels.mean(axis=0), kept.samples, atol=1e-6)
    assert np.abs(kept.channels).max() == 1


@pytest.mark.parametrize("kind", KINDS)
def test_every_kind_of_file_is_decoded_whole(kind: str) -> None:
    audio = decode_audio(recording(SIX_SECONDS, kind))
    assert audio.duration == pytest.approx(6, abs=0.15)
    assert not audio.partial
    assert loud_from_to(audio) == pytest.approx([0, 6], abs=0.1)


def test_sphere_files_are_decoded() -> None:
    audio = decode_audio(sphere(SIX_SECONDS))
    np.testing.assert_allclose(audio.samples, SIX_SECONDS, atol=1e-4)
    assert not audio.partial
    assert decode_audio(sphere(SIX_SECONDS)[:100_000]).partial


def test_raw_gsm_is_decoded() -> None:
    audio = decode_audio((b"\xd0" + bytes(32)) * 300)  # frames of 20 ms
    assert audio.duration == pytest.approx(6)


def test_an_unknown_codec_is_an_error_that_says_so() -> None:
    """Regression: AttributeError."""
    data = bytearray(wav(tone(1)[None]))
    struct.pack_into("<H", data, 20, 0x1234)  # the format tag
    with pytest.raises(InvalidAudio, match=r"the codec of the audio is unknown: send wav, flac, mp3, ogg, m4a or webm"):
        decode_audio(bytes(data))


def test_a_stream_that_appears_after_the_header_is_no_failure() -> None:
    """Regression: IndexError."""
    text = b"\x02\0\x0aonTextData\x03\0\4text\x02\0\5hello\0\0\x09"  # a stream of subtitles, in FLV's form
    tag = b"\x12" + len(text).to_bytes(3, "big") + bytes(7) + text
    data = recording(SIX_SECONDS, "flv", video_seconds=6) + tag + len(tag).to_bytes(4, "big")
    assert decode_audio(data).duration == pytest.approx(6, abs=0.1)


def test_tags_that_are_not_utf_8_do_not_matter() -> None:
    body = wav(tone(1)[None])[12:]
    info = b"INFOINAM" + (8).to_bytes(4, "little") + b"caf\xe9\xff\xfe \0"
    chunk = b"LIST" + len(info).to_bytes(4, "little") + info
    data = b"RIFF" + (4 + len(chunk) + len(body)).to_bytes(4, "little") + b"WAVE" + chunk + body
    assert decode_audio(data).duration == pytest.approx(1)


def test_bytes_of_datasets_are_decoded() -> None:
    data = wav(tone(1)[None])
    assert load_audio({"path": "a.wav", "bytes": data}).duration == 1.0
    assert load_audio({"path": None, "bytes": data}).duration == 1.0


@pytest.mark.parametrize(
    ("data", "message"),
    [
        ({"path": "/etc/passwd"}, "inputs has a path but no bytes"),
        ({"path": "/etc/passwd", "bytes": None}, "inputs has a path but no bytes"),
        ({}, "inputs is an object without array, raw or bytes"),
        ({"bytes": {"bytes": b""}}, "inputs is missing"),
    ],
)
def test_objects_without_audio_are_an_error_that_says_what_to_send(data: object, message: str) -> None:
    with pytest.raises(InvalidAudio, match=message):
        load_audio(data)


def test_durations_are_python_numbers() -> None:
    assert type(decode_audio(wav(tone(1)[None])).duration) is float
    assert type(from_array(tone(1), np.int64(16_000)).duration) is float
