"""Speaker diarization with pyannote.audio, and the assignment of speakers to the words of a transcript."""

from transcription.diarization.assign import assign_speakers, exclusive_turns
from transcription.diarization.channels import by_channel
from transcription.diarization.pyannote import Diarizer
from transcription.diarization.result import Diarization
from transcription.transcript import Segment, SpeakerTurn, Transcript, Word

__all__ = [
    "Diarization",
    "Diarizer",
    "Segment",
    "SpeakerTurn",
    "Transcript",
    "Word",
    "assign_speakers",
    "by_channel",
    "exclusive_turns",
]
