"""OpenAI's parameters, honoured or refused: AudioRequest is an InferenceConfig that also says how to answer."""

import json
import re
from collections.abc import Mapping, Sequence
from typing import Annotated, Any, Literal, Self

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, ValidationError, model_validator

from transcription.config import FALLBACK_TEMPERATURES, InferenceConfig, Task, describe, split_list
from transcription.errors import InvalidRequest
from transcription.server.api_errors import ApiError

ResponseFormat = Literal["json", "text", "srt", "verbose_json", "vtt", "diarized_json"]
Granularity = Literal["word", "segment"]

STREAMED = ("json", "text", "diarized_json")
_SPEAKERLESS = ("json", "text")  # formats that cannot show who speaks
# Names of InferenceConfig for what a route or one of OpenAI's parameters says.
SAID_OTHERWISE = {
    "task": "the route says it: /v1/audio/transcriptions or /v1/audio/translations",
    "timestamps": "send timestamp_granularities",
    "logprobs": "send include",
    "sampling_rate": "the file says it",
    "known_speaker_names": "speakers are named A, B, … here",
    "known_speaker_references": "speakers are named A, B, … here",
}
_KEY = re.compile(r"(\w+)\[(\w*)\]")  # name[] or name[key]


def _parsed(value: object) -> object:
    """An object that a form brings as JSON text."""
    if isinstance(value, str) and value.lstrip().startswith("{"):
        try:
            return json.loads(value)
        except (ValueError, RecursionError):
            return value
    return value


class ServerVad(BaseModel):
    """OpenAI's voice activity detection, with its defaults: pauses are left out, what is said is packed."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    type: Literal["server_vad"]
    threshold: float = Field(0.5, gt=0, lt=1)
    silence_duration_ms: int = Field(200, ge=100, le=60_000)
    prefix_padding_ms: int = Field(300, ge=0, le=10_000)


class AudioRequest(InferenceConfig):
    """One request to an audio route; other names than these are refused."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    model: str = Field("", max_length=200, description="any name: the one model that is served answers")
    response_format: ResponseFormat = Field("json", description="how the transcript is written down")
    timestamp_granularities: Annotated[tuple[Granularity, ...], BeforeValidator(split_list)] = Field(
        (), description="word, segment: with verbose_json"
    )
    include: Annotated[tuple[Literal["logprobs"], ...], BeforeValidator(split_list)] = Field(
        (), description="logprobs: with json"
    )
    chunking_strategy: Annotated[Literal["auto"] | ServerVad | None, BeforeValidator(_parsed)] = Field(
        None, description="auto: cut in pauses; server_vad: pauses are left out too"
    )
    stream: bool = Field(False, description="send the text as it is heard: with json, text and diarized_json")

    @model_validator(mode="after")
    def _fitting(self) -> Self:
        wanted = self.response_format
        if "word" in self.timestamp_granularities and wanted != "verbose_json":  # segment is what all have
            raise ValueError("timestamp_granularities word needs response_format verbose_json")
        if self.include and wanted != "json":
            raise ValueError("include logprobs needs response_format json")
        if self.stream and wanted not in STREAMED:
            raise ValueError(f"stream needs response_format {', '.join(STREAMED)}")
        if wanted in _SPEAKERLESS and (self.diarize or self.speaker_hints):
            raise ValueError("speakers are shown by response_format diarized_json, verbose_json, srt and vtt")
        if wanted == "diarized_json" and self.diarize is False:
            raise ValueError("diarize is what response_format diarized_json is for")
        if self.vad_filter and self.chunking_strategy:
            raise ValueError("chunking_strategy and vad_filter say the same: leave one out")
        return self

    @classmethod
    def read(cls, parameters: Mapping[str, Any], task: Task) -> Self:
        """The parameters of a request. Raises InvalidRequest, ApiError."""
        for name in parameters:
            if name in SAID_OTHERWISE:
                message = f"{name} has no effect here ({SAID_OTHERWISE[name]}): leave it out"
                raise ApiError(400, "unsupported_parameter", message, name)
            if name not in cls.model_fields:
                raise ApiError(400, "unknown_parameter", f"unknown parameter {name[:40]!r}: leave it out", name[:40])
        try:
            found = cls.model_validate(dict(parameters))
        except ValidationError as error:
            place = error.errors()[0]["loc"]
            raise InvalidRequest(describe(error), str(place[0]) if place else None) from None
        return found.model_copy(update={"task": task} | found._meaning())

    def _meaning(self) -> dict[str, Any]:
        """What OpenAI's parameters mean for the engine."""
        timed = self.response_format in ("srt", "vtt") or "word" in self.timestamp_granularities
        meant: dict[str, Any] = {
            "timestamps": "word" if timed else "segment",
            "logprobs": "logprobs" in self.include,
            "diarize": False if self.response_format in _SPEAKERLESS and not self.multichannel else self.diarize,
        }
        if self.temperature == (0.0,):  # OpenAI's reference: thresholds then decide whether it is raised
            meant["temperature"] = FALLBACK_TEMPERATURES
        if isinstance(self.chunking_strategy, ServerVad):
            meant |= {
                "vad_filter": True,
                "vad_threshold": self.chunking_strategy.threshold,
                "vad_silence_ms": self.chunking_strategy.silence_duration_ms,
                "vad_padding_ms": self.chunking_strategy.prefix_padding_ms,
            }
        return meant


def parameters(fields: Mapping[str, Sequence[str]]) -> dict[str, Any]:
    """A form's fields: `name[]` and repeated names are lists, `name[key]` are objects; what is empty is absent.

    Raises InvalidRequest.
    """
    found: dict[str, Any] = {}
    for sent, values in fields.items():
        given = [value for value in values if value.strip()]
        if not given:
            continue
        key = _KEY.fullmatch(sent)
        if key is None:
            found[sent] = _together(sent, found.get(sent), given if len(given) > 1 else given[0])
        elif key[2]:
            found[key[1]] = _together(key[1], found.get(key[1]), {key[2]: given[0]})
        else:
            found[key[1]] = _together(key[1], found.get(key[1]), given)
    return found


def _together(name: str, before: Any, now: Any) -> Any:
    """A parameter that came under two spellings of its name."""
    if before is None:
        return now
    if isinstance(before, dict) and isinstance(now, dict):
        return before | now
    if isinstance(before, dict) or isinstance(now, dict):
        raise InvalidRequest(f"{name} is given twice", name)
    return [value for part in (before, now) for value in (part if isinstance(part, list) else [part])]
