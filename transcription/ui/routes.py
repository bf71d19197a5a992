"""The page's own routes, below /ui: a recording in and its events out, documents, samples, sound."""

import asyncio
import json
import wave
from collections.abc import Iterator
from os import SEEK_END
from pathlib import Path
from tempfile import TemporaryFile
from typing import IO, Any

import numpy as np
from fastapi import APIRouter, Request
from fastapi.responses import FileResponse, JSONResponse, RedirectResponse, Response, StreamingResponse
from pydantic import BaseModel, ValidationError

from transcription.audio import Audio, load_audio
from transcription.config import InferenceConfig
from transcription.context import RequestContext
from transcription.errors import InvalidRequest
from transcription.formats import FORMATS
from transcription.server.api_errors import ApiError
from transcription.server.bodies import Form, read_body, read_form
from transcription.server.request_log import record_of
from transcription.server.service import service_of
from transcription.transcript import Transcript
from transcription.ui.following import Following
from transcription.ui.speaker_names import rename_speakers

SAMPLES = {
    "meeting.flac": "Three people in a meeting",
    "conversation.flac": "A conversation, a minute long",
    "german.ogg": "German",
    "short.wav": "A short note",
}
"""Which of the repository's recordings the page offers, where they are there, and as what."""
DOCUMENTS = {"text": "txt", "srt": "srt", "vtt": "vtt", "verbose_json": "json", "rttm": "rttm"}
"""What can be downloaded: a format's name, and what its file's name ends in."""
_ROOT = Path(__file__).resolve().parents[2]
_FOLDER = _ROOT / "samples"
_DOCUMENT = 64 * 1024**2  # bytes of a transcript that comes back to be written down: days of talk
_BLOCK = 1 << 20  # samples, or bytes

open_router = APIRouter(prefix="/ui", include_in_schema=False)
router = APIRouter(prefix="/ui", include_in_schema=False)


@open_router.get("")
async def front() -> RedirectResponse:
    """To where the page's relative addresses are right. Relative itself: a proxy may have a prefix."""
    return RedirectResponse("ui/")


@open_router.get("/about")
async def about(request: Request) -> JSONResponse:
    """What the page needs to know before it is used; no secret."""
    service = service_of(request)
    loaded = service.status != "loading"
    return JSONResponse(
        {
            "status": "shutting down" if service.admission.draining else service.status,
            "needs_key": bool(service.settings.api_keys),
            "max_bytes": service.transcriber.settings.max_audio_bytes if loaded else None,
            "demo": loaded and Path(service.transcriber.settings.asr_model).resolve().is_relative_to(_ROOT / "models"),
            "samples": {name: told for name, told in SAMPLES.items() if (_FOLDER / name).is_file()},
            "documents": DOCUMENTS,
        },
        headers={"Cache-Control": "no-store"},
    )


@open_router.get("/samples/{name}")
async def sample(name: str) -> FileResponse:
    """One of the recordings to try. Raises ApiError."""
    if name not in SAMPLES or not (_FOLDER / name).is_file():
        raise ApiError(404, "sample_not_found", "there is no such sample")
    return FileResponse(_FOLDER / name)


@router.post("/transcribe")
async def transcribe(request: Request) -> StreamingResponse:
    """A recording and its options in, what becomes of it out: see following.py."""
    service, record = service_of(request), record_of(request)
    form = await service.receive(request, read_form, service.transcriber.settings.max_audio_bytes)
    try:
        file, config = form.file(), _config(form)
        service.transcriber.check(config)
        following = Following()
        work = service.begin(
            request,
            lambda: service.transcribe(file, config, following.context, record, following.decoded),
            following.context,
        )
    except BaseException:
        form.close()
        raise
    work.add_done_callback(lambda _: form.close())
    return await following.response(request, work)


def _config(form: Form) -> InferenceConfig:
    """Raises InvalidRequest."""
    try:
        chosen = json.loads(form.fields.get("options", ["{}"])[0])
    except ValueError:
        raise InvalidRequest("the options are not JSON", "options") from None
    if not isinstance(chosen, dict):
        raise InvalidRequest("the options are not a JSON object", "options")
    return InferenceConfig.from_request(_parameters(chosen))


def _parameters(chosen: dict[str, Any]) -> dict[str, Any]:
    """A request's parameters of what the controls hold: empty is absent, and the page needs the words' times.

    diarize: unticked is a wish, ticked is what happens anyway where the service can.
    """
    given = {name: value for name, value in chosen.items() if value not in ("", None)}
    if given.get("diarize"):
        del given["diarize"]
    return given | {"timestamps": "word"}


class Written(BaseModel):
    """A transcript that comes back from its page, and what its speakers are called there."""

    transcript: Transcript
    names: dict[str, str] = {}


@router.post("/document/{name}")
async def document(request: Request, name: str) -> Response:
    """A transcript in one of the formats, with its speakers' names. Nothing of it stays here.

    Raises ApiError, InvalidRequest.
    """
    if name not in DOCUMENTS:
        raise ApiError(404, "format_not_found", f"no such format: take {', '.join(DOCUMENTS)}")
    body = await service_of(request).receive(request, read_body, _DOCUMENT)
    with body:
        text = await asyncio.to_thread(_written, body.read(), name)
    return Response(text, media_type=FORMATS[name].media_type)


def _written(body: bytes, name: str) -> str:
    try:
        asked = Written.model_validate_json(body)
    except ValidationError:
        raise InvalidRequest("the transcript cannot be read: transcribe the recording again") from None
    found = FORMATS[name].render(rename_speakers(asked.transcript, asked.names))
    return found if isinstance(found, str) else json.dumps(found, ensure_ascii=False, indent=1) + "\n"


@router.post("/sound")
async def sound(request: Request) -> StreamingResponse:
    """A recording that the browser cannot play, as 16-bit wav of 16 kHz."""
    service, context = service_of(request), RequestContext()
    body = await service.receive(request, read_body, service.transcriber.settings.max_audio_bytes)
    work = service.begin(request, lambda: _wav(load_audio(body, service.transcriber.limits, context=context)), context)
    work.add_done_callback(lambda _: body.close())
    file = await service.finished(request, work)
    size = file.seek(0, SEEK_END)
    return StreamingResponse(_blocks(file), media_type="audio/wav", headers={"Content-Length": str(size)})


def _wav(audio: Audio) -> IO[bytes]:
    """On disk: whoever reads it may be slow."""
    file = TemporaryFile()  # noqa: SIM115  it outlives this function
    with wave.open(file, "wb") as sound:
        sound.setparams((1, 2, audio.sample_rate, 0, "NONE", "NONE"))
        for at in range(0, len(audio.samples), _BLOCK):
            sound.writeframesraw((np.clip(audio.samples[at : at + _BLOCK], -1, 1) * 32767).astype("<i2").tobytes())
    return file


def _blocks(file: IO[bytes]) -> Iterator[bytes]:
    with file:
        file.seek(0)
        while block := file.read(_BLOCK):
            yield block
