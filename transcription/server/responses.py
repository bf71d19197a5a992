"""Transcripts as OpenAI's audio routes send them: whole, or as a stream of events."""

from collections.abc import Iterable
from typing import Any, Literal

from starlette.responses import JSONResponse, Response
from typing_extensions import TypedDict

from transcription.config import InferenceConfig
from transcription.formats.answers import LanguageEntry, Notes, Usage
from transcription.formats.documents import to_diarized_json, to_logprob
from transcription.formats.voices import speaker_letters, to_voices
from transcription.server.parameters import TranscriptionRequest
from transcription.server.sse import Delta, ServerSentEvents
from transcription.transcript import TokenLogprob, Transcript
from transcription.whisper.languages import LANGUAGES


class InputTokens(TypedDict):
    """The input tokens by kind."""

    audio_tokens: int
    text_tokens: int


class TokenUsage(TypedDict):
    """OpenAI's usage by tokens."""

    type: Literal["tokens"]
    input_tokens: int
    input_token_details: InputTokens
    output_tokens: int
    total_tokens: int


_ENCODER_POSITIONS = 50  # per second of audio, in Whisper's encoder


def transcription_response(transcript: Transcript, request: TranscriptionRequest, config: InferenceConfig) -> Response:
    """Return the transcript in the requested format."""
    document = request.format.render(transcript, config)
    if isinstance(document, str):
        return Response(document, media_type=request.format.media_type)
    content: dict[str, Any] = {**document}
    if request.response_format == "verbose_json":
        content["language"] = language_name(transcript)
        if "segment" not in request.granularities:
            del content["segments"]
    if request.response_format == "json":
        content |= languages(transcript)
    return JSONResponse(content | {"usage": usage(transcript)} | notes(transcript))


class TranscriptionEvents(ServerSentEvents):
    """OpenAI's events transcript.text.delta, transcript.text.segment (diarized_json) and transcript.text.done."""

    def __init__(self, request: TranscriptionRequest) -> None:
        super().__init__()
        self._request = request

    def delta_event(self, delta: Delta) -> dict[str, Any]:
        """Return transcript.text.delta."""
        return {"type": "transcript.text.delta", "delta": delta.text, **self._logprobs(delta.logprobs)}

    def last_events(self, transcript: Transcript) -> Iterable[dict[str, Any]]:
        """Yield transcript.text.segment for each segment of diarized_json, and transcript.text.done."""
        if self._request.response_format == "diarized_json":
            yield from ({**segment} for segment in to_diarized_json(transcript)["segments"])
        yield {
            "type": "transcript.text.done",
            "text": transcript.text,
            **languages(transcript),
            **self._logprobs(token for segment in transcript.segments for token in segment.logprobs),
            "usage": token_usage(transcript),
            **notes(transcript),
            **(to_voices(transcript, speaker_letters(transcript)) if self._request.format.shows_voices else {}),
        }

    def _logprobs(self, tokens: Iterable[TokenLogprob]) -> dict[str, Any]:
        return {"logprobs": [to_logprob(token) for token in tokens]} if self._request.include else {}


def language_name(transcript: Transcript) -> str:
    """Return the English name of the language of the text, as OpenAI's verbose_json has it."""
    if transcript.task == "translate" or transcript.language is None:  # None: an English-only model
        return "english"
    return LANGUAGES.get(transcript.language, transcript.language)


def languages(transcript: Transcript) -> dict[str, list[LanguageEntry]]:
    """Return OpenAI's languages, the main one first; empty if the language is unknown."""
    entries: list[LanguageEntry] = [{"code": code} for code in transcript.languages]
    return {"languages": entries} if entries else {}


def notes(transcript: Transcript) -> Notes:
    """Return what a reader should know about the transcript, empty if there is nothing."""
    result: Notes = {}
    if transcript.partial:
        result["partial"] = True
    if transcript.warnings:
        result["warnings"] = list(transcript.warnings)
    return result


def usage(transcript: Transcript) -> Usage:
    """Return OpenAI's usage by duration."""
    return {"type": "duration", "seconds": round(transcript.duration, 3)}


def token_usage(transcript: Transcript) -> TokenUsage:
    """Return OpenAI's usage by tokens: positions of the encoder and tokens of the decoder."""
    audio_tokens = round(transcript.duration * _ENCODER_POSITIONS)
    text_tokens = sum(len(segment.tokens) for segment in transcript.segments)
    return {
        "type": "tokens",
        "input_tokens": audio_tokens,
        "input_token_details": {"audio_tokens": audio_tokens, "text_tokens": 0},
        "output_tokens": text_tokens,
        "total_tokens": audio_tokens + text_tokens,
    }
