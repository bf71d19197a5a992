"""OpenAI's chat completions, for clients that send audio as a part of a message."""

import asyncio
from dataclasses import dataclass
from typing import IO

from fastapi import APIRouter, Request, Response
from fastapi.responses import JSONResponse

from transcription.context import RequestContext
from transcription.errors import InvalidAudio
from transcription.server.bodies import max_json_bytes, read_body, to_file
from transcription.server.chat import ChatCompletion, ChatRequest, Completion
from transcription.server.jobs import Job, run
from transcription.server.request_log import record_of
from transcription.server.schemas import ERRORS, EVENT_STREAM, Responses, chat_body
from transcription.server.service import service_of
from transcription.server.streaming import EventStream
from transcription.transcript import Transcript

router = APIRouter(tags=["chat"])
_RESPONSES: Responses = {
    200: {"model": ChatCompletion, "content": EVENT_STREAM},
    **{status: error for status, error in ERRORS.items() if status != 415},
}


@dataclass
class _Body:
    """A request and its audio, None until it is downloaded."""

    chat: ChatRequest
    audio: IO[bytes] | None

    def close(self) -> None:
        if self.audio is not None:
            self.audio.close()


@router.post("/v1/chat/completions", responses=_RESPONSES, openapi_extra=chat_body())
async def completions(request: Request) -> Response:
    """Transcribe the only input_audio or audio_url part of the messages. Whisper follows no instructions."""
    service, record = service_of(request), record_of(request)
    max_audio_bytes = service.max_audio_bytes

    async def prepare(body: _Body) -> Job[Transcript]:
        chat = body.chat
        if body.audio is None:
            body.audio = await service.fetch(request, chat.audio, max_audio_bytes)
        audio, completion = body.audio, Completion(service.model, chat)

        def work(context: RequestContext) -> Transcript:
            try:
                return service.transcribe(audio, chat.config, context, record, warnings=chat.warnings)
            except InvalidAudio as error:
                error.param = "messages"  # there is no field "file" here
                raise

        return Job(
            work=work,
            answer=EventStream(request, completion)
            if chat.stream
            else lambda transcript: JSONResponse(completion.whole(transcript)),
        )

    return await run(request, _receive, max_audio_bytes, prepare)


async def _receive(request: Request, max_audio_bytes: int) -> _Body:
    """Receive a request. Its audio becomes a file, because requests that wait should not fill the memory."""
    with await read_body(request, max_json_bytes(max_audio_bytes)) as file:
        chat, audio = await asyncio.to_thread(_parse, file, max_audio_bytes)
    service_of(request).transcriber.check(chat.config)
    return _Body(chat, None if audio is None else await to_file(audio))


def _parse(file: IO[bytes], max_audio_bytes: int) -> tuple[ChatRequest, bytes | None]:
    chat = ChatRequest.from_body(file)
    if chat.is_url:
        return chat, None
    return chat, chat.audio_bytes(max_audio_bytes)
