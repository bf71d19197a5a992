"""OpenAI's audio routes: /v1/audio/transcriptions and /v1/audio/translations."""

from fastapi import APIRouter, Request, Response

from transcription.config import Task
from transcription.context import RequestContext
from transcription.server.bodies import read_form
from transcription.server.parameters import AudioRequest, parameters
from transcription.server.request_log import record_of
from transcription.server.responses import answer
from transcription.server.schemas import TRANSCRIPTS, audio_body
from transcription.server.service import service_of
from transcription.server.streaming import Stream, audio_events

router = APIRouter(tags=["audio"])


@router.post("/v1/audio/transcriptions", responses=TRANSCRIPTS, openapi_extra=audio_body())
async def transcriptions(request: Request) -> Response:
    """What is said in a recording, in its own language; with who says it where that is asked for."""
    return await _heard(request, "transcribe")


@router.post("/v1/audio/translations", responses=TRANSCRIPTS, openapi_extra=audio_body())
async def translations(request: Request) -> Response:
    """What is said in a recording, in English."""
    return await _heard(request, "translate")


async def _heard(request: Request, task: Task) -> Response:
    service, record = service_of(request), record_of(request)
    form = await service.receive(request, read_form, service.transcriber.settings.max_audio_bytes)
    try:
        file, asked = form.file(), AudioRequest.read(parameters(form.fields), task)
        service.transcriber.check(asked)
        stream = Stream() if asked.stream else None
        context = stream.context if stream else RequestContext()
        work = service.begin(request, lambda: service.transcribe(file, asked, context, record), context)
    except BaseException:
        form.close()
        raise
    work.add_done_callback(lambda _: form.close())
    if stream:
        return await stream.response(request, work, audio_events(asked))
    return answer(await service.finished(request, work), asked)
