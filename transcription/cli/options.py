"""The command-line options of a request, for all commands that transcribe."""

import argparse

from transcription.config import DIARIZATION_MODEL, InferenceConfig, ModelSettings
from transcription.formats import FORMATS


def add_request_options(parser: argparse.ArgumentParser) -> None:
    """Add the options that model_settings and inference_config read."""
    parser.add_argument("--model", help="Whisper checkpoint: a Hub name or a directory (default: $ASR_MODEL)")
    parser.add_argument(
        "--assistant", metavar="MODEL",
        help="smaller checkpoint with the same vocabulary, for speculative decoding",
    )  # fmt: skip
    parser.add_argument("--language", help="spoken language, e.g. en or german; multi: several (default: detect it)")
    parser.add_argument(
        "--task", choices=("transcribe", "translate"), default="transcribe",
        help="transcribe: write the spoken language; translate: translate to English (default: %(default)s)",
    )  # fmt: skip
    parser.add_argument(
        "--timestamps", choices=("none", "segment", "word"), default="segment",
        help="times in the transcript (default: %(default)s)",
    )  # fmt: skip
    parser.add_argument("--prompt", help="text that comes before the audio, for context and the spelling of names")
    speakers = parser.add_argument_group("speakers")
    speakers.add_argument(
        "--diarize", action=argparse.BooleanOptionalAction, default=None,
        help="assign speakers (default: only if there is a diarization model)",
    )  # fmt: skip
    speakers.add_argument(
        "--diarization-model", metavar="MODEL",
        help=f"pyannote pipeline (default: $DIARIZATION_MODEL; with --diarize, {DIARIZATION_MODEL})",
    )  # fmt: skip
    speakers.add_argument("--num-speakers", type=int, metavar="N", help="exact number of speakers, if it is known")
    speakers.add_argument("--min-speakers", type=int, metavar="N", help="minimum number of speakers")
    speakers.add_argument("--max-speakers", type=int, metavar="N", help="maximum number of speakers")
    speakers.add_argument(
        "--multichannel", action="store_true",
        help="transcribe each channel separately, as one speaker per channel (phone calls)",
    )  # fmt: skip


def model_settings(options: argparse.Namespace) -> ModelSettings:
    """Return the settings of the environment, updated with the options.

    Raises InvalidSettings.
    """
    settings = ModelSettings.from_environment(
        asr_model=options.model, assistant_model=options.assistant, diarization_model=options.diarization_model
    )
    if options.diarize is False or options.multichannel:
        return settings.model_copy(update={"diarization_model": None})
    if options.diarize and settings.diarization_model is None:
        return settings.model_copy(update={"diarization_model": DIARIZATION_MODEL})
    return settings


def inference_config(options: argparse.Namespace, response_format: str) -> InferenceConfig:
    """Return the parameters of a request, from the options.

    response_format: a name of FORMATS.
    Raises InvalidRequest.
    """
    names_model = options.diarization_model is not None and not options.multichannel
    config = InferenceConfig.from_request(
        {
            "language": options.language, "task": options.task, "timestamps": options.timestamps,
            "prompt": options.prompt, "assisted": options.assistant is not None,
            "diarize": True if names_model and options.diarize is None else options.diarize,
            "num_speakers": options.num_speakers, "min_speakers": options.min_speakers,
            "max_speakers": options.max_speakers, "multichannel": options.multichannel,
        }
    )  # fmt: skip
    return FORMATS[response_format].with_speakers(config)
