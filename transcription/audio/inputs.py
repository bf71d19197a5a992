"""The audio of a request's input: a file, bytes, base64 text, or a mapping as in transformers and datasets."""

import base64
import binascii
import io
import re
from collections.abc import Mapping
from typing import IO, cast

from transcription.audio.arrays import from_array
from transcription.audio.decode import decode_audio
from transcription.audio.limits import AudioLimits
from transcription.audio.samples import SAMPLE_RATE, Audio
from transcription.context import RequestContext
from transcription.errors import InvalidAudio

_DATA_URI = re.compile(r"\s*data:[^,]{0,200},", re.ASCII)


def load_audio(
    data: object,
    limits: AudioLimits = AudioLimits(),
    keep_channels: bool = False,
    context: RequestContext | None = None,
) -> Audio:
    """Return the audio of a request's input.

    data: an open file, the bytes of a file, base64 text of them (standard, URL-safe, data URI or without padding),
    or a mapping: {"array" or "raw": numbers, "sampling_rate": Hz} as in the pipelines of transformers, or
    {"path": anything, "bytes": the bytes of a file} as in datasets.
    Raises InvalidAudio, AudioTooLong if a limit is exceeded, and Cancelled.
    """
    if isinstance(data, Mapping):
        if "array" in data or "raw" in data:
            array, rate = data.get("array", data.get("raw")), data.get("sampling_rate", SAMPLE_RATE)
            return from_array(array, rate, limits, keep_channels)
        data = _bytes_of(data)
    if isinstance(data, str):
        data = decode_base64(data, limits)
    if isinstance(data, (bytes, bytearray, memoryview)):
        data = io.BytesIO(data)
    if not hasattr(data, "seek"):
        raise InvalidAudio("inputs is missing: send an audio file or its base64 text")
    return decode_audio(cast("IO[bytes]", data), limits, keep_channels, context)


def _bytes_of(data: Mapping[str, object]) -> object:
    """Return the bytes of a mapping without an array.

    Raises InvalidAudio if there are none.
    """
    if data.get("bytes") is not None:
        return data["bytes"]
    if data.get("path") is not None:
        raise InvalidAudio("inputs has a path but no bytes: the service opens no paths, so send the bytes of the file")
    raise InvalidAudio("inputs is an object without array, raw or bytes: send an audio file or its base64 text")


def decode_base64(text: str, limits: AudioLimits = AudioLimits()) -> bytes:
    """Return the bytes of base64 text.

    Raises InvalidAudio, and AudioTooLong if there are too many bytes.
    """
    limits.check_bytes(len(text) * 3 // 5)  # 3/4 without line breaks and the head of a data URI
    compact = "".join(_DATA_URI.sub("", text, count=1).split()).rstrip("=")
    if not compact:
        raise InvalidAudio("inputs is empty: send an audio file or its base64 text")
    try:
        standard = compact.translate({ord("-"): "+", ord("_"): "/"}).encode("ascii")
        return base64.b64decode(standard + b"=" * (-len(standard) % 4), validate=True)
    except (UnicodeEncodeError, binascii.Error):
        raise InvalidAudio("inputs is neither an audio file nor base64 text") from None
