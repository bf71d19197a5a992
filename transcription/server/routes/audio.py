"""OpenAI's audio routes, /v1/audio/transcriptions and /v1/audio/translations, and /v1/audio/alignments."""

from fastapi import APIRouter, Request, Response

from transcription.config import Task, normalize
from transcription.context import RequestContext
from transcription.server.bodies import Form, read_form
from transcription.server.jobs import Job, run
from transcription.server.parameters import AlignmentRequest, TranscriptionRequest, as_openai_names, form_parameters
from transcription.server.request_log import record_of
from transcription.server.responses import TranscriptionEvents, transcription_response
from transcription.server.schemas import transcription_body, transcription_responses
from transcription.server.service import service_of
from transcription.server.streaming import EventStream
from transcription.transcript import Transcript

router = APIRouter(tags=["audio"])


@router.post("/v1/audio/transcriptions", responses=transcription_responses(), openapi_extra=transcription_body())
async def transcriptions(request: Request) -> Response:
    """Transcribe a recording in its own language, with speakers if requested."""
    return await _transcribe(request, "transcribe")


@router.post("/v1/audio/translations", responses=transcription_responses(), openapi_extra=transcription_body())
async def translations(request: Request) -> Response:
    """Translate a recording to English, with speakers if requested."""
    return await _transcribe(request, "translate")


@router.post(
    "/v1/audio/alignments",
    responses=transcription_responses(streams=False),
    openapi_extra=transcription_body(AlignmentRequest),
)
async def alignments(request: Request) -> Response:
    """Return a given text with the times at which its words are spoken in a recording."""
    return await _transcribe(request, "transcribe", AlignmentRequest)


async def _transcribe(
    request: Request, task: Task, kind: type[TranscriptionRequest] = TranscriptionRequest
) -> Response:
    service, record = service_of(request), record_of(request)

    async def prepare(form: Form) -> Job[Transcript]:
        file = form.file()
        fields, warnings = normalize(form_parameters(form.fields), without_effect=["without_timestamps"])  # speaches
        if request.query_params:
            warnings += ("the query string is ignored: send form fields",)
        parameters = kind.from_parameters(fields)
        config = parameters.to_config(task)
        with as_openai_names():
            service.transcriber.check(config, parameters.speakers_param)

        def work(context: RequestContext) -> Transcript:
            with as_openai_names():
                return service.transcribe(file, config, context, record, warnings=warnings)

        return Job(
            work=work,
            answer=EventStream(request, TranscriptionEvents(parameters))
            if parameters.stream
            else lambda transcript: transcription_response(transcript, parameters, config),
        )

    return await run(request, read_form, service.max_audio_bytes, prepare)
