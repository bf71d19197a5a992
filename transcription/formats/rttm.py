"""Rich Transcription Time Marked: NIST's format of speaker turns."""

from transcription.transcript import Transcript


def to_rttm(transcript: Transcript) -> str:
    """Return one line for each speaker turn, overlapping ones included."""
    return "".join(
        f"SPEAKER audio 1 {turn.start:.3f} {turn.end - turn.start:.3f} <NA> <NA> {_field(turn.speaker)} <NA> <NA>\n"
        for turn in transcript.turns or ()
    )


def _field(name: str) -> str:
    """Return a name without white space, which separates the fields of a line."""
    return "_".join(name.split()) or "<NA>"
