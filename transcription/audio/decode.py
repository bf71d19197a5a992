"""Decoding of audio files with PyAV (FFmpeg)."""

import io
from pathlib import Path
from typing import IO, TYPE_CHECKING

from transcription.audio.blocks import read_blocks
from transcription.audio.containers import DEMUXERS, WHOLE_ONLY, is_truncated
from transcription.audio.frames import FrameReader
from transcription.audio.limits import MAX_SAMPLE_RATE, MIN_SAMPLE_RATE, AudioLimits, check_channels
from transcription.audio.samples import SAMPLE_RATE, Audio, Mixdown
from transcription.context import RequestContext
from transcription.errors import InvalidAudio

if TYPE_CHECKING:
    from av.audio.stream import AudioStream
    from av.container import InputContainer

_FORMATS = "send wav, flac, mp3, ogg, m4a or webm"
_UNDECODABLE = f"the audio cannot be decoded: {_FORMATS}"


def decode_audio(
    data: bytes | IO[bytes], limits: AudioLimits = AudioLimits(), keep_channels: bool = False,
    context: RequestContext | None = None,
) -> Audio:  # fmt: skip
    """Return the audio of a file in any container of DEMUXERS.

    Times follow the container's clock: a gap between timestamps becomes silence. What cannot be decoded is left out,
    and the audio is partial.
    Raises InvalidAudio, AudioTooLong, Cancelled.
    """
    import av  # here, because it is slow to import and --help does not need it

    file = io.BytesIO(data) if isinstance(data, bytes) else data
    size = file.seek(0, io.SEEK_END)
    limits.check_bytes(size)
    if not size:
        raise InvalidAudio("the audio is empty: send an audio file")
    file.seek(0)
    options = {"format_whitelist": ",".join(DEMUXERS), "protocol_whitelist": ""}
    try:
        with av.open(file, mode="r", options=options, metadata_errors="replace") as container:
            reader = FrameReader(container, _audio_stream(container, keep_channels), context or RequestContext())
            return _decode(reader, file, limits, keep_channels)
    except (av.error.FFmpegError, MemoryError, ValueError, OverflowError):
        raise InvalidAudio(_UNDECODABLE) from None


def read_file(path: Path, limits: AudioLimits = AudioLimits(), keep_channels: bool = False) -> Audio:
    """Return the audio of a file on this machine.

    Raises InvalidAudio, AudioTooLong.
    """
    try:
        with path.open("rb") as file:
            return decode_audio(file, limits, keep_channels)
    except OSError as error:
        raise InvalidAudio(f"{path.name}: {error.strerror or 'cannot be read'}") from None


def _audio_stream(container: "InputContainer", keep_channels: bool) -> "AudioStream":
    """Return the first audio stream with a known codec.

    Raises InvalidAudio.
    """
    if not container.streams.audio:
        raise InvalidAudio("the file has no audio stream")
    # PyAV types codec_context as always present; it is None if FFmpeg does not know the codec.
    stream = next((stream for stream in container.streams.audio if stream.codec_context is not None), None)
    if stream is None:
        raise InvalidAudio(f"the codec of the audio is unknown: {_FORMATS}")
    # 0: not known yet, because the audio begins late in the file.
    if stream.rate and not MIN_SAMPLE_RATE <= stream.rate <= MAX_SAMPLE_RATE:
        raise InvalidAudio(
            f"the audio's sample rate is {stream.rate} Hz: send {MIN_SAMPLE_RATE} to {MAX_SAMPLE_RATE} Hz"
        )
    check_channels(stream.channels, keep_channels)
    return stream


def _decode(reader: FrameReader, file: IO[bytes], limits: AudioLimits, keep_channels: bool) -> Audio:
    """Return the audio of a stream."""
    mixdown = Mixdown(limits, keep_channels)
    for block in read_blocks(reader, keep_channels):
        mixdown.add(block)
    if not mixdown.count:
        raise InvalidAudio(_UNDECODABLE if reader.has_lost else "the file has a header but no audio")
    seconds = mixdown.count / SAMPLE_RATE
    truncated = is_truncated(reader.container, reader.stream, file, seconds, reader.others_end)
    if truncated and reader.container.format.name in WHOLE_ONLY:
        raise InvalidAudio("the audio file is truncated: send the whole file")
    return mixdown.audio(partial=truncated or reader.has_lost)
