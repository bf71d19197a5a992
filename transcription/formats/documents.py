"""The formats that are JSON documents: the endpoint's chunks, and OpenAI's json, verbose_json and diarized_json."""

from dataclasses import replace
from typing import Any, cast

from transcription.formats.answers import (
    Chunk,
    ChunksDocument,
    CoverageEntry,
    DiarizedDocument,
    JsonDocument,
    LogprobEntry,
    SpeakerConfidence,
    VerboseDocument,
    VerboseSegment,
    VerboseWord,
)
from transcription.formats.voices import speaker_letters, to_voices
from transcription.transcript import Segment, TokenLogprob, Transcript, Word


def to_chunks(transcript: Transcript) -> ChunksDocument:
    """Return the answer of the endpoint: text, chunks and speakers."""
    document: ChunksDocument = {
        "text": transcript.text,
        "chunks": [
            _chunk(part, segment, transcript)
            for segment in transcript.segments
            for part in (segment.words if transcript.words else (segment,))
        ],
        "speakers": [
            {"speaker": segment.speaker, "text": segment.text, "timestamp": _timestamp(segment)}
            for segment in merge_by_speaker(transcript)
        ],
        "language": transcript.language,
        "duration": _rounded(transcript.duration),
    }
    if transcript.turns is not None:
        document["num_speakers"] = len(transcript.speakers)
    if transcript.partial:
        document["partial"] = True
    if transcript.warnings:
        document["warnings"] = list(transcript.warnings)
    if transcript.coverage:
        document["coverage"] = _coverage(transcript)
    return cast("ChunksDocument", document | to_voices(transcript))


def _coverage(transcript: Transcript) -> list[CoverageEntry]:
    """Return the coverage, without intervals that are empty when rounded."""
    entries: list[CoverageEntry] = [
        {"start": _rounded(part.start), "end": _rounded(part.end), "kind": part.kind} for part in transcript.coverage
    ]
    return [entry for entry in entries if entry["start"] < entry["end"]]


def _chunk(part: Word | Segment, segment: Segment, transcript: Transcript) -> Chunk:
    text = part.word if isinstance(part, Word) else part.text
    chunk: Chunk = {"text": text, "timestamp": [*_timestamp(part)]}
    if isinstance(part, Word) and not part.said:
        chunk |= {"timestamp": [None, None], "said": False}
    if len(transcript.languages) > 1:
        chunk["language"] = segment.language
    if transcript.turns is None:
        return chunk
    if isinstance(part, Word):
        return cast("Chunk", chunk | _speaker_of(part))
    chunk["speaker"] = part.speaker
    return chunk


def _speaker_of(word: Word) -> SpeakerConfidence:
    result: SpeakerConfidence = {
        "speaker": word.speaker,
        "confidence": None if word.confidence is None else _rounded(word.confidence),
    }
    if word.second_speaker:
        result["second_speaker"] = word.second_speaker
    if word.overlap:
        result["overlap"] = True
    return result


def _timestamp(part: Word | Segment) -> list[float]:
    return [_rounded(part.start), _rounded(part.end)]


def _rounded(value: float) -> float:
    return round(value, 3)


def merge_by_speaker(transcript: Transcript) -> list[Segment]:
    """Return the segments, consecutive ones of one speaker merged; none if speakers are unknown."""
    if transcript.turns is None:
        return []
    merged: list[Segment] = []
    for segment in transcript.segments:
        if merged and merged[-1].speaker == segment.speaker:
            last = merged[-1]
            merged[-1] = replace(last, text=last.text + segment.text, end=max(last.end, segment.end))
        else:
            merged.append(Segment(segment.text, segment.start, segment.end, speaker=segment.speaker))
    return merged


def to_json(transcript: Transcript) -> JsonDocument:
    """Return OpenAI's json, with log-probabilities if the transcript has them."""
    tokens = [token for segment in transcript.segments for token in segment.logprobs]
    if not tokens:
        return {"text": transcript.text}
    return {"text": transcript.text, "logprobs": [to_logprob(token) for token in tokens]}


def to_logprob(token: TokenLogprob) -> LogprobEntry:
    """Return an entry of OpenAI's logprobs."""
    return {"token": token.token, "bytes": list(token.data), "logprob": token.logprob}


def to_verbose_json(transcript: Transcript) -> VerboseDocument:
    """Return OpenAI's verbose_json, with words and speakers if the transcript has them."""
    has_speakers = transcript.turns is not None
    document: VerboseDocument = {
        "task": transcript.task,
        "language": transcript.language,
        "duration": _rounded(transcript.duration),
        "text": transcript.text,
        "segments": [_segment(number, segment, has_speakers) for number, segment in enumerate(transcript.segments)],
    }
    if transcript.words:
        document["words"] = [_word(word, has_speakers) for word in transcript.words]
    if transcript.coverage:
        document["coverage"] = _coverage(transcript)
    return cast("VerboseDocument", document | to_voices(transcript))


def _segment(number: int, segment: Segment, has_speakers: bool) -> VerboseSegment:
    entry: VerboseSegment = {
        "id": number,
        "seek": round(segment.start * 100),  # Whisper's feature frames, 10 ms
        "start": _rounded(segment.start),
        "end": _rounded(segment.end),
        "text": segment.text,
        "tokens": list(segment.tokens),
        "temperature": segment.temperature,
        # Clients with a strict schema, e.g. Vercel's AI SDK, refuse null.
        "avg_logprob": segment.avg_logprob or 0.0,
        "compression_ratio": segment.compression_ratio or 0.0,
        "no_speech_prob": segment.no_speech_prob or 0.0,
    }
    if segment.language is not None:
        entry["language"] = segment.language
    if has_speakers:
        entry["speaker"] = segment.speaker
    return entry


def _word(word: Word, has_speakers: bool) -> VerboseWord:
    entry: dict[str, Any] = {
        "word": word.word.strip(),
        "start": _rounded(word.start),
        "end": _rounded(word.end),
        "probability": word.probability,
    }
    if not word.said:
        entry |= {"start": None, "end": None, "said": False}
    return cast("VerboseWord", entry | _speaker_of(word) if has_speakers else entry)


def to_diarized_json(transcript: Transcript) -> DiarizedDocument:
    """Return OpenAI's diarized_json. Strangers are A, B, … in order of appearance, or "unknown"."""
    segments = list(transcript.segments) if transcript.turns is None else merge_by_speaker(transcript)
    names = speaker_letters(transcript)
    document: DiarizedDocument = {
        "task": transcript.task,
        "duration": _rounded(transcript.duration),
        "text": transcript.text,
        "segments": [
            {
                "type": "transcript.text.segment",
                "id": f"seg_{number:03}",
                "start": _rounded(segment.start),
                "end": _rounded(segment.end),
                "text": segment.text,
                "speaker": names.get(segment.speaker or "", "unknown"),
            }
            for number, segment in enumerate(segments)
        ],
    }
    return cast("DiarizedDocument", document | to_voices(transcript, names))
