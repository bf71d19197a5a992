"""The containers: which are allowed, which have a clock, and how a file shows that it was truncated."""

import io
from collections.abc import Callable
from typing import IO, TYPE_CHECKING

if TYPE_CHECKING:
    from av.audio.stream import AudioStream
    from av.container import InputContainer

# Allowed containers. Other formats of FFmpeg (playlists, concat scripts, network protocols) can open other files.
DEMUXERS = (
    "wav", "w64", "flac", "mp3", "ogg", "mov", "matroska", "aac", "aiff", "amr", "amrnb", "amrwb",
    "caf", "au", "asf", "ac3", "eac3", "avi", "mpeg", "mpegts", "flv", "3gp", "nistsphere", "gsm", "wv", "tta", "voc",
)  # fmt: skip
AUDIO_SUFFIXES = (
    ".wav", ".flac", ".mp3", ".ogg", ".oga", ".opus", ".m4a", ".mp4", ".webm", ".aac", ".aiff", ".amr", ".wma", ".mka",
    ".mkv", ".mov", ".mpeg", ".mpga", ".3gp", ".caf", ".au", ".sph", ".gsm", ".wv", ".tta", ".voc",
)  # fmt: skip
"""Suffixes of audio files in folders."""

_MOV = "mov,mp4,m4a,3gp,3g2,mj2"  # FFmpeg's names of demuxers
MATROSKA = "matroska,webm"
CLOCKED = frozenset({_MOV, MATROSKA, "flv", "asf", "mpegts", "mpeg", "ogg", "flac"})
"""Containers with timestamps of their own. FFmpeg counts samples or bytes in the others."""
GAPLESS = frozenset({"flac", "ogg"})
"""Containers of CLOCKED in which a gap means that frames were lost."""
WHOLE_ONLY = frozenset({"flac", _MOV})
"""A truncated file of these containers is refused. Others can be decoded up to their end."""

# Containers that state a duration: of the audio stream, or of the longest stream. FFmpeg estimates all others from
# the bit rate or from the end of the file, so a truncated file cannot be recognised.
_STREAM_DURATION = frozenset({_MOV, "flac", "w64", "aiff", "au", "caf", "avi", "wv", "tta", "nistsphere", "asf"})
FILE_DURATION = frozenset({MATROSKA, "flv", "asf"})
_PIPE_SIZES = (2**31, 2**32)  # A program that writes wav to a pipe states a size near one of these, or 0
_PIPE_TOLERANCE = 65_536
_MAX_CHUNKS = 1_000
_MAX_OGG_PAGE = 65_307


def is_truncated(
    container: "InputContainer", stream: "AudioStream", file: IO[bytes], seconds: float, others_end: float
) -> bool:
    """Return whether the file is shorter than its header says.

    seconds: decoded. others_end: the last timestamp of the other streams, for FILE_DURATION.
    """
    name = container.format.name
    if name in _HEADERS:
        return _HEADERS[name](file)
    declared = _declared_end(container, stream)
    if declared is None:
        return False
    end = (container.start_time or 0) / 1_000_000 + seconds  # FFmpeg's time base: microseconds
    if others_end < declared * 1.02 + 1:  # a later timestamp is damaged
        end = max(end, others_end)
    return end < declared * 0.98 - 0.1  # less is a rounding error


def _declared_end(container: "InputContainer", stream: "AudioStream") -> float | None:
    """Return the timestamp at which the header says that the audio or the file ends; None if it does not say it."""
    name = container.format.name
    if name in FILE_DURATION and name != "asf":
        # If FFmpeg estimates the duration of the file, then all streams have one.
        is_estimated = all(stream.duration for stream in container.streams)
        return container.duration / 1_000_000 if container.duration and not is_estimated else None
    if name not in _STREAM_DURATION or not stream.duration or not stream.time_base:
        return None
    start = 0 if name == "asf" else stream.start_time or 0  # FFmpeg gives every stream of asf the file's duration
    return float((start + stream.duration) * stream.time_base)


def _is_short_wav(file: IO[bytes]) -> bool:
    """Return whether the data chunk of a wav file ends after the file. FFmpeg does not report this.

    Some programs count up to 8 bytes too many.
    """
    size = file.seek(0, io.SEEK_END)
    file.seek(12)  # after RIFF, size, WAVE
    for _ in range(_MAX_CHUNKS):
        header = file.read(8)
        if len(header) < 8:
            break
        length = int.from_bytes(header[4:], "little")
        if header[:4] == b"data":
            is_known = length and all(abs(length - open_size) > _PIPE_TOLERANCE for open_size in _PIPE_SIZES)
            return bool(is_known) and file.tell() + length > size + 8
        file.seek(length + length % 2, io.SEEK_CUR)
    return False


def _is_last_page_short(file: IO[bytes]) -> bool:
    """Return whether the last page of an Ogg file ends after the file."""
    size = file.seek(0, io.SEEK_END)
    file.seek(max(0, size - _MAX_OGG_PAGE))
    tail = file.read()
    page = tail[max(0, tail.rfind(b"OggS")) :]
    lacing = page[27 : 27 + page[26]] if len(page) > 26 else b""
    return page[:4] == b"OggS" and len(page) < 28 + sum(lacing) + len(lacing) - 1


def _is_short_mp3(file: IO[bytes]) -> bool:
    """Return whether an mp3 file is shorter than its Xing or VBRI header says. Most files with one have the bytes."""
    size = file.seek(0, io.SEEK_END)
    file.seek(0)
    head = file.read(10)
    tag_size = 0
    if head[:3] == b"ID3" and len(head) == 10:
        tag_size = 10 + sum((byte & 0x7F) << shift for byte, shift in zip(head[6:], (21, 14, 7, 0), strict=True))
    file.seek(tag_size)
    frame = file.read(4_096)
    position = max(frame.find(name) for name in (b"Xing", b"Info", b"VBRI"))
    if position < 0:
        return False
    if frame[position : position + 4] == b"VBRI":
        offset = 10
    else:
        flags = int.from_bytes(frame[position + 4 : position + 8], "big")
        if not flags & 2:  # the number of bytes is left out
            return False
        offset = 12 if flags & 1 else 8  # after the number of frames
    stated = int.from_bytes(frame[position + offset : position + offset + 4], "big")
    return size - tag_size < stated * 0.98 - 1_000


_HEADERS: dict[str, Callable[[IO[bytes]], bool]] = {
    "wav": _is_short_wav,
    "ogg": _is_last_page_short,
    "mp3": _is_short_mp3,
}
