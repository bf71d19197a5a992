"""What the JSON documents say of voices: matches with known speakers, voiceprints, and OpenAI's names of speakers."""

from collections.abc import Mapping
from itertools import count

from transcription.formats.answers import Voices
from transcription.transcript import Transcript


def to_voices(transcript: Transcript, names: Mapping[str, str] | None = None) -> Voices:
    """Return what is known of the voices. names: of the document, by label of the transcript."""
    names = names or {}
    voices: Voices = {}
    if transcript.matches:
        voices["known_speakers"] = [
            {
                "speaker": names.get(match.speaker, match.speaker),
                "nearest": match.nearest,
                "score": round(match.score, 3),
                "threshold": match.threshold,
            }
            for match in transcript.matches
        ]
    if transcript.voiceprints:
        voices["voiceprints"] = {
            names.get(label, label): {"embedding": voice.embedding, "vector": list(voice.vector)}
            for label, voice in transcript.voiceprints.items()
        }
    return voices


def speaker_letters(transcript: Transcript) -> dict[str, str]:
    """Return the name of each speaker in diarized_json: known ones keep theirs, others are A, B, … as they appear."""
    known = {match.speaker for match in transcript.matches if match.speaker == match.nearest}
    taken = known | {match.nearest for match in transcript.matches}
    free = (letters for number in count() if (letters := _letters(number)) not in taken)
    spoken = dict.fromkeys(segment.speaker for segment in transcript.segments if segment.speaker)
    labels = [*spoken, *(label for label in transcript.speakers if label not in spoken)]
    return {label: label if label in known else next(free) for label in labels}


def _letters(number: int) -> str:
    """Return A … Z, AA, AB, … as the columns of a spreadsheet."""
    rest, last = divmod(number, 26)
    return (_letters(rest - 1) if rest else "") + chr(ord("A") + last)
