"""Audio: 16 kHz mono float32, decoded from bytes or base64 by PyAV (FFmpeg).

Files are decoded block by block, and the limits are checked at every block. So a false header cannot make the
decoder use much memory or time.
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

# Allowed containers. Other formats of FFmpeg (playlists, concat scripts, network protocols) can open other files.
DEMUXERS = (
    "wav", "w64", "flac", "mp3", "ogg", "mov", "matroska", "aac", "aiff", "amr", "amrnb", "amrwb",
    "caf", "au", "asf", "ac3", "eac3", "avi", "mpeg", "mpegts", "flv", "3gp",
)  # fmt: skip
# A truncated file of these containers can be decoded up to its end. The others lose a frame or their index.
TRUNCATABLE = frozenset({"wav", "w64", "mp3", "ogg", "aac", "matroska,webm", "aiff", "au", "amr", "caf"})
AUDIO_SUFFIXES = (
    ".wav", ".flac", ".mp3", ".ogg", ".oga", ".opus", ".m4a", ".mp4", ".webm", ".aac", ".aiff", ".amr", ".wma", ".mka",
    ".mkv", ".mov", ".mpeg", ".mpga", ".3gp", ".caf", ".au",
)  # fmt: skip
"""Suffixes of audio files in folders."""
MIN_SAMPLE_RATE, MAX_SAMPLE_RATE = 4_000, 384_000
MAX_CHANNELS = 8  # for multichannel
_DATA_URI = re.compile(r"\s*data:[^,]{0,200},", re.ASCII)


@dataclass(frozen=True)
class Audio:
    """Decoded audio.

    samples: mono, in [-1, 1].
    partial: the file was truncated.
    channels: the samples (channel, time) before they were averaged to mono; None unless the caller keeps them.
    """

    samples: Samples
    sample_rate: int = SAMPLE_RATE
    partial: bool = False
    channels: Samples | None = None

    @property
    def duration(self) -> float:
        """Length in seconds."""
        return len(self.samples) / self.sample_rate


@dataclass(frozen=True)
class AudioLimits:
    """Limits on the audio of one request. None: no limit."""

    max_bytes: int | None = None
    max_seconds: float | None = None


def load_audio(
    data: object,
    limits: AudioLimits = AudioLimits(),
    keep_channels: bool = False,
    context: RequestContext | None = None,
) -> Audio:
    """Return the audio of a request's input.

    data: an open file, the bytes of a file, base64 text of them (standard, URL-safe, data URI or without padding),
    or samples as in the pipelines of transformers: {"array" or "raw": numbers, "sampling_rate": Hz}.
    Raises InvalidAudio, AudioTooLong if a limit is exceeded, and Cancelled.
    """
    if isinstance(data, Mapping):
        array, rate = data.get("array", data.get("raw", [])), data.get("sampling_rate", SAMPLE_RATE)
        return from_array(array, rate, limits, keep_channels)
    if isinstance(data, str):
        data = decode_base64(data, limits)
    if isinstance(data, (bytes, bytearray, memoryview)):
        data = io.BytesIO(data)
    if not hasattr(data, "seek"):
        raise InvalidAudio("inputs is missing: send an audio file or its base64 text")
    return decode_audio(cast("IO[bytes]", data), limits, keep_channels, context)


def decode_base64(text: str, limits: AudioLimits = AudioLimits()) -> bytes:
    """Return the bytes of base64 text.

    Raises InvalidAudio, and AudioTooLong if there are too many bytes.
    """
    _check_bytes(len(text) * 3 // 5, limits)  # 3/4 without line breaks and the head of a data URI
    compact = "".join(_DATA_URI.sub("", text, count=1).split()).rstrip("=")
    if not compact:
        raise InvalidAudio("inputs is empty: send an audio file or its base64 text")
    try:
        standard = compact.translate({ord("-"): "+", ord("_"): "/"}).encode("ascii")
        return base64.b64decode(standard + b"=" * (-len(standard) % 4), validate=True)
    except (UnicodeEncodeError, binascii.Error):
        raise InvalidAudio("inputs is neither an audio file nor base64 text") from None


def decode_audio(
    data: bytes | IO[bytes], limits: AudioLimits = AudioLimits(), keep_channels: bool = False,
    context: RequestContext | None = None,
) -> Audio:  # fmt: skip
    """Return the audio of a file in any container of DEMUXERS.

    Raises InvalidAudio, AudioTooLong, Cancelled.
    """
    import av  # here, because it is slow to import and --help does not need it

    file = io.BytesIO(data) if isinstance(data, bytes) else data
    size = file.seek(0, io.SEEK_END)
    _check_bytes(size, limits)
    if not size:
        raise InvalidAudio("the audio is empty: send an audio file")
    file.seek(0)
    is_truncated = _is_truncated_riff(file.read(8), size)
    file.seek(0)
    try:
        with av.open(
            file, mode="r", options={"format_whitelist": ",".join(DEMUXERS), "protocol_whitelist": ""}
        ) as container:
            return _decode_container(container, is_truncated, limits, keep_channels, context or RequestContext())
    except (av.error.FFmpegError, MemoryError, ValueError, OverflowError):
        raise InvalidAudio("the audio cannot be decoded: send wav, flac, mp3, ogg, m4a or webm") from None


def read_file(path: Path, limits: AudioLimits = AudioLimits(), keep_channels: bool = False) -> Audio:
    """Return the audio of a file on this machine.

    Raises InvalidAudio, AudioTooLong.
    """
    try:
        with path.open("rb") as file:
            return decode_audio(file, limits, keep_channels)
    except OSError as error:
        raise InvalidAudio(f"{path.name}: {error.strerror or 'cannot be read'}") from None


def from_array(
    samples: object, sample_rate: object, limits: AudioLimits = AudioLimits(), keep_channels: bool = False
) -> Audio:
    """Return the audio of an array (time,) or (channel, time), resampled from `sample_rate` Hz.

    Raises InvalidAudio, AudioTooLong.
    """
    import librosa  # here, because it is slow to import; FFmpeg resamples files

    if not isinstance(sample_rate, int) or not MIN_SAMPLE_RATE <= sample_rate <= MAX_SAMPLE_RATE:
        raise InvalidAudio(f"sampling_rate of an array must be {MIN_SAMPLE_RATE} to {MAX_SAMPLE_RATE} Hz")
    try:
        array = np.atleast_1d(np.asarray(samples, dtype=np.float32))
    except (TypeError, ValueError):
        raise InvalidAudio("the array contains values that are not numbers") from None
    if array.ndim > 2 or not np.isfinite(array).all():
        raise InvalidAudio("the audio contains samples that are not finite numbers")
    if not array.size:
        raise InvalidAudio("the audio is empty: send an audio file")
    if limits.max_seconds is not None and array.shape[-1] > limits.max_seconds * sample_rate:
        raise AudioTooLong(f"the audio is longer than the {limits.max_seconds:g} s allowed here")
    resampled = librosa.resample(np.atleast_2d(array), orig_sr=sample_rate, target_sr=SAMPLE_RATE)
    return _to_mono(np.ascontiguousarray(resampled, dtype=np.float32), keep_channels)


def _to_mono(channels: Samples, keep_channels: bool, partial: bool = False) -> Audio:
    """Return the audio of samples (channel, time). Raises InvalidAudio."""
    if keep_channels:
        _check_channels(len(channels))
    # The mean, and not FFmpeg's sum: a voice on all channels would exceed 1.
    mono = channels[0] if len(channels) == 1 else channels.mean(axis=0, dtype=np.float32)
    return Audio(mono, partial=partial, channels=channels if keep_channels else None)


def _check_channels(count: int) -> None:
    if count > MAX_CHANNELS:
        raise InvalidAudio(f"the audio has {count} channels: multichannel supports up to {MAX_CHANNELS}")


def _check_bytes(count: int, limits: AudioLimits) -> None:
    if limits.max_bytes is not None and count > limits.max_bytes:
        raise AudioTooLong(f"the audio is larger than the {limits.max_bytes} bytes allowed here")


def _decode_container(
    container: "InputContainer", is_truncated: bool, limits: AudioLimits, keep_channels: bool, context: RequestContext
) -> Audio:
    if not container.streams.audio:
        raise InvalidAudio("the file has no audio stream")
    stream = container.streams.audio[0]
    if not MIN_SAMPLE_RATE <= stream.rate <= MAX_SAMPLE_RATE or stream.channels < 1:
        raise InvalidAudio(
            f"the audio's sample rate is {stream.rate} Hz: send {MIN_SAMPLE_RATE} to {MAX_SAMPLE_RATE} Hz"
        )
    if keep_channels:
        _check_channels(stream.channels)
    max_samples = None if limits.max_seconds is None else round(limits.max_seconds * SAMPLE_RATE)
    blocks: list[Samples] = []
    count = 0
    for block in _decode_blocks(container, stream):
        context.check_cancelled()
        if block is None:
            is_truncated = True
            break
        count += block.shape[1]
        if max_samples is not None and count > max_samples:
            raise AudioTooLong(f"the audio is longer than the {limits.max_seconds:g} s allowed here")
        blocks.append(block if keep_channels else block.mean(axis=0, keepdims=True, dtype=np.float32))
    if not count:
        raise InvalidAudio("the file has a header but no audio")
    samples = np.concatenate(blocks, axis=1)
    if not np.isfinite(samples).all():
        raise InvalidAudio("the audio contains samples that are not finite numbers")
    is_truncated = is_truncated or _is_shorter_than_header(container, stream, count / SAMPLE_RATE)
    if is_truncated and container.format.name not in TRUNCATABLE:
        raise InvalidAudio("the audio file is truncated: send the whole file")
    return _to_mono(samples, keep_channels, is_truncated)


def _decode_blocks(container: "InputContainer", stream: "AudioStream") -> Iterator[Samples | None]:
    """Yield blocks (channel, time) at 16 kHz. After a decoding error, yield None and end."""
    import av

    resampler = av.AudioResampler(format="fltp", rate=SAMPLE_RATE)
    try:
        for frame in container.decode(stream):
            frame.pts = None  # or the resampler would fill wrong timestamps with silence
            for block in resampler.resample(frame):
                yield np.asarray(block.to_ndarray(), dtype=np.float32)
        for block in resampler.resample(None):
            yield np.asarray(block.to_ndarray(), dtype=np.float32)
    except av.error.FFmpegError:
        yield None


def _is_truncated_riff(head: bytes, size: int) -> bool:
    """Return whether a wav file is shorter than its header says. FFmpeg does not report this.

    Programs that write to a pipe leave a size near 2³² in the header; it means nothing.
    """
    riff_size = int.from_bytes(head[4:8], "little")
    return head[:4] == b"RIFF" and size < riff_size + 8 and riff_size < 2**32 - 4096


def _is_shorter_than_header(container: "InputContainer", stream: "AudioStream", seconds: float) -> bool:
    """Return whether the decoded audio is shorter than the container's duration by more than a rounding error."""
    if stream.duration and stream.time_base:
        duration = float(stream.duration * stream.time_base)
    elif container.duration:
        duration = container.duration / 1_000_000  # FFmpeg's time base: microseconds
    else:
        return False
    return seconds < duration * 0.98 - 0.1
