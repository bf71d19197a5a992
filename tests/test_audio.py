"""Audio: every container and base64 form, broken files, limits and channels."""

import base64
import io
import struct
import tracemalloc
import wave

import numpy as np
import pytest

from benchmarks.encoding import encoded
from tests.conftest import SAMPLES
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


def with_value(data: bytes, offset: int, struct_format: str, value: int) -> bytes:
    changed = bytearray(data)
    struct.pack_into(struct_format, changed, offset, value)
    return bytes(changed)


def float_wav(samples: np.ndarray) -> bytes:
    data = samples.astype("<f4").tobytes()
    head = struct.pack("<4sI4s4sIHHIIHH4sI", b"RIFF", 36 + len(data), b"WAVE", b"fmt ", 16, 3, 1,
                       SAMPLE_RATE, SAMPLE_RATE * 4, 4, 32, b"data", len(data))  # fmt: skip
    return head + data


def test_wav_decodes_to_the_encoded_samples() -> None:
    audio = decode_audio(wav())
    assert (audio.sample_rate, audio.partial, str(audio.samples.dtype)) == (16_000, False, "float32")
    np.testing.assert_allclose(audio.samples, ONE_SECOND, atol=1e-4)


@pytest.mark.parametrize("kind", ["wav", "flac", "mp3", "ogg", "m4a"])
def test_every_container_decodes_to_the_same_second(kind: str) -> None:
    audio = decode_audio(encoded(ONE_SECOND, kind))
    assert audio.duration == pytest.approx(1.0, abs=0.1)
    assert np.sqrt(np.mean(audio.samples**2)) == pytest.approx(0.5 / np.sqrt(2), abs=0.03)
    assert not audio.partial


@pytest.mark.parametrize("rate", [4_000, 8_000, 24_000, 44_100, 48_000, 96_000])
def test_every_sample_rate_keeps_the_duration(rate: int) -> None:
    """Regression: the first version read 24 kHz audio as 16 kHz, and all times were wrong."""
    second = np.sin(2 * np.pi * 440 * np.arange(rate) / rate).astype(np.float32)
    assert decode_audio(wav(second, rate)).duration == pytest.approx(1.0, abs=0.01)


def test_stereo_is_averaged_to_mono() -> None:
    np.testing.assert_allclose(decode_audio(wav(channels=2)).samples, ONE_SECOND, atol=1e-3)


def base64_forms() -> dict[str, str]:
    standard = base64.b64encode(wav()).decode()
    return {
        "standard": standard,
        "data URI": f"data:audio/wav;base64,{standard}",
        "URL-safe": base64.urlsafe_b64encode(wav()).decode(),
        "unpadded": standard.rstrip("="),
        "with line breaks": base64.encodebytes(wav()).decode(),
    }


@pytest.mark.parametrize("form", base64_forms())
def test_every_form_of_base64_is_decoded(form: str) -> None:
    assert decode_base64(base64_forms()[form]) == wav()


@pytest.mark.parametrize("text", ["", "   ", "not base64!", "ä", "A", "data:audio/wav;base64,"])
def test_text_that_is_not_base64_is_an_error(text: str) -> None:
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
    "sample rate 0": with_value(wav(), 24, "<I", 0),
    "sample rate 1 Hz": with_value(wav(), 24, "<I", 1),
    "sample rate 2^31-1": with_value(wav(), 24, "<I", 2**31 - 1),
    "sample rate 2^32-1": with_value(wav(), 24, "<I", 2**32 - 1),
    "no channels": with_value(wav(), 22, "<H", 0),
    "samples that are NaN": float_wav(np.where(np.arange(16_000) == 100, np.nan, ONE_SECOND)),
    "infinite samples": float_wav(np.where(np.arange(16_000) == 100, np.inf, ONE_SECOND)),
    "truncated flac": encoded(np.tile(ONE_SECOND, 5), "flac")[:20_000],
    "m4a without its index": encoded(np.tile(ONE_SECOND, 5), "m4a")[:10_000],
}


@pytest.mark.parametrize("name", BROKEN)
def test_broken_audio_is_an_error_of_one_line_without_details(name: str) -> None:
    with pytest.raises(InvalidAudio) as caught:
        decode_audio(BROKEN[name])
    message = str(caught.value)
    assert len(message) < 120
    assert not any(secret in message for secret in ("/", "Traceback", "\n", "Errno"))


@pytest.mark.parametrize("kind", ["wav", "mp3"])
def test_truncated_audio_is_decoded_and_marked_as_partial(kind: str) -> None:
    whole = encoded(np.tile(ONE_SECOND, 10), kind)
    audio = decode_audio(whole[: len(whole) // 2])
    assert audio.partial
    assert 3 < audio.duration < 6


def test_a_header_that_claims_4_gb_uses_no_memory() -> None:
    data = with_value(with_value(wav(), 4, "<I", 2**32 - 1), 40, "<I", 2**32 - 60)
    tracemalloc.start()
    audio = decode_audio(data)
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert audio.duration == pytest.approx(1.0)
    assert peak < 20_000_000


def test_decoding_stops_at_the_limit_of_seconds() -> None:
    one_hour = encoded(np.zeros(3600 * SAMPLE_RATE, np.float32), "flac")
    tracemalloc.start()
    with pytest.raises(AudioTooLong, match="longer than the 60 s"):
        decode_audio(one_hour, AudioLimits(max_seconds=60))
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert peak < 3 * 60 * SAMPLE_RATE * 4


def test_too_many_bytes_are_an_error_before_decoding() -> None:
    with pytest.raises(AudioTooLong, match="larger than the 1000 bytes"):
        load_audio(wav(), AudioLimits(max_bytes=1000))
    with pytest.raises(AudioTooLong, match="larger than the 1000 bytes"):
        load_audio(base64.b64encode(wav()).decode(), AudioLimits(max_bytes=1000))


def test_arrays_are_resampled_to_16_khz() -> None:
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
def test_arrays_that_are_not_audio_are_an_error(samples: object, rate: object) -> None:
    with pytest.raises(InvalidAudio):
        from_array(samples, rate)


def test_the_error_names_a_missing_file_without_its_folder() -> None:
    assert read_file(SAMPLES["short"].path).duration == pytest.approx(SAMPLES["short"].truth["duration"], abs=0.01)
    with pytest.raises(InvalidAudio, match=r"^nothing\.wav: No such file or directory$"):
        read_file(SAMPLES["short"].path.with_name("nothing.wav"))


def test_the_duration_of_no_samples_is_zero() -> None:
    assert Audio(np.zeros(0, np.float32)).duration == 0.0


def test_channels_are_kept_only_on_request() -> None:
    left, right = ONE_SECOND, -0.5 * ONE_SECOND
    both = decode_audio(encoded(np.stack([left, right]), "wav"), keep_channels=True)
    assert both.channels is not None
    np.testing.assert_allclose(both.channels, np.stack([left, right]), atol=1e-3)
    np.testing.assert_allclose(both.samples, 0.25 * ONE_SECOND, atol=1e-3)
    assert decode_audio(encoded(np.stack([left, right]), "wav")).channels is None
    array = from_array(np.stack([left, right]), 16_000, keep_channels=True)
    assert array.channels is not None
    np.testing.assert_allclose(array.channels, both.channels, atol=1e-3)


def test_too_many_channels_are_an_error_with_keep_channels() -> None:
    with pytest.raises(InvalidAudio, match="the audio has 9 channels: multichannel supports up to 8"):
        from_array(np.zeros((9, 16_000)), 16_000, keep_channels=True)
    assert from_array(np.zeros((9, 16_000)), 16_000).duration == 1.0
