"""The options of known speakers, and the file of their voiceprints.

The file is JSON: an object of names and voiceprints, which is also a value of the parameter known_speakers.
"""

import argparse
import base64
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from transcription.config import InferenceConfig, KnownSpeaker
from transcription.errors import InvalidRequest
from transcription.transcript import Voiceprint

_MAX_SAMPLE_BYTES = 12 * 1024 * 1024


def add_voice_options(parameters: Any) -> None:
    """Add the options that known_speakers reads."""
    parameters.add_argument(
        "--speaker", action="append", default=[], metavar="NAME=FILE",
        help="a person who may talk, and a sample of 2 to 30 seconds in which nobody else talks; can be repeated",
    )  # fmt: skip
    parameters.add_argument(
        "--voices",
        type=Path,
        metavar="FILE",
        help="voices of people who may talk, as --save-voices of transcribe writes",
    )


def add_save_option(command: argparse.ArgumentParser) -> None:
    """Add the option that `write_voices` serves."""
    command.add_argument(
        "--save-voices", type=Path, metavar="FILE",
        help="write the voices of all speakers into this file; a person in several files has the same name in each",
    )  # fmt: skip


def known_speakers(options: argparse.Namespace) -> dict[str, Any]:
    """Return the known speakers of the options, by name. Raises InvalidRequest."""
    known = read_voices(options.voices) if options.voices is not None else {}
    for option in options.speaker:
        name, separator, file = option.partition("=")
        if not (name.strip() and separator and file):
            raise InvalidRequest(f"--speaker {option} is no name and file: give e.g. --speaker Maria=maria.wav")
        if name.strip() in known:
            raise InvalidRequest(f"--speaker {option}: the name is given twice")
        known[name.strip()] = _sample(option, Path(file))
    return known


def _sample(option: str, path: Path) -> str:
    """Return a sample as base64 text. Raises InvalidRequest if it cannot be read."""
    try:
        with path.open("rb") as file:
            content = file.read(_MAX_SAMPLE_BYTES + 1)
    except OSError as error:
        raise InvalidRequest(f"--speaker {option} cannot be read: {error.strerror}") from None
    if len(content) > _MAX_SAMPLE_BYTES:
        raise InvalidRequest(f"--speaker {option} is too long: give 2 to 30 seconds in which only this person talks")
    return base64.b64encode(content).decode()


def read_voices(path: Path) -> dict[str, Any]:
    """Return the voices in a file, by name. Raises InvalidRequest if it cannot be read or is no such file."""
    try:
        voices = json.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise InvalidRequest(f"--voices {path} cannot be read: {error.strerror}") from None
    except (ValueError, RecursionError):
        voices = None
    if not isinstance(voices, dict):
        raise InvalidRequest(f"--voices {path} is not a file of voices: make one with transcribe --save-voices")
    return voices


def write_voices(path: Path, config: InferenceConfig) -> None:
    """Write the voiceprints among the known speakers of a request. Raises InvalidRequest if that fails."""
    voices = {
        known.name: known.reference.to_document()
        for known in config.known_speakers
        if isinstance(known.reference, Voiceprint)
    }
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(json.dumps(voices, ensure_ascii=False) + "\n", encoding="utf-8")
    except OSError as error:
        raise InvalidRequest(f"--save-voices {path} cannot be written: {error.strerror}") from None


def with_voices(config: InferenceConfig, voiceprints: Mapping[str, Voiceprint]) -> InferenceConfig:
    """Return the request with the voices of a recording as known speakers, for the next recording.

    A sample is replaced by the voiceprint of its speaker. A voiceprint that is already known stays as it is.
    """
    known = {speaker.name: speaker for speaker in config.known_speakers}
    for name, voiceprint in voiceprints.items():
        if name not in known or isinstance(known[name].reference, str):
            known[name] = KnownSpeaker(name=name, reference=voiceprint)
    return config.model_copy(update={"known_speakers": tuple(known.values())})
