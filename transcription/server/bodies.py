"""Bodies of requests: received in chunks, limited in size, and kept on disk if they are large."""

import asyncio
import json
import re
from codecs import BOM_UTF8
from collections.abc import AsyncGenerator, AsyncIterable, AsyncIterator
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import PureWindowsPath
from tempfile import SpooledTemporaryFile
from typing import IO, Any, cast

from starlette.datastructures import UploadFile
from starlette.formparsers import MultiPartException, MultiPartParser
from starlette.requests import ClientDisconnect, Request

from transcription.config import MAX_TEXT
from transcription.errors import Cancelled, InvalidRequest
from transcription.server.api_errors import ApiError
from transcription.server.request_log import record_of

_MEMORY_BYTES = 1024 * 1024  # larger bodies are kept on disk
_OVERHEAD_BYTES = 3 * 1024 * 1024  # of a body, around the audio file; a text of MAX_TEXT may be inside
_SAMPLE_FIELD = re.compile(r"known_speakers|known_speaker_references(\[\d*\])?")
_SAMPLES_BYTES = 16 * 1024 * 1024  # of all known speakers together, as base64 text
_TEXT_FIELDS = frozenset({"text", "align"})  # a known text: for the audio routes, and for the page
# Of a form; an hour of talk has 64 KiB of RTTM.
_MAX_FIELDS, _MAX_FIELD_BYTES, _MAX_TEXT_BYTES = 300, 256 * 1024, 4 * MAX_TEXT
_DRAIN_BYTES, _DRAIN_SECONDS = 32 * 1024 * 1024, 2.0


@dataclass
class Form:
    """A multipart body: the values of each field in order, and the files. The caller closes it.

    recording: the name of the last file, without folder and suffix.
    """

    fields: dict[str, list[str]] = field(default_factory=dict)
    files: dict[str, IO[bytes]] = field(default_factory=dict)
    recording: str = ""

    def file(self) -> IO[bytes]:
        """Return the audio file. Raises InvalidRequest if it is missing or has another name."""
        if wrong := set(self.files) - {"file"}:
            raise InvalidRequest(f"send the audio as file, not as {min(wrong)[:40]!r}", "file")
        if not self.files:
            raise InvalidRequest("file is missing: send an audio file", "file")
        return self.files["file"]

    def close(self) -> None:
        """Close the files, which frees their disk space."""
        for file in self.files.values():
            file.close()


class _FormParser(MultiPartParser):
    """Starlette's parser, with larger limits for a known text and for samples of known speakers.

    It refuses a file without a name as what it is: it would be read as a long text.
    """

    _samples_bytes = 0  # so far
    _is_sample = _has_text = False

    def on_headers_finished(self) -> None:
        super().on_headers_finished()
        part = self._current_part
        is_text = part.field_name in _TEXT_FIELDS and not self._has_text  # once: all fields are kept in memory
        self._has_text |= is_text
        self._is_sample = part.file is None and bool(_SAMPLE_FIELD.fullmatch(part.field_name or ""))
        self.max_part_size = _SAMPLES_BYTES if self._is_sample else _MAX_TEXT_BYTES if is_text else _MAX_FIELD_BYTES
        if part.field_name == "file" and part.file is None:
            raise MultiPartException('the part "file" has no file name: add filename="…" to its Content-Disposition')

    def on_part_data(self, data: bytes, start: int, end: int) -> None:
        if self._is_sample:
            self._samples_bytes += end - start
            if self._samples_bytes > _SAMPLES_BYTES:
                limit = f"{_SAMPLES_BYTES // 1024**2} MiB"
                raise MultiPartException(f"the samples of known speakers have more than {limit}: send shorter ones")
        super().on_part_data(data, start, end)


async def read_form(request: Request, max_file_bytes: int) -> Form:
    """Return the multipart body of a request. The caller closes it.

    Raises ApiError if it is too large or no multipart body, InvalidRequest if it is malformed, Cancelled.
    """
    if not request.headers.get("content-type", "").lower().startswith("multipart/form-data"):
        raise ApiError(415, "unsupported_media_type", "send multipart/form-data with a file")
    chunks = _limited(request, max_file_bytes + _extra_bytes(max_file_bytes))
    parser = _FormParser(request.headers, chunks, max_files=1, max_fields=_MAX_FIELDS, max_part_size=_MAX_FIELD_BYTES)
    try:
        items = (await parser.parse()).multi_items()
    except MultiPartException as error:
        raise InvalidRequest(f"the multipart body cannot be read: {error.message}") from None
    form = Form()
    for name, value in items:
        if isinstance(value, UploadFile):
            form.files[name] = cast("IO[bytes]", value.file)
            form.recording = PureWindowsPath(value.filename or "").stem  # it splits at both slashes
        else:
            form.fields.setdefault(name, []).append(value)
    return form


def max_json_bytes(max_file_bytes: int) -> int:
    """Return the size of the largest JSON body, which holds a file and samples of known speakers as base64 text."""
    return max_file_bytes * 4 // 3 + _extra_bytes(max_file_bytes)


def _extra_bytes(max_file_bytes: int) -> int:
    """Return how many bytes a body may have beside its file: samples of known speakers, no larger than the file."""
    return min(_SAMPLES_BYTES, max_file_bytes) + _OVERHEAD_BYTES


async def read_body(request: Request, max_bytes: int) -> IO[bytes]:
    """Return the body of a request as a file. The caller closes it. Raises ApiError if it is too large, Cancelled."""
    return await to_file(_limited(request, max_bytes))


async def read_audio_or_json(request: Request, max_audio_bytes: int) -> IO[bytes]:
    """Return the body of a request, which is an audio file or a JSON object with one. The caller closes it.

    Raises ApiError if it is too large, Cancelled.
    """
    return await to_file(_limited(request, max_audio_bytes, max_json_bytes(max_audio_bytes)))


def is_json_object(file: IO[bytes]) -> bool:
    """Return whether a file begins with a brace, as no audio file does. The file is at its beginning."""
    start = file.read(64)
    file.seek(0)
    return _is_json_object(start)


def _is_json_object(start: bytes) -> bool:
    return start.removeprefix(BOM_UTF8).lstrip().startswith(b"{")


async def to_file(content: AsyncIterable[bytes] | bytes) -> IO[bytes]:
    """Return a file with the content, on disk if it is large. The caller closes it."""
    file = SpooledTemporaryFile(_MEMORY_BYTES)  # noqa: SIM115  it outlives this function
    try:
        async for chunk in _chunks(content):
            if file.tell() + len(chunk) > _MEMORY_BYTES:
                await asyncio.to_thread(file.write, chunk)
            else:
                file.write(chunk)
    except BaseException:
        file.close()
        raise
    file.seek(0)
    return cast("IO[bytes]", file)


async def _chunks(content: AsyncIterable[bytes] | bytes) -> AsyncIterator[bytes]:
    if isinstance(content, bytes):
        yield content
    else:
        async for chunk in content:
            yield chunk


def read_json(file: IO[bytes]) -> dict[str, Any]:
    """Return the JSON object in a file. Raises InvalidRequest if there is none."""
    try:
        value = json.load(file)
    except (ValueError, RecursionError):
        raise InvalidRequest("the body is not JSON") from None
    if not isinstance(value, dict):
        raise InvalidRequest("the body is not a JSON object")
    return value


def _too_large(max_bytes: int) -> ApiError:
    return ApiError(413, "body_too_large", f"the body is larger than the {max_bytes} bytes allowed here", "file")


async def _limited(
    request: Request, max_bytes: int, max_object_bytes: int | None = None
) -> AsyncGenerator[bytes, None]:
    """Yield the chunks of a body. `max_object_bytes` is the limit of a JSON object, if it has another one.

    Raises ApiError above the limit, Cancelled if the client disconnects.
    """
    header = request.headers.get("content-length", "")
    length = int(header[:18]) if header[:18].isdecimal() else 0
    if length > max(max_bytes, max_object_bytes or 0):
        raise _too_large(max_bytes)
    count = 0
    try:
        async for chunk in request.stream():
            if count == 0 and max_object_bytes is not None and _is_json_object(chunk):
                max_bytes = max_object_bytes
            count += len(chunk)
            if max(count, length) > max_bytes:
                raise _too_large(max_bytes)
            yield chunk
    except ClientDisconnect:
        raise Cancelled from None


async def drain(request: Request) -> None:
    """Read the rest of a refused body, within limits: a client that is still sending would miss the response."""
    record, count = record_of(request), 0
    with suppress(TimeoutError):
        async with asyncio.timeout(_DRAIN_SECONDS):
            while not record.received and count < _DRAIN_BYTES:
                count += len((await request.receive()).get("body", b""))


async def disconnected(request: Request) -> None:
    """Wait until the client has disconnected."""
    while (await request.receive())["type"] != "http.disconnect":
        pass
