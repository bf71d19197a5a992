"""RealtimeSettings: the session object of OpenAI's realtime transcription, and what it means here."""

from collections.abc import Mapping
from typing import Any, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from transcription.audio.streams import G711_RATE, StreamDecoder
from transcription.config import InferenceConfig, describe
from transcription.errors import InvalidRequest
from transcription.live.parameters import WITHOUT_EFFECT
from transcription.live.turns import TurnSettings

_MANUAL_THRESHOLD = 0.3  # without turn detection, quiet speech counts too


class _Strict(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class _Pcm(_Strict):
    type: Literal["audio/pcm"]
    rate: Literal[16000, 24000] = 24000


class _G711(_Strict):
    type: Literal["audio/pcmu", "audio/pcma"]


class _Transcription(BaseModel):
    """Parameters of InferenceConfig are extra fields."""

    model_config = ConfigDict(extra="allow", frozen=True)

    model: str | None = Field(None, max_length=200)
    delay: Literal["minimal", "low", "medium", "high", "xhigh"] | None = None


class _ServerVad(_Strict):
    type: Literal["server_vad"]
    threshold: float = Field(0.5, ge=0, le=1)
    prefix_padding_ms: int = Field(300, ge=0, le=5000)
    silence_duration_ms: int = Field(500, ge=100, le=10_000)
    create_response: bool | None = None
    interrupt_response: bool | None = None
    idle_timeout_ms: int | None = None


class _NoiseReduction(_Strict):
    type: Literal["near_field", "far_field"] | None = None
    strength: float | None = None


class _Input(_Strict):
    format: _Pcm | _G711 = Field(_Pcm(type="audio/pcm"), discriminator="type")
    noise_reduction: _NoiseReduction | None = None
    transcription: _Transcription = _Transcription()
    turn_detection: _ServerVad | None = _ServerVad(type="server_vad")


class _Audio(_Strict):
    input: _Input = _Input()


class RealtimeSettings(_Strict):
    """The settings of one session. Times are milliseconds, as in the protocol."""

    type: Literal["transcription"] = "transcription"
    audio: _Audio = _Audio()
    include: tuple[Literal["item.input_audio_transcription.logprobs"], ...] | None = None

    def updated(self, changes: object) -> Self:
        """Return the settings with the fields that an update has. Raises InvalidRequest."""
        if not isinstance(changes, Mapping):
            raise InvalidRequest("session must be an object", "session")
        if changes.get("type", "transcription") != "transcription":
            raise InvalidRequest("session.type must be transcription: there are no conversations here", "session.type")
        merged = _merged(self.model_dump(), changes)
        try:
            found = type(self).model_validate(merged)
        except ValidationError as error:
            place = ".".join(str(part) for part in error.errors()[0]["loc"])
            raise InvalidRequest(describe(error), f"session.{place}"[:100]) from None
        found.config()
        return found

    def config(self) -> InferenceConfig:
        """Return the parameters of the transcription. Raises InvalidRequest."""
        extra = {name: value for name, value in (self.audio.input.transcription.model_extra or {}).items()
                 if value is not None}  # fmt: skip
        for name in extra:
            if name not in InferenceConfig.model_fields or name in WITHOUT_EFFECT:
                param = f"session.audio.input.transcription.{name[:40]}"
                raise InvalidRequest(f"{name[:40]!r} has no effect in a live session: leave it out", param)
        return InferenceConfig.from_request({**extra, "timestamps": "word", "logprobs": bool(self.include)})

    def turns(self) -> TurnSettings:
        """Return when turns begin and end."""
        vad = self.audio.input.turn_detection
        if vad is None:
            return TurnSettings(_MANUAL_THRESHOLD, silence=None)
        return TurnSettings(vad.threshold, vad.prefix_padding_ms / 1000, vad.silence_duration_ms / 1000)

    def decoder(self) -> StreamDecoder:
        """Return a decoder of the audio that the client sends."""
        form = self.audio.input.format
        if isinstance(form, _Pcm):
            return StreamDecoder("pcm", form.rate)
        return StreamDecoder("ulaw" if form.type == "audio/pcmu" else "alaw", G711_RATE)

    def warnings(self) -> list[str]:
        """Return what is accepted and ignored."""
        given, vad = self.audio.input, self.audio.input.turn_detection
        names = ["noise_reduction"] if given.noise_reduction else []
        names += ["transcription.delay"] if given.transcription.delay else []
        names += [
            f"turn_detection.{name}"
            for name in ("create_response", "interrupt_response", "idle_timeout_ms")
            if getattr(vad, name, None) is not None
        ]
        return [f"ignored parameters without effect here: {', '.join(names)}"] if names else []

    def document(self, name: str) -> dict[str, Any]:
        """Return the session object, as the server sends it."""
        warnings = self.warnings()
        return {
            "id": name, "object": "realtime.transcription_session", **self.model_dump(mode="json"),
            **({"warnings": warnings} if warnings else {}),
        }  # fmt: skip


def _merged(old: Mapping[str, Any], new: Mapping[str, Any]) -> dict[str, Any]:
    """Return settings with changes; a format replaces the old one as a whole."""
    merged = dict(old)
    for name, value in new.items():
        before = merged.get(name)
        both = isinstance(before, Mapping) and isinstance(value, Mapping) and name != "format"
        merged[str(name)] = _merged(before, value) if both else value  # type: ignore[arg-type]
    return merged
