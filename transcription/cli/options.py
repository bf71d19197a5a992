"""The options of a request on the command line, for every command that transcribes."""

import argparse

from transcription.config import DIARIZATION_MODEL, InferenceConfig, ModelSettings
from transcription.formats import FORMATS


def add_request_options(command: argparse.ArgumentParser) -> None:
    """Which models, and what of them: what settings_of and config_of read."""
    command.add_argument("--model", help="Whisper checkpoint: Hub name or directory (default: $ASR_MODEL)")
    command.add_argument("--assistant", help="smaller checkpoint that drafts (speculative decoding, same text)")
    command.add_argument("--language", help="en, de, … (default: detected)")
    command.add_argument(
        "--task", choices=("transcribe", "translate"), default="transcribe", help="translate: to English"
    )
    command.add_argument("--timestamps", choices=("none", "segment", "word"), default="segment")
    command.add_argument("--prompt", help="text that came before, or how names are spelt")
    speakers = command.add_argument_group("speakers")
    speakers.add_argument(
        "--diarize", action=argparse.BooleanOptionalAction, default=None,
        help="tell speakers apart (default: where a diarization model is named)",
    )  # fmt: skip
    speakers.add_argument(
        "--diarization-model", metavar="MODEL", help=f"default: $DIARIZATION_MODEL, or {DIARIZATION_MODEL}"
    )
    speakers.add_argument("--num-speakers", type=int, metavar="N", help="how many people speak, if known")
    speakers.add_argument("--min-speakers", type=int, metavar="N")
    speakers.add_argument("--max-speakers", type=int, metavar="N")
    speakers.add_argument("--multichannel", action="store_true", help="each channel is one speaker (calls)")


def settings_of(options: argparse.Namespace) -> ModelSettings:
    """The environment's settings with the command line's on top. Raises InvalidSettings."""
    settings = ModelSettings.from_environment(
        asr_model=options.model, assistant_model=options.assistant, diarization_model=options.diarization_model
    )
    if options.diarize is False or options.multichannel:
        return settings.model_copy(update={"diarization_model": None})
    if options.diarize and settings.diarization_model is None:
        return settings.model_copy(update={"diarization_model": DIARIZATION_MODEL})
    return settings


def config_of(options: argparse.Namespace, form: str) -> InferenceConfig:
    """What the command line asks for, for an answer in one of FORMATS. Raises InvalidRequest."""
    named = options.diarization_model is not None and not options.multichannel
    config = InferenceConfig.from_request(
        {
            "language": options.language, "task": options.task, "timestamps": options.timestamps,
            "prompt": options.prompt, "assisted": options.assistant is not None,
            "diarize": True if named and options.diarize is None else options.diarize,
            "num_speakers": options.num_speakers, "min_speakers": options.min_speakers,
            "max_speakers": options.max_speakers, "multichannel": options.multichannel,
        }
    )  # fmt: skip
    return FORMATS[form].with_speakers(config)
