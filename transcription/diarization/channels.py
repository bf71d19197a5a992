"""Speakers of a recording with one speaker per channel."""

from collections.abc import Sequence
from dataclasses import replace

from transcription.transcript import SpeakerTurn, Transcript
from transcription.vad.coverage import join_coverage


def by_channel(transcripts: Sequence[Transcript]) -> Transcript:
    """Return one transcript of the channels of a recording, with one speaker per channel.

    SPEAKER_00 is the first channel. Segments are in order of time. The language is that of the longest text. A warning
    names its channel, and a moment is uncertain if it is uncertain in a channel.
    """
    channels = [(f"SPEAKER_{number:02}", channel) for number, channel in enumerate(transcripts)]
    segments = [
        replace(segment, speaker=name, words=tuple(replace(w, speaker=name, confidence=1.0) for w in segment.words))
        for name, transcript in channels
        for segment in transcript.segments
    ]
    segments.sort(key=lambda segment: (segment.start, segment.end))
    turns = tuple(SpeakerTurn(str(s.speaker), s.start, s.end) for s in segments if s.end > s.start)
    longest = max(transcripts, key=lambda transcript: len(transcript.text))
    return replace(
        longest,
        segments=tuple(segments),
        turns=turns,
        warnings=tuple(f"{name}: {warning}" for name, channel in channels for warning in channel.warnings),
        coverage=join_coverage(longest.duration, [channel.coverage for channel in transcripts]),
    )
