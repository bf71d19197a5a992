"""The settings of the service (ModelSettings, from the environment) and of one request (InferenceConfig)."""

from transcription.config.fields import (
    DIARIZATION_MODEL,
    FALLBACK_TEMPERATURES,
    MAX_BEAMS,
    MAX_TEXT,
    DType,
    EngineName,
    Language,
    ShortText,
    SpokenText,
    Strings,
    Task,
    Temperatures,
    Timestamps,
    UnicodeText,
    describe,
    split_list,
    variables,
)
from transcription.config.ignored_variables import IgnoredVariables
from transcription.config.inference_config import InferenceConfig
from transcription.config.known_speakers import MAX_KNOWN_SPEAKERS, KnownSpeaker
from transcription.config.model_settings import ModelSettings, with_absolute_paths
from transcription.config.request_parameters import normalize, parse_request

__all__ = [
    "DIARIZATION_MODEL", "FALLBACK_TEMPERATURES", "MAX_BEAMS", "MAX_KNOWN_SPEAKERS", "MAX_TEXT", "DType", "EngineName",
    "IgnoredVariables", "InferenceConfig", "KnownSpeaker", "Language", "ModelSettings", "ShortText", "SpokenText",
    "Strings", "Task", "Temperatures", "Timestamps", "UnicodeText", "describe", "normalize", "parse_request",
    "split_list", "variables", "with_absolute_paths",
]  # fmt: skip
