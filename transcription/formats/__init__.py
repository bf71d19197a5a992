"""FORMATS: the formats of a transcript. One function and one row each."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Literal

from transcription.config import InferenceConfig
from transcription.formats.answers import ChunksDocument, DiarizedDocument, JsonDocument, VerboseDocument
from transcription.formats.documents import merge_by_speaker, to_chunks, to_diarized_json, to_json, to_verbose_json
from transcription.formats.rttm import to_rttm
from transcription.formats.subtitles import to_srt, to_vtt
from transcription.formats.text import to_text, to_tsv
from transcription.transcript import Transcript

__all__ = [
    "FORMATS",
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
FormatField = Literal["shows_speakers", "needs_speakers", "shows_words", "needs_words", "shows_logprobs", "streams"]


@dataclass(frozen=True)
class Format:
    """A format: how to write it, what it shows, and the interfaces that offer it.

    document: type of the result of `render`, a TypedDict or str.
    needs_words: its times are those of words. streams: OpenAI's routes can stream it.
    """

    render: Callable[[Transcript], Document]
    interfaces: frozenset[Interface]
    document: Any = str
    media_type: str = "application/json"
    extension: str = "json"
    shows_speakers: bool = False
    needs_speakers: bool = False
    shows_words: bool = False
    needs_words: bool = False
    shows_logprobs: bool = False
    streams: bool = False

    def with_speakers(self, config: InferenceConfig) -> InferenceConfig:
        """Return the config with `diarize` set if this format needs speakers and the request does not say."""
        if not self.needs_speakers or config.diarize is not None or config.multichannel:
            return config
        return config.model_copy(update={"diarize": True})


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
    "chunks": Format(to_chunks, _COMMON, ChunksDocument, shows_speakers=True, shows_words=True),
    "json": Format(to_json, _OPENAI, JsonDocument, shows_logprobs=True, streams=True),
    "text": Format(to_text, _ALL, media_type="text/plain; charset=utf-8", extension="txt", streams=True),
    "srt": Format(
        to_srt, _ALL, media_type="application/x-subrip; charset=utf-8", extension="srt",
        shows_speakers=True, needs_words=True,
    ),
    "vtt": Format(
        to_vtt, _ALL, media_type="text/vtt; charset=utf-8", extension="vtt", shows_speakers=True, needs_words=True
    ),
    "verbose_json": Format(
        to_verbose_json, _OPENAI | {"page"}, VerboseDocument, shows_speakers=True, shows_words=True
    ),
    "diarized_json": Format(
        to_diarized_json, _OPENAI, DiarizedDocument, shows_speakers=True, needs_speakers=True, streams=True
    ),
    "tsv": Format(to_tsv, _FILES, media_type="text/tab-separated-values; charset=utf-8", extension="tsv"),
    "rttm": Format(
        to_rttm, _FILES | {"page"}, media_type="text/plain; charset=utf-8", extension="rttm",
        shows_speakers=True, needs_speakers=True,
    ),
}  # fmt: skip
