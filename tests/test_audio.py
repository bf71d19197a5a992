import base64
import io
import struct
import tracemalloc
import wave

import numpy as np
import pytest

from tests.conftest import SAMPLES
from tools.encoding import encoded
from transcription.audio import (
    SAMPLE_RATE,
    Audio,
    AudioLimits,
    decode_audio,
    decode_base64,
    from_array,
    load_audio,
    read_file,
)
from transcription.errors import AudioTooLong, InvalidAudio

ONE_SECOND = np.sin(2 * np.pi * 440 * np.arange(SAMPLE_RATE) / SAMPLE_RATE).astype(np.float32) / np.float32(2)


def wav(samples: np.ndarray = ONE_SECOND, rate: int = SAMPLE_RATE, channels: int = 1) -> bytes:
    file = io.BytesIO()
    with wave.open(file, "wb") as out:
        out.setnchannels(channels)
        out.setsampwidth(2)
        out.setframerate(rate)
        out.writeframes((np.repeat(samples, channels) * 32767).astype("<i2").tobytes())
    return file.getvalue()


def patched(data: bytes, at: int, form: str, value: int) -> bytes:
    changed = bytearray(data)
    struct.pack_into(form, changed, at, value)
    return bytes(changed)


def float_wav(samples: np.ndarray) -> bytes:
    data = samples.astype("<f4").tobytes()
    head = struct.pack("<4sI4s4sIHHIIHH4sI", b"RIFF", 36 + len(data), b"WAVE", b"fmt ", 16, 3, 1,
                       SAMPLE_RATE, SAMPLE_RATE * 4, 4, 32, b"data", len(data))  # fmt: skip
    return head + data


def test_wav_decodes_to_the_samples_that_went_in() -> None:
    audio = decode_audio(wav())
    assert (audio.sample_rate, audio.partial, str(audio.samples.dtype)) == (16_000, False, "float32")
    np.testing.assert_allclose(audio.samples, ONE_SECOND, atol=1e-4)


@pytest.mark.parametrize("kind", ["wav", "flac", "mp3", "ogg", "m4a"])
def test_every_container_gives_the_same_second(kind: str) -> None:
    audio = decode_audio(encoded(ONE_SECOND, kind))
    assert audio.duration == pytest.approx(1.0, abs=0.1)
    assert np.sqrt(np.mean(audio.samples**2)) == pytest.approx(0.5 / np.sqrt(2), abs=0.03)
    assert not audio.partial


@pytest.mark.parametrize("rate", [4_000, 8_000, 24_000, 44_100, 48_000, 96_000])
def test_any_rate_keeps_its_seconds(rate: int) -> None:
    """Regression: the original read 24 kHz audio as 16 kHz and put all times wrong."""
    second = np.sin(2 * np.pi * 440 * np.arange(rate) / rate).astype(np.float32)
    assert decode_audio(wav(second, rate)).duration == pytest.approx(1.0, abs=0.01)


def test_stereo_becomes_mono() -> None:
    np.testing.assert_allclose(decode_audio(wav(channels=2)).samples, ONE_SECOND, atol=1e-3)


def base64_forms() -> dict[str, str]:
    plain = base64.b64encode(wav()).decode()
    return {
        "plain": plain,
        "data URI": f"data:audio/wav;base64,{plain}",
        "URL-safe": base64.urlsafe_b64encode(wav()).decode(),
        "unpadded": plain.rstrip("="),
        "with line breaks": base64.encodebytes(wav()).decode(),
    }


@pytest.mark.parametrize("form", base64_forms())
def test_base64_is_the_bytes(form: str) -> None:
    assert decode_base64(base64_forms()[form]) == wav()


@pytest.mark.parametrize("text", ["", "   ", "not base64!", "ä", "A", "data:audio/wav;base64,"])
def test_what_is_not_base64_is_refused(text: str) -> None:
    with pytest.raises(InvalidAudio):
        load_audio(text)


PLAYLIST = b"#EXTM3U\n#EXT-X-TARGETDURATION:10\n#EXTINF:10,\nfile:///etc/passwd\n#EXT-X-ENDLIST\n"
CONCAT = b"ffconcat version 1.0\nfile '/etc/passwd'\n"
BROKEN = {
    "empty": b"",
    "random bytes": np.random.default_rng(0).bytes(50_000),
    "text": b"hello, this is no audio at all. " * 100,
    "playlist": PLAYLIST,
    "concat script": CONCAT,
    "header only": wav(ONE_SECOND[:0]),
    "sample rate 0": patched(wav(), 24, "<I", 0),
    "sample rate 1 Hz": patched(wav(), 24, "<I", 1),
    "sample rate 2^31-1": patched(wav(), 24, "<I", 2**31 - 1),
    "sample rate 2^32-1": patched(wav(), 24, "<I", 2**32 - 1),
    "no channels": patched(wav(), 22, "<H", 0),
    "samples that are no numbers": float_wav(np.where(np.arange(16_000) == 100, np.nan, ONE_SECOND)),
    "infinite samples": float_wav(np.where(np.arange(16_000) == 100, np.inf, ONE_SECOND)),
    "truncated flac": encoded(np.tile(ONE_SECOND, 5), "flac")[:20_000],
    "m4a without its index": encoded(np.tile(ONE_SECOND, 5), "m4a")[:10_000],
}


@pytest.mark.parametrize("name", BROKEN)
def test_broken_audio_is_refused_in_one_line(name: str) -> None:
    with pytest.raises(InvalidAudio) as caught:
        decode_audio(BROKEN[name])
    message = str(caught.value)
    assert len(message) < 120
    assert not any(secret in message for secret in ("/", "Traceback", "\n", "Errno"))


@pytest.mark.parametrize("kind", ["wav", "mp3"])
def test_truncated_audio_is_used_up_to_there_and_flagged(kind: str) -> None:
    whole = encoded(np.tile(ONE_SECOND, 10), kind)
    audio = decode_audio(whole[: len(whole) // 2])
    assert audio.partial
    assert 3 < audio.duration < 6


def test_a_header_that_claims_4_gb_costs_no_memory() -> None:
    data = patched(patched(wav(), 4, "<I", 2**32 - 1), 40, "<I", 2**32 - 60)
    tracemalloc.start()
    audio = decode_audio(data)
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert audio.duration == pytest.approx(1.0)
    assert peak < 20_000_000


def test_too_many_seconds_are_refused_while_decoding() -> None:
    hours = encoded(np.zeros(3600 * SAMPLE_RATE, np.float32), "flac")
    tracemalloc.start()
    with pytest.raises(AudioTooLong, match="longer than the 60 s"):
        decode_audio(hours, AudioLimits(max_seconds=60))
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert peak < 3 * 60 * SAMPLE_RATE * 4


def test_too_many_bytes_are_refused_before_decoding() -> None:
    with pytest.raises(AudioTooLong, match="larger than the 1000 bytes"):
        load_audio(wav(), AudioLimits(max_bytes=1000))
    with pytest.raises(AudioTooLong, match="larger than the 1000 bytes"):
        load_audio(base64.b64encode(wav()).decode(), AudioLimits(max_bytes=1000))


def test_arrays_of_another_rate_are_resampled() -> None:
    assert from_array(np.zeros((2, 8_000)), 8_000).duration == pytest.approx(1.0, abs=0.01)
    np.testing.assert_allclose(load_audio({"raw": ONE_SECOND.tolist(), "sampling_rate": 16_000}).samples, ONE_SECOND)
    with pytest.raises(AudioTooLong):
        from_array(ONE_SECOND, 16_000, AudioLimits(max_seconds=0.5))


@pytest.mark.parametrize(
    ("samples", "rate"),
    [
        ([np.nan], 16_000),
        ([], 16_000),
        (["a"], 16_000),
        ([0.0], 1),
        ([0.0], "16000"),
        ([[[0.0]]], 16_000),
        ({}, 16_000),
    ],
)
def test_arrays_that_are_no_audio_are_refused(samples: object, rate: object) -> None:
    with pytest.raises(InvalidAudio):
        from_array(samples, rate)


def test_files_are_read_and_a_missing_one_is_named_without_its_folder() -> None:
    assert read_file(SAMPLES["short"].path).duration == pytest.approx(SAMPLES["short"].truth["duration"], abs=0.01)
    with pytest.raises(InvalidAudio, match=r"^nothing\.wav: No such file or directory$"):
        read_file(SAMPLES["short"].path.with_name("nothing.wav"))


def test_duration_of_no_samples_is_zero() -> None:
    assert Audio(np.zeros(0, np.float32)).duration == 0.0


def test_channels_are_kept_where_they_are_asked_for() -> None:
    left, right = ONE_SECOND, -0.5 * ONE_SECOND
    both = decode_audio(encoded(np.stack([left, right]), "wav"), keep_channels=True)
    assert both.channels is not None
    np.testing.assert_allclose(both.channels, np.stack([left, right]), atol=1e-3)
    np.testing.assert_allclose(both.samples, 0.25 * ONE_SECOND, atol=1e-3)
    assert decode_audio(encoded(np.stack([left, right]), "wav")).channels is None
    array = from_array(np.stack([left, right]), 16_000, keep_channels=True)
    assert array.channels is not None
    np.testing.assert_allclose(array.channels, both.channels, atol=1e-3)


def test_too_many_channels_are_refused() -> None:
    with pytest.raises(InvalidAudio, match="the audio has 9 channels: multichannel takes up to 8"):
        from_array(np.zeros((9, 16_000)), 16_000, keep_channels=True)
    assert from_array(np.zeros((9, 16_000)), 16_000).duration == 1.0
