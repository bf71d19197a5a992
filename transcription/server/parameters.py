"""TranscriptionRequest: the form fields of OpenAI's audio routes, and the InferenceConfig that they mean."""

import json
import re
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from typing import Annotated, Any, ClassVar, Literal, Self

from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, Field, ValidationError

from transcription.config import FALLBACK_TEMPERATURES, InferenceConfig, SpokenText, Task, describe, split_list
from transcription.errors import InvalidRequest
from transcription.formats import FORMATS, SUBTITLE_PARAMETERS, Format, FormatField, format_names, formats_of
from transcription.server.api_errors import ApiError

Granularity = Literal["word", "segment"]

UNSUPPORTED = {
    "task": "the route decides: /v1/audio/transcriptions or /v1/audio/translations",
    "timestamps": "send timestamp_granularities",
    "logprobs": "send include",
    "sampling_rate": "the file has its own",
    "known_speakers": "send known_speaker_names and known_speaker_references",
    "align": "send text to /v1/audio/alignments",
}
"""Parameters that the audio routes refuse, and why."""
UNSUPPORTED_IN_ALIGNMENTS = UNSUPPORTED | {
    "task": "the text is in the language of the recording",
    "align": "send text",
    "stream": "the text is known",
    "include": "the text is known",
    "multichannel": "the text does not say who speaks",
}
"""Parameters that /v1/audio/alignments refuses, and why."""
MAX_REFERENCES = 4  # OpenAI's limit
_KEY = re.compile(r"(\w+)\[(\w*)\]")  # name[], name[0] or name[key]


def _offered(name: str) -> str:
    if name not in formats_of("openai"):
        raise ValueError(f"must be {format_names('openai')}")
    return name


def _flat(value: object) -> object:
    """Return a list of strings. Clients send a list, "word,segment", JSON, or one of these in a list."""
    if not isinstance(value, list):
        return split_list(value)
    parts = [split_list(item) for item in value]
    return [one for part in parts for one in (part if isinstance(part, list) else [part])]


def _as_list(value: object) -> object:
    """Return a list of a form's values. Names and data URIs may contain commas. Raises ValueError for too many."""
    values = [value] if isinstance(value, str) else value
    if isinstance(value, str) and value.lstrip().startswith("["):
        with suppress(ValueError, RecursionError):
            values = json.loads(value)
    if isinstance(values, list) and len(values) > MAX_REFERENCES:
        raise ValueError(f"send at most {MAX_REFERENCES}, not {len(values)}")
    return values


References = Annotated[tuple[str, ...], BeforeValidator(_as_list), Field(max_length=MAX_REFERENCES)]


def _parse_object(value: object) -> object:
    """Parse an object that a form sends as JSON text."""
    if isinstance(value, str) and value.lstrip().startswith("{"):
        try:
            return json.loads(value)
        except (ValueError, RecursionError):
            return value
    return value


def _with_format(parameters: Mapping[str, Any]) -> dict[str, Any]:
    """Return the parameters, with verbose_json if times are requested and no format.

    Early versions of Vercel's AI SDK send timestamp_granularities alone, and read segments and language.
    """
    others = parameters.keys() & {"stream", "include"}  # they need another format
    needs_times = "timestamp_granularities" in parameters and not others
    return ({"response_format": "verbose_json"} if needs_times else {}) | dict(parameters)


class ServerVad(BaseModel):
    """OpenAI's voice activity detection, with its defaults: long pauses are left out."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    type: Literal["server_vad"]
    threshold: float = Field(0.5, ge=0, le=1)
    silence_duration_ms: int = Field(200, ge=100, le=60_000)
    prefix_padding_ms: int = Field(300, ge=0, le=10_000)


class TranscriptionRequest(BaseModel):
    """The parameters of one request to an audio route.

    OpenAI's own parameters are fields. Those of InferenceConfig are extra fields, which `to_config` validates.
    """

    model_config = ConfigDict(extra="allow", frozen=True)
    unsupported: ClassVar[Mapping[str, str]] = UNSUPPORTED

    model: str = Field("", max_length=200, description="Any name: the service has one model.")
    response_format: Annotated[str, AfterValidator(_offered)] = Field(
        "json", description="Format of the transcript.", json_schema_extra={"enum": list(formats_of("openai"))}
    )
    timestamp_granularities: Annotated[tuple[Granularity, ...], BeforeValidator(_flat)] = Field(
        (), description=f"word or segment. word needs {format_names('openai', 'shows_words')}."
    )
    include: Annotated[tuple[Literal["logprobs"], ...], BeforeValidator(_flat)] = Field(
        (), description=f"logprobs: log-probability of each token; needs {format_names('openai', 'shows_logprobs')}."
    )
    chunking_strategy: Annotated[Literal["auto"] | ServerVad | None, BeforeValidator(_parse_object)] = Field(
        None, description="auto: split the audio at pauses; server_vad: also leave out long pauses."
    )
    stream: bool = Field(
        False, description=f"Send the text while it is decoded; needs {format_names('openai', 'streams')}."
    )

    known_speaker_names: References = Field((), description="Names of up to 4 people who may talk in the recording.")
    known_speaker_references: References = Field(
        (),
        description="A sample of each of these people, in the same order: a data URI of 2 to 30 seconds in which nobody"
        " else talks.",
    )

    @classmethod
    def from_parameters(cls, parameters: Mapping[str, Any]) -> Self:
        """Return the request with these parameters.

        Raises ApiError if a parameter is unknown or unsupported, InvalidRequest if a value is wrong.
        """
        for name in parameters:
            if name in cls.unsupported:
                message = f"{name} has no effect here ({cls.unsupported[name]}): leave it out"
                raise ApiError(400, "unsupported_parameter", message, name)
            if name not in cls.model_fields and name not in InferenceConfig.model_fields:
                raise ApiError(400, "unknown_parameter", f"unknown parameter {name[:40]!r}: leave it out", name[:40])
        try:
            return cls.model_validate(_with_format(parameters))
        except ValidationError as error:
            place = error.errors()[0]["loc"]
            raise InvalidRequest(describe(error), str(place[0]) if place else None) from None

    @property
    def format(self) -> Format:
        """The row of FORMATS."""
        return FORMATS[self.response_format]

    @property
    def speakers_param(self) -> str:
        """The parameter that asks for speakers."""
        return "diarize" if "diarize" in (self.model_extra or {}) else "response_format"

    def to_config(self, task: Task) -> InferenceConfig:
        """Return the parameters of the transcription. Raises InvalidRequest if they contradict each other."""
        with as_openai_names():
            return self._to_config(task)

    def _to_config(self, task: Task) -> InferenceConfig:
        if problem := self._wrong_speakers():
            raise InvalidRequest(problem, "known_speaker_names")
        config = self._config()
        if problem := self._contradiction(config):
            raise InvalidRequest(problem)
        has_word_times = self.format.needs_words or "word" in self.granularities
        changes: dict[str, Any] = {
            "task": task,
            "timestamps": "word" if has_word_times else "segment",
            "logprobs": "logprobs" in self.include,
        }
        if not self.format.shows_speakers and not config.multichannel:
            changes["diarize"] = False
        if config.temperature == (0.0,):  # OpenAI: 0 raises the temperature until the thresholds are met
            changes["temperature"] = FALLBACK_TEMPERATURES
        if isinstance(self.chunking_strategy, ServerVad):
            changes |= {
                "vad_filter": True,
                "vad_threshold": self.chunking_strategy.threshold,
                "vad_silence_ms": self.chunking_strategy.silence_duration_ms,
                "vad_padding_ms": self.chunking_strategy.prefix_padding_ms,
            }
        return self.format.with_needs(config.model_copy(update=changes))

    @property
    def granularities(self) -> tuple[Granularity, ...]:
        """The times in verbose_json: of words, of segments, or both."""
        return self.timestamp_granularities or ("segment",)

    def _config(self, **known: Any) -> InferenceConfig:
        speakers = dict(zip(self.known_speaker_names, self.known_speaker_references, strict=True))
        return InferenceConfig.from_request({"known_speakers": speakers or None, **(self.model_extra or {}), **known})

    def _wrong_speakers(self) -> str | None:
        """Return a message about known speakers that do not fit together, None if they do."""
        names, references = self.known_speaker_names, self.known_speaker_references
        if len(names) != len(references):
            return (
                f"known_speaker_names has {len(names)} names and known_speaker_references {len(references)} samples:"
                " send one sample for each name"
            )
        if len(set(names)) < len(names):
            return "known_speaker_names has a name twice: give each person another name"
        return None

    def _contradiction(self, config: InferenceConfig) -> str | None:
        """Return a message about parameters that contradict each other, None if there are none."""
        needs: list[tuple[bool, str, FormatField]] = [
            ("word" in self.timestamp_granularities, "timestamp_granularities word needs", "shows_words"),
            (bool(self.include), "include logprobs needs", "shows_logprobs"),
            (self.stream, "stream needs", "streams"),
            (
                bool(config.diarize or config.speaker_hints or config.turns is not None),
                "speakers need",
                "shows_speakers",
            ),
            (bool(config.known_speakers), "known speakers need", "shows_speakers"),
            (config.voiceprints, "voiceprints need", "shows_voices"),
            *((True, f"{name} needs", "is_subtitle") for name in sorted(SUBTITLE_PARAMETERS & config.model_fields_set)),
        ]
        for is_requested, subject, field in needs:
            if is_requested and not getattr(self.format, field):
                return f"{subject} response_format {format_names('openai', field)}"
        if self.format.needs_speakers and config.diarize is False:
            return f"response_format {self.response_format} needs speakers: leave diarize out"
        if config.vad_filter and self.chunking_strategy:
            return "chunking_strategy cannot be combined with vad_filter: leave one out"
        return None


class AlignmentRequest(TranscriptionRequest):
    """The parameters of a request to /v1/audio/alignments: those of a transcription, and the text."""

    unsupported: ClassVar[Mapping[str, str]] = UNSUPPORTED_IN_ALIGNMENTS

    text: SpokenText = Field("", validate_default=True, description="The text that is spoken in the recording.")
    response_format: Annotated[str, AfterValidator(_offered)] = Field(
        "verbose_json", description="Format of the answer.", json_schema_extra={"enum": list(formats_of("openai"))}
    )

    @property
    def granularities(self) -> tuple[Granularity, ...]:
        """The times in verbose_json: of words, of segments, or both."""
        return self.timestamp_granularities or ("word", "segment")

    def _config(self, **known: Any) -> InferenceConfig:
        return super()._config(align=self.text, **known)


@contextmanager
def as_openai_names() -> Iterator[None]:
    """Replace our name of a parameter in an error by OpenAI's. Raises InvalidRequest."""
    try:
        yield
    except InvalidRequest as error:
        if error.param != "known_speakers":
            raise
        name = "known_speaker_references"
        raise InvalidRequest(str(error).replace("known_speakers", name), name) from None


def form_parameters(fields: Mapping[str, Sequence[str]]) -> dict[str, Any]:
    """Return the parameters in the fields of a form.

    `name[]`, `name[0]` and repeated names are lists, `name[key]` are objects, empty values are left out.
    Raises InvalidRequest if a parameter is both an object and something else.
    """
    parameters: dict[str, Any] = {}
    for field, values in fields.items():
        filled = [value for value in values if value.strip()]
        if not filled:
            continue
        key = _KEY.fullmatch(field)
        name = key[1] if key else field
        value: Any = filled
        if key is None and len(filled) == 1:
            value = filled[0]
        elif key and key[2] and not key[2].isdecimal():
            value = {key[2]: filled[0]}
        parameters[name] = _merged(name, parameters.get(name), value)
    return parameters


def _merged(name: str, first: Any, second: Any) -> Any:
    """Return the value of a parameter that came in two spellings of its name."""
    if first is None:
        return second
    if isinstance(first, dict) and isinstance(second, dict):
        return first | second
    if isinstance(first, dict) or isinstance(second, dict):
        raise InvalidRequest(f"{name} is given twice", name)
    return [value for part in (first, second) for value in (part if isinstance(part, list) else [part])]
