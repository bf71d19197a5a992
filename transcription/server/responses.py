"""Transcripts as OpenAI's routes answer them."""

from typing import Any

from starlette.responses import JSONResponse, Response

from transcription.formats import FORMATS
from transcription.server.parameters import AudioRequest
from transcription.transcript import Transcript

_POSITIONS = 50  # of the encoder, a second: what the model reads


def answer(transcript: Transcript, asked: AudioRequest) -> Response:
    """The whole answer in the format that was asked for."""
    document = FORMATS[asked.response_format].render(transcript)
    if isinstance(document, str):
        return Response(document, media_type=FORMATS[asked.response_format].media_type)
    if asked.response_format == "verbose_json":
        document["language"] = language_name(transcript.language)
        if "segment" not in (asked.timestamp_granularities or ("segment",)):
            del document["segments"]
    if asked.response_format == "json":
        document |= languages(transcript)
    return JSONResponse(document | {"usage": usage(transcript)} | notes(transcript))


def language_name(code: str | None) -> str | None:
    """A language's English name, as OpenAI's verbose_json has it."""
    from transformers.models.whisper.tokenization_whisper import LANGUAGES  # loaded with the model

    return None if code is None else LANGUAGES.get(code, code)


def languages(transcript: Transcript) -> dict[str, Any]:
    """OpenAI's languages, where one is known."""
    return {"languages": [{"code": transcript.language}]} if transcript.language else {}


def notes(transcript: Transcript) -> dict[str, Any]:
    """What the reader should know besides, where there is anything."""
    return {
        **({"partial": True} if transcript.partial else {}),
        **({"warnings": list(transcript.warnings)} if transcript.warnings else {}),
    }


def usage(transcript: Transcript) -> dict[str, Any]:
    """OpenAI's usage, by duration."""
    return {"type": "duration", "seconds": round(transcript.duration, 3)}


def token_usage(transcript: Transcript) -> dict[str, Any]:
    """OpenAI's usage, by tokens: the encoder's positions in, the decoder's tokens out."""
    heard = round(transcript.duration * _POSITIONS)
    written = sum(len(segment.tokens) for segment in transcript.segments)
    return {
        "type": "tokens",
        "input_tokens": heard,
        "input_token_details": {"audio_tokens": heard, "text_tokens": 0},
        "output_tokens": written,
        "total_tokens": heard + written,
    }
