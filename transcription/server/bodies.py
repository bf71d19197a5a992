"""Bodies of requests: received in pieces, counted as they come, kept on disk when they are large."""

import asyncio
import json
from collections.abc import AsyncGenerator, AsyncIterable, AsyncIterator
from contextlib import suppress
from dataclasses import dataclass, field
from tempfile import SpooledTemporaryFile
from typing import IO, Any, cast

from starlette.datastructures import UploadFile
from starlette.formparsers import MultiPartException, MultiPartParser
from starlette.requests import ClientDisconnect, Request

from transcription.errors import Cancelled, InvalidRequest
from transcription.server.api_errors import ApiError
from transcription.server.request_log import record_of

_IN_MEMORY = 1024 * 1024  # bytes of a body before it goes to disk
_AROUND = 1024 * 1024  # bytes of a body that are not the file
_FIELDS, _FIELD = 300, 64 * 1024  # fields of a form, and bytes of one
_DRAIN_BYTES, _DRAIN_SECONDS = 32 * 1024 * 1024, 2.0  # what is still read of a body that is refused


@dataclass
class Form:
    """A multipart body: each field's values in order, and the file. Whoever gets it closes it."""

    fields: dict[str, list[str]] = field(default_factory=dict)
    files: dict[str, IO[bytes]] = field(default_factory=dict)

    def file(self) -> IO[bytes]:
        """The audio. Raises InvalidRequest."""
        if set(self.files) - {"file"}:
            raise InvalidRequest(f"send the audio as file, not as {min(set(self.files) - {'file'})[:40]!r}", "file")
        if not self.files:
            raise InvalidRequest("file is missing: send an audio file", "file")
        return self.files["file"]

    def close(self) -> None:
        """Gives the disk back."""
        for file in self.files.values():
            file.close()


async def read_form(request: Request, most: int) -> Form:
    """A multipart body whose file has at most so many bytes. Raises ApiError, InvalidRequest, Cancelled."""
    if not request.headers.get("content-type", "").lower().startswith("multipart/form-data"):
        raise ApiError(415, "unsupported_media_type", "send multipart/form-data with a file")
    parser = MultiPartParser(
        request.headers, _counted(request, most + _AROUND), max_files=1, max_fields=_FIELDS, max_part_size=_FIELD
    )
    try:
        items = (await parser.parse()).multi_items()
    except MultiPartException as error:
        raise InvalidRequest(f"the multipart body cannot be read: {error.message}") from None
    found = Form()
    for name, value in items:
        if isinstance(value, UploadFile):
            found.files[name] = cast("IO[bytes]", value.file)
        else:
            found.fields.setdefault(name, []).append(value)
    return found


def json_limit(most: int) -> int:
    """Bytes of the largest JSON body that holds a file of so many, in base64."""
    return most * 4 // 3 + _AROUND


async def read_body(request: Request, most: int) -> IO[bytes]:
    """A body of at most so many bytes as a file. Whoever gets it closes it. Raises ApiError, Cancelled."""
    return await to_file(_counted(request, most))


async def to_file(content: AsyncIterable[bytes] | bytes) -> IO[bytes]:
    """A file of the content, on disk when it is large. Whoever gets it closes it."""
    file = SpooledTemporaryFile(_IN_MEMORY)  # noqa: SIM115  it outlives this function
    try:
        async for chunk in _chunks(content):
            if file.tell() + len(chunk) > _IN_MEMORY:
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
    """The JSON object in a file. Raises InvalidRequest."""
    try:
        found = json.load(file)
    except (ValueError, RecursionError):
        raise InvalidRequest("the body is not JSON") from None
    if not isinstance(found, dict):
        raise InvalidRequest("the body is not a JSON object")
    return found


async def _counted(request: Request, most: int) -> AsyncGenerator[bytes, None]:
    """The body in chunks, up to `most` bytes of it."""
    refusal = ApiError(413, "body_too_large", f"the body is larger than the {most} bytes allowed here", "file")
    claimed = request.headers.get("content-length", "")
    if claimed.isdecimal() and (len(claimed) > 18 or int(claimed) > most):
        raise refusal
    count = 0
    try:
        async for chunk in request.stream():
            count += len(chunk)
            if count > most:
                raise refusal
            yield chunk
    except ClientDisconnect:
        raise Cancelled from None


async def drain(request: Request) -> None:
    """Reads on, for a while, a body that is refused: who is still sending would not see the answer."""
    record, count = record_of(request), 0
    with suppress(TimeoutError):
        async with asyncio.timeout(_DRAIN_SECONDS):
            while not record.received and count < _DRAIN_BYTES:
                count += len((await request.receive()).get("body", b""))


async def disconnected(request: Request) -> None:
    """Returns when the client has gone."""
    while (await request.receive())["type"] != "http.disconnect":
        pass
