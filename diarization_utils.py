"""Speaker diarization: a pyannote pipeline, and the merge of its speaker turns with a transcript."""

from transcription.diarization.assign import assign_speakers, exclusive_turns
from transcription.diarization.pyannote import Diarization, Diarizer
from transcription.transcript import Segment, SpeakerTurn, Transcript, Word

__all__ = [
    "Diarization",
    "Diarizer",
    "Segment",
    "SpeakerTurn",
    "Transcript",
    "Word",
    "assign_speakers",
    "exclusive_turns",
]
