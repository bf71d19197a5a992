"""The formats that are lines of text: text and tsv."""

from transcription.transcript import Transcript


def to_text(transcript: Transcript) -> str:
    """Return the text in one line; an empty transcript is an empty file."""
    return transcript.text + "\n" if transcript.text else ""


def to_tsv(transcript: Transcript) -> str:
    """Return tab-separated milliseconds and text, as openai/whisper writes them."""
    rows = [
        f"{round(segment.start * 1000)}\t{round(segment.end * 1000)}\t{' '.join(segment.text.split())}"
        for segment in transcript.segments
    ]
    return "\n".join(["start\tend\ttext", *rows]) + "\n"
