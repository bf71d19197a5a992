"""FORMATS: the formats of a transcript. One function and one row each."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Literal

from transcription.config import InferenceConfig
from transcription.formats.answers import ChunksDocument, DiarizedDocument, JsonDocument, VerboseDocument
from transcription.formats.documents import merge_by_speaker, to_chunks, to_diarized_json, to_json, to_verbose_json
from transcription.formats.rttm import to_rttm
from transcription.formats.subtitles import to_ass, to_srt, to_vtt
from transcription.formats.text import to_text, to_tsv
from transcription.transcript import Transcript

__all__ = [
    "FORMATS",
    "SUBTITLE_PARAMETERS",
    "Document",
    "Format",
    "FormatField",
    "Interface",
    "format_names",
    "formats_of",
    "merge_by_speaker",
    "to_chunks",
]

Document = Mapping[str, Any] | str
Interface = Literal["endpoint", "openai", "page", "transcribe", "archive"]
"""Inference Endpoints, OpenAI's audio routes, downloads of the page, and two commands."""
FormatField = Literal[
    "shows_speakers",
    "needs_speakers",
    "shows_voices",
    "shows_words",
    "needs_words",
    "shows_logprobs",
    "streams",
    "is_subtitle",
]
SUBTITLE_PARAMETERS = frozenset(
    {
        "max_line_width", "max_line_count", "max_words_per_line", "highlight_words", "min_cue_s", "max_cue_s",
        "max_chars_per_s", "cue_gap_ms",
    }
)  # fmt: skip
"""The parameters of a request that only subtitles follow."""
_DEFAULTS = InferenceConfig()


@dataclass(frozen=True)
class Format:
    """A format: how to write it, what it shows, and the interfaces that offer it.

    write: a function of the transcript; that of a subtitle also takes the parameters of the request.
    document: type of the result of `write`, a TypedDict or str.
    needs_words: its times are those of words. streams: OpenAI's routes can stream it.
    shows_voices: it has the scores of known speakers, and voiceprints.
    is_subtitle: it follows SUBTITLE_PARAMETERS.
    """

    write: Callable[..., Document]
    interfaces: frozenset[Interface]
    document: Any = str
    media_type: str = "application/json"
    extension: str = "json"
    shows_speakers: bool = False
    needs_speakers: bool = False
    shows_voices: bool = False
    shows_words: bool = False
    needs_words: bool = False
    shows_logprobs: bool = False
    streams: bool = False
    is_subtitle: bool = False

    def render(self, transcript: Transcript, config: InferenceConfig = _DEFAULTS) -> Document:
        """Return a transcript in this format, with the parameters of the request."""
        return self.write(transcript, config) if self.is_subtitle else self.write(transcript)

    def with_needs(self, config: InferenceConfig) -> InferenceConfig:
        """Return the config with the speakers and the word times that this format needs.

        What the request says about `diarize` and `timestamps` stays.
        """
        changes: dict[str, Any] = {}
        if self.needs_speakers and config.diarize is None and not config.multichannel:
            changes["diarize"] = True
        if self.needs_words and config.timestamps is None:
            changes["timestamps"] = "word"
        return config.model_copy(update=changes) if changes else config


def formats_of(interface: Interface) -> dict[str, Format]:
    """Return the rows of FORMATS that an interface offers."""
    return {name: row for name, row in FORMATS.items() if interface in row.interfaces}


def format_names(interface: Interface, field: FormatField | None = None) -> str:
    """Return the names of an interface's formats, or of those where a field is true, as text: "json, text or srt"."""
    rows = formats_of(interface).items()
    *names, last = [name for name, row in rows if field is None or getattr(row, field)]
    return f"{', '.join(names)} or {last}" if names else last


_COMMON: frozenset[Interface] = frozenset({"endpoint", "transcribe"})
_OPENAI: frozenset[Interface] = _COMMON | {"openai"}
_FILES: frozenset[Interface] = _COMMON | {"archive"}
_ALL: frozenset[Interface] = _OPENAI | _FILES | {"page"}

FORMATS: dict[str, Format] = {
    "chunks": Format(to_chunks, _COMMON, ChunksDocument, shows_speakers=True, shows_voices=True, shows_words=True),
    "json": Format(to_json, _OPENAI, JsonDocument, shows_logprobs=True, streams=True),
    "text": Format(to_text, _ALL, media_type="text/plain; charset=utf-8", extension="txt", streams=True),
    "srt": Format(
        to_srt, _ALL, media_type="application/x-subrip; charset=utf-8", extension="srt",
        shows_speakers=True, needs_words=True, is_subtitle=True,
    ),
    "vtt": Format(
        to_vtt, _ALL, media_type="text/vtt; charset=utf-8", extension="vtt",
        shows_speakers=True, needs_words=True, is_subtitle=True,
    ),
    "ass": Format(
        to_ass, _ALL, media_type="text/x-ssa; charset=utf-8", extension="ass",
        shows_speakers=True, needs_words=True, is_subtitle=True,
    ),
    "verbose_json": Format(
        to_verbose_json, _OPENAI | {"page"}, VerboseDocument, shows_speakers=True, shows_voices=True, shows_words=True
    ),
    "diarized_json": Format(
        to_diarized_json, _OPENAI, DiarizedDocument, shows_speakers=True, needs_speakers=True, shows_voices=True,
        streams=True,
    ),
    "tsv": Format(to_tsv, _FILES, media_type="text/tab-separated-values; charset=utf-8", extension="tsv"),
    "rttm": Format(
        to_rttm, _FILES | {"page"}, media_type="text/plain; charset=utf-8", extension="rttm",
        shows_speakers=True, needs_speakers=True,
    ),
}  # fmt: skip
