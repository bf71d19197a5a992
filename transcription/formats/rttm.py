"""Rich Transcription Time Marked: NIST's format of speaker turns."""

from transcription.rttm import DEFAULT_NAME, write_rttm
from transcription.transcript import Transcript


def to_rttm(transcript: Transcript) -> str:
    """Return one line for each speaker turn, overlapping ones included. The texts of several files can be joined."""
    return write_rttm(transcript.turns or (), transcript.name or DEFAULT_NAME)
