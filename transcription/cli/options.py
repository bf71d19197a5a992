"""The command-line options of a request, for all commands that transcribe."""

import argparse
from collections.abc import Callable, Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any, Literal, get_args, get_origin

from pydantic.fields import FieldInfo

from transcription.cli.voices import add_voice_options, known_speakers
from transcription.config import DIARIZATION_MODEL, InferenceConfig, ModelSettings
from transcription.errors import InvalidRequest
from transcription.formats import FORMATS

WITHOUT_OPTION = frozenset({"sampling_rate", "turns", "known_speakers"})
"""Parameters of a request that have no effect on a file, or have options of their own."""
_MORE_HELP = {"align": " @FILE: the text is in a file."}
_METAVARS: dict[Any, str] = {str: "TEXT", int: "N", float: "N"}


def add_request_options(parser: argparse.ArgumentParser) -> None:
    """Add the options that model_settings and inference_config read."""
    models = parser.add_argument_group("models")
    models.add_argument("--model", help="Whisper checkpoint: a Hub name or a directory (default: $ASR_MODEL)")
    models.add_argument(
        "--assistant", metavar="MODEL",
        help="smaller checkpoint with the same vocabulary, for speculative decoding",
    )  # fmt: skip
    models.add_argument(
        "--diarization-model", metavar="MODEL",
        help=f"pyannote pipeline (default: $DIARIZATION_MODEL; with --diarize, {DIARIZATION_MODEL})",
    )  # fmt: skip
    parameters = parser.add_argument_group("parameters of the transcription", "LIST is separated by commas.")
    for name, field in InferenceConfig.model_fields.items():
        if name not in WITHOUT_OPTION:
            parameters.add_argument(f"--{name.replace('_', '-')}", help=_help(name, field), **_kind(field))
    add_voice_options(parameters)


def _help(name: str, field: FieldInfo) -> str:
    """Return the description of a parameter and its default."""
    default = field.default
    if isinstance(default, tuple):
        default = ",".join(map(str, default))
    is_shown = default is not None and default is not False and default != ""
    more = _MORE_HELP.get(name, "")
    return str(field.description).replace("%", "%%") + more + (f" (default: {default})" if is_shown else "")


def _kind(field: FieldInfo) -> dict[str, Any]:
    """Return what argparse needs to know of a parameter. InferenceConfig checks its value."""
    kinds = set(_kinds(field.annotation))
    choices = [kind for kind in kinds if isinstance(kind, str)]
    if choices:
        order = [value for value in _kinds(field.annotation) if value in choices]
        return {"choices": [*order, *(["true", "false"] if bool in kinds else [])]}
    if bool in kinds:
        return {"action": argparse.BooleanOptionalAction, "default": None}
    return {"metavar": next((_METAVARS[kind] for kind in kinds if kind in _METAVARS), "LIST")}


def _kinds(annotation: Any) -> Iterator[Any]:
    """Yield the types and the literal values of an annotation, without None."""
    if get_origin(annotation) in (None, tuple):
        yield get_origin(annotation) or annotation
    elif get_origin(annotation) is Literal:
        yield from get_args(annotation)
    else:
        for part in get_args(annotation):
            yield from _kinds(part)


def format_list(names: Iterable[str]) -> Callable[[str], list[str]]:
    """Return the type of an option that takes formats, e.g. "srt,vtt"."""
    known = list(names)

    def parse(text: str) -> list[str]:
        chosen = [name.strip() for name in text.split(",")]
        if unknown := [name for name in chosen if name not in known]:
            raise argparse.ArgumentTypeError(f"{unknown[0]!r} is no format: choose from {', '.join(known)}")
        return chosen

    return parse


def model_settings(options: argparse.Namespace) -> ModelSettings:
    """Return the settings of the environment, updated with the options.

    Raises InvalidSettings.
    """
    settings = ModelSettings.from_environment(
        asr_model=options.model, assistant_model=options.assistant, diarization_model=options.diarization_model
    )
    if options.diarize is False or options.multichannel:
        return settings.model_copy(update={"diarization_model": None})
    wants_speakers = options.diarize or options.speaker or options.voices or options.voiceprints
    if wants_speakers and settings.diarization_model is None:
        return settings.model_copy(update={"diarization_model": DIARIZATION_MODEL})
    return settings


def inference_config(options: argparse.Namespace) -> InferenceConfig:
    """Return the parameters of a request, from the options. Raises InvalidRequest."""
    parameters = {
        name: value for name in InferenceConfig.model_fields if (value := getattr(options, name, None)) is not None
    }
    if "align" in parameters:
        parameters["align"] = _text(parameters["align"])
    if options.diarization_model is not None and not options.multichannel:
        parameters.setdefault("diarize", True)
    if known := known_speakers(options):
        parameters["known_speakers"] = known
    if options.assistant is not None:
        parameters.setdefault("assisted", True)
    return InferenceConfig.from_request(parameters)


def _text(value: str) -> str:
    """Return a text, or that of the file after an @. Raises InvalidRequest."""
    if not value.startswith("@"):
        return value
    try:
        return Path(value[1:]).read_text(encoding="utf-8-sig")
    except OSError as error:
        raise InvalidRequest(f"align: {value[1:]} cannot be read: {error.strerror}", "align") from None
    except UnicodeDecodeError:
        raise InvalidRequest(f"align: {value[1:]} is not UTF-8 text", "align") from None


def with_needs(config: InferenceConfig, formats: Sequence[str]) -> InferenceConfig:
    """Return the config with what the formats need. formats: names of FORMATS; others need nothing."""
    for name in formats:
        if name in FORMATS:
            config = FORMATS[name].with_needs(config)
    return config
