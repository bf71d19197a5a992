"""The routes of the page, below /ui: transcription with events, downloads, samples and playable audio."""

import asyncio
import json
import wave
from collections.abc import Iterator
from dataclasses import replace
from os import SEEK_END
from pathlib import Path
from tempfile import TemporaryFile
from typing import IO, Any

import numpy as np
from fastapi import APIRouter, Request
from fastapi.responses import FileResponse, JSONResponse, RedirectResponse, Response, StreamingResponse
from pydantic import BaseModel, ValidationError

from transcription.audio import Audio, load_audio
from transcription.config import MAX_KNOWN_SPEAKERS, InferenceConfig, parse_request
from transcription.context import RequestContext
from transcription.errors import InvalidRequest
from transcription.formats import FORMATS, format_names, formats_of
from transcription.server.api_errors import ApiError
from transcription.server.bodies import Form, read_body, read_form
from transcription.server.jobs import Job, run
from transcription.server.request_log import record_of
from transcription.server.service import service_of
from transcription.server.streaming import EventStream
from transcription.transcript import Transcript
from transcription.ui.events import PageEvents
from transcription.ui.speaker_names import rename_speakers

SAMPLES = {
    "meeting.flac": "Three people in a meeting",
    "conversation.flac": "A conversation, a minute long",
    "german.ogg": "German",
    "short.wav": "A short note",
}
"""The recordings in samples/ that the page offers, and their titles."""
_ROOT = Path(__file__).resolve().parents[2]
_SAMPLES_FOLDER = _ROOT / "samples"
_MAX_TRANSCRIPT_BYTES = 64 * 1024**2  # of a transcript that the page sends back: days of speech
_LONG_PARAMETERS = ("align", "known_speakers")  # each has a field of its own in a form
_BLOCK = 1 << 20  # samples, or bytes

open_router = APIRouter(prefix="/ui", include_in_schema=False)
router = APIRouter(prefix="/ui", include_in_schema=False)


@open_router.get("")
async def front() -> RedirectResponse:
    """Redirect to ui/, where relative URLs work. The redirect is relative because a proxy may add a prefix."""
    return RedirectResponse("ui/")


@open_router.get("/about")
async def about(request: Request) -> JSONResponse:
    """Return what the page shows before it is used."""
    service = service_of(request)
    loaded = service.status != "loading"
    return JSONResponse(
        {
            "status": "shutting down" if service.admission.draining else service.status,
            "needs_key": bool(service.settings.api_keys),
            "max_bytes": service.max_audio_bytes if loaded else None,
            "demo": loaded and Path(service.transcriber.settings.asr_model).resolve().is_relative_to(_ROOT / "models"),
            "samples": {name: title for name, title in SAMPLES.items() if (_SAMPLES_FOLDER / name).is_file()},
            "max_known_speakers": MAX_KNOWN_SPEAKERS if loaded and service.transcriber.diarizer is not None else 0,
            "documents": {name: row.extension for name, row in formats_of("page").items()},
        },
        headers={"Cache-Control": "no-store"},
    )


@open_router.get("/samples/{name}")
async def sample(name: str) -> FileResponse:
    """Return a sample recording. Raises ApiError if there is none of this name."""
    if name not in SAMPLES or not (_SAMPLES_FOLDER / name).is_file():
        raise ApiError(404, "sample_not_found", "there is no such sample")
    return FileResponse(_SAMPLES_FOLDER / name)


@router.post("/transcribe")
async def transcribe(request: Request) -> Response:
    """Transcribe a recording with the options of the page, and stream its events (PageEvents)."""
    service, record = service_of(request), record_of(request)

    async def prepare(form: Form) -> Job[Transcript]:
        file, (config, warnings) = form.file(), _config(form)
        service.transcriber.check(config)
        stream = EventStream(request, PageEvents())

        def work(context: RequestContext) -> Transcript:
            transcript = service.transcribe(file, config, context, record, stream.report_audio, warnings)
            return replace(transcript, name=form.recording)

        return Job(work, stream)

    return await run(request, read_form, service.max_audio_bytes, prepare)


def _config(form: Form) -> tuple[InferenceConfig, tuple[str, ...]]:
    """Return the parameters in the options of a form, and warnings that name what is ignored. Raises InvalidRequest."""
    try:
        options = json.loads(form.fields.get("options", ["{}"])[0])
    except ValueError:
        raise InvalidRequest("the options are not JSON", "options") from None
    if not isinstance(options, dict):
        raise InvalidRequest("the options are not a JSON object", "options")
    long_ones = {name: form.fields[name][0] for name in _LONG_PARAMETERS if name in form.fields}
    return parse_request(_parameters(options | long_ones), InferenceConfig)


def _parameters(options: dict[str, Any]) -> dict[str, Any]:
    """Return the parameters that the options mean: empty ones are absent, and the page needs word times.

    A ticked `diarize` is absent too: then the service works also without a diarization model.
    """
    parameters = {name: value for name, value in options.items() if value not in ("", None)}
    if parameters.get("diarize"):
        del parameters["diarize"]
    return parameters | {"timestamps": "word"}


class DocumentRequest(BaseModel):
    """A transcript that the page sends back, and the names of its speakers."""

    transcript: Transcript
    names: dict[str, str] = {}


@router.post("/document/{name}")
async def document(request: Request, name: str) -> Response:
    """Return a transcript in a format, with the names of its speakers. The server keeps nothing of it.

    Raises ApiError if the page does not offer the format, InvalidRequest if the transcript cannot be read.
    """
    if name not in formats_of("page"):
        raise ApiError(404, "format_not_found", f"the format must be {format_names('page')}")
    body = await service_of(request).receive(request, read_body, _MAX_TRANSCRIPT_BYTES)
    with body:
        text = await asyncio.to_thread(_document, body.read(), name)
    return Response(text, media_type=FORMATS[name].media_type)


def _document(body: bytes, name: str) -> str:
    try:
        sent = DocumentRequest.model_validate_json(body)
    except ValidationError:
        raise InvalidRequest("the transcript cannot be read: transcribe the recording again") from None
    rendered = FORMATS[name].render(rename_speakers(sent.transcript, sent.names))
    return rendered if isinstance(rendered, str) else json.dumps(rendered, ensure_ascii=False, indent=1) + "\n"


@router.post("/sound")
async def sound(request: Request) -> Response:
    """Return a recording that the browser cannot play as WAV, 16 bit and 16 kHz."""
    service = service_of(request)

    async def prepare(file: IO[bytes]) -> Job[IO[bytes]]:
        limits = service.transcriber.limits
        return Job(lambda context: _to_wav(load_audio(file, limits, context=context)), _wav_response)

    return await run(request, read_body, service.max_audio_bytes, prepare)


def _to_wav(audio: Audio) -> IO[bytes]:
    """Return a WAV file on disk, because clients may read it slowly."""
    file = TemporaryFile()  # noqa: SIM115  it outlives this function
    with wave.open(file, "wb") as sound:
        sound.setparams((1, 2, audio.sample_rate, 0, "NONE", "NONE"))
        for at in range(0, len(audio.samples), _BLOCK):
            sound.writeframesraw((np.clip(audio.samples[at : at + _BLOCK], -1, 1) * 32767).astype("<i2").tobytes())
    return file


def _wav_response(file: IO[bytes]) -> StreamingResponse:
    size = file.seek(0, SEEK_END)
    return StreamingResponse(_blocks(file), media_type="audio/wav", headers={"Content-Length": str(size)})


def _blocks(file: IO[bytes]) -> Iterator[bytes]:
    with file:
        file.seek(0)
        while block := file.read(_BLOCK):
            yield block
