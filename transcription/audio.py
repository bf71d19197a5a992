"""Bytes or base64 → Audio: 16 kHz mono float32, through PyAV and the FFmpeg inside its wheel.

Decoding is streamed and counted as it goes, so neither memory nor time follows what a header claims.
"""

import base64
import binascii
import io
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import IO, TYPE_CHECKING, cast

import numpy as np
import numpy.typing as npt

from transcription.context import RequestContext
from transcription.errors import AudioTooLong, InvalidAudio

if TYPE_CHECKING:
    from av.audio.stream import AudioStream
    from av.container import InputContainer

SAMPLE_RATE = 16_000
Samples = npt.NDArray[np.float32]

# Containers a stranger may send. Everything else FFmpeg knows (playlists, concat scripts, network
# protocols) could make it open other files.
DEMUXERS = (
    "wav", "w64", "flac", "mp3", "ogg", "mov", "matroska", "aac", "aiff", "amr", "amrnb", "amrwb",
    "caf", "au", "asf", "ac3", "eac3", "avi", "mpeg", "mpegts", "flv", "3gp",
)  # fmt: skip
# These can be cut anywhere and still be played up to there; the others have lost their frame or index.
TRUNCATABLE = frozenset({"wav", "w64", "mp3", "ogg", "aac", "matroska,webm", "aiff", "au", "amr", "caf"})
AUDIO_SUFFIXES = (
    ".wav", ".flac", ".mp3", ".ogg", ".oga", ".opus", ".m4a", ".mp4", ".webm", ".aac", ".aiff", ".amr", ".wma", ".mka",
    ".mkv", ".mov", ".mpeg", ".mpga", ".3gp", ".caf", ".au",
)  # fmt: skip
"""Suffixes by which recordings are found in folders."""
MIN_SAMPLE_RATE, MAX_SAMPLE_RATE = 4_000, 384_000
MAX_CHANNELS = 8  # that are transcribed one by one
_DATA_URI = re.compile(r"\s*data:[^,]{0,200},", re.ASCII)


@dataclass(frozen=True)
class Audio:
    """Mono samples in [-1, 1]; `partial` when the file ended before its container said it would.

    channels: the samples (channel, time) that were averaged, where they were asked for.
    """

    samples: Samples
    sample_rate: int = SAMPLE_RATE
    partial: bool = False
    channels: Samples | None = None

    @property
    def duration(self) -> float:
        """Seconds."""
        return len(self.samples) / self.sample_rate


@dataclass(frozen=True)
class AudioLimits:
    """How much one request may bring."""

    max_bytes: int | None = None
    max_seconds: float | None = None


def load_audio(
    data: object,
    limits: AudioLimits = AudioLimits(),
    keep_channels: bool = False,
    context: RequestContext | None = None,
) -> Audio:
    """Audio of a file, open or its bytes, of base64 text of them (plain, URL-safe, data URI, unpadded), or of samples.

    Samples come as transformers' pipelines take them: {"array" or "raw": numbers, "sampling_rate": Hz}.
    Raises InvalidAudio, AudioTooLong past the limits, and Cancelled when the context is stopped.
    """
    if isinstance(data, Mapping):
        array, rate = data.get("array", data.get("raw", [])), data.get("sampling_rate", SAMPLE_RATE)
        return from_array(array, rate, limits, keep_channels)
    if isinstance(data, str):
        data = decode_base64(data, limits)
    if isinstance(data, (bytes, bytearray, memoryview)):
        data = io.BytesIO(data)
    if not hasattr(data, "seek"):
        raise InvalidAudio("inputs is missing: send an audio file, or base64 text of one")
    return decode_audio(cast("IO[bytes]", data), limits, keep_channels, context)


def decode_base64(text: str, limits: AudioLimits = AudioLimits()) -> bytes:
    """The bytes that base64 text stands for. Raises InvalidAudio."""
    _check_bytes(len(text) * 3 // 5, limits)  # line breaks and a data URI's head are forgiven
    compact = "".join(_DATA_URI.sub("", text, count=1).split()).rstrip("=")
    if not compact:
        raise InvalidAudio("inputs is empty: send an audio file, or base64 text of one")
    try:
        standard = compact.translate({ord("-"): "+", ord("_"): "/"}).encode("ascii")
        return base64.b64decode(standard + b"=" * (-len(standard) % 4), validate=True)
    except (UnicodeEncodeError, binascii.Error):
        raise InvalidAudio("inputs is neither an audio file nor base64 text of one") from None


def decode_audio(
    data: bytes | IO[bytes], limits: AudioLimits = AudioLimits(), keep_channels: bool = False,
    context: RequestContext | None = None,
) -> Audio:  # fmt: skip
    """Audio of a file, whatever its container. Raises InvalidAudio, AudioTooLong, Cancelled."""
    import av  # here, so that reading settings and help texts stays instant

    file = io.BytesIO(data) if isinstance(data, bytes) else data
    size = file.seek(0, io.SEEK_END)
    _check_bytes(size, limits)
    if not size:
        raise InvalidAudio("the audio is empty: send an audio file")
    file.seek(0)
    cut = _riff_is_cut(file.read(8), size)
    file.seek(0)
    try:
        with av.open(
            file, mode="r", options={"format_whitelist": ",".join(DEMUXERS), "protocol_whitelist": ""}
        ) as container:
            return _decode_container(container, cut, limits, keep_channels, context or RequestContext())
    except (av.error.FFmpegError, MemoryError, ValueError, OverflowError):
        raise InvalidAudio("the audio cannot be decoded: send wav, flac, mp3, ogg, m4a or webm") from None


def read_file(path: Path, limits: AudioLimits = AudioLimits(), keep_channels: bool = False) -> Audio:
    """Audio of a file on this machine. Raises InvalidAudio, AudioTooLong."""
    try:
        with path.open("rb") as file:
            return decode_audio(file, limits, keep_channels)
    except OSError as error:
        raise InvalidAudio(f"{path.name}: {error.strerror or 'cannot be read'}") from None


def from_array(
    samples: object, sample_rate: object, limits: AudioLimits = AudioLimits(), keep_channels: bool = False
) -> Audio:
    """Audio of an array (time,) or (channel, time) at any rate: librosa mixes and resamples it.

    Raises InvalidAudio, AudioTooLong.
    """
    import librosa  # the tool for arrays; files are resampled by FFmpeg as they stream in

    if not isinstance(sample_rate, int) or not MIN_SAMPLE_RATE <= sample_rate <= MAX_SAMPLE_RATE:
        raise InvalidAudio(f"sampling_rate of an array is {MIN_SAMPLE_RATE} to {MAX_SAMPLE_RATE} Hz")
    try:
        array = np.atleast_1d(np.asarray(samples, dtype=np.float32))
    except (TypeError, ValueError):
        raise InvalidAudio("the array is not made of numbers") from None
    if array.ndim > 2 or not np.isfinite(array).all():
        raise InvalidAudio("the audio holds samples that are not numbers")
    if not array.size:
        raise InvalidAudio("the audio is empty: send an audio file")
    if limits.max_seconds is not None and array.shape[-1] > limits.max_seconds * sample_rate:
        raise AudioTooLong(f"the audio is longer than the {limits.max_seconds:g} s allowed here")
    resampled = librosa.resample(np.atleast_2d(array), orig_sr=sample_rate, target_sr=SAMPLE_RATE)
    return _mixed(np.ascontiguousarray(resampled, dtype=np.float32), keep_channels)


def _mixed(channels: Samples, keep: bool, partial: bool = False) -> Audio:
    """Audio of samples (channel, time). Raises InvalidAudio."""
    if keep:
        _check_channels(len(channels))
    # Averaged, not summed as FFmpeg's own mix: a voice on all of them would be louder than 1.
    mono = channels[0] if len(channels) == 1 else channels.mean(axis=0, dtype=np.float32)
    return Audio(mono, partial=partial, channels=channels if keep else None)


def _check_channels(count: int) -> None:
    if count > MAX_CHANNELS:
        raise InvalidAudio(f"the audio has {count} channels: multichannel takes up to {MAX_CHANNELS}")


def _check_bytes(count: int, limits: AudioLimits) -> None:
    if limits.max_bytes is not None and count > limits.max_bytes:
        raise AudioTooLong(f"the audio is larger than the {limits.max_bytes} bytes allowed here")


def _decode_container(
    container: "InputContainer", riff_is_cut: bool, limits: AudioLimits, keep_channels: bool, context: RequestContext
) -> Audio:
    if not container.streams.audio:
        raise InvalidAudio("the file has no audio in it")
    stream = container.streams.audio[0]
    if not MIN_SAMPLE_RATE <= stream.rate <= MAX_SAMPLE_RATE or stream.channels < 1:
        raise InvalidAudio(
            f"the audio's sample rate is {stream.rate} Hz: send {MIN_SAMPLE_RATE} to {MAX_SAMPLE_RATE} Hz"
        )
    if keep_channels:
        _check_channels(stream.channels)
    most = None if limits.max_seconds is None else round(limits.max_seconds * SAMPLE_RATE)
    blocks: list[Samples] = []
    count, broken = 0, False
    for block in _blocks(container, stream):
        context.check_cancelled()
        if block is None:
            broken = True
            break
        count += block.shape[1]
        if most is not None and count > most:
            raise AudioTooLong(f"the audio is longer than the {limits.max_seconds:g} s allowed here")
        blocks.append(block if keep_channels else block.mean(axis=0, keepdims=True, dtype=np.float32))
    if not count:
        raise InvalidAudio("there is no audio in the file: it has a header and nothing else")
    samples = np.concatenate(blocks, axis=1)
    if not np.isfinite(samples).all():
        raise InvalidAudio("the audio holds samples that are not numbers")
    cut = broken or riff_is_cut or _ended_early(container, stream, count / SAMPLE_RATE)
    if cut and container.format.name not in TRUNCATABLE:
        raise InvalidAudio("the audio file is cut off: send all of it")
    return _mixed(samples, keep_channels, cut)


def _blocks(container: "InputContainer", stream: "AudioStream") -> Iterator[Samples | None]:
    """Blocks (channel, time) at 16 kHz as they are decoded; None, at the end, where decoding broke off."""
    import av

    resampler = av.AudioResampler(format="fltp", rate=SAMPLE_RATE)
    try:
        for frame in container.decode(stream):
            frame.pts = None  # gaps in a broken file's clock are not our silence
            for out in resampler.resample(frame):
                yield np.asarray(out.to_ndarray(), dtype=np.float32)
        for out in resampler.resample(None):
            yield np.asarray(out.to_ndarray(), dtype=np.float32)
    except av.error.FFmpegError:
        yield None


def _riff_is_cut(head: bytes, length: int) -> bool:
    """Whether a wav file is shorter than its head says; FFmpeg forgives that silently.

    Writers that cannot seek back leave a size near 2³² there, which claims nothing.
    """
    size = int.from_bytes(head[4:8], "little")
    return head[:4] == b"RIFF" and length < size + 8 and size < 2**32 - 4096


def _ended_early(container: "InputContainer", stream: "AudioStream", seconds: float) -> bool:
    """Whether clearly less was there than the container claims (a tenth of a second is rounding)."""
    if stream.duration and stream.time_base:
        claimed = float(stream.duration * stream.time_base)
    elif container.duration:
        claimed = container.duration / 1_000_000  # FFmpeg's own time base, microseconds
    else:
        return False
    return seconds < claimed * 0.98 - 0.1
