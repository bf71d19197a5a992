"""The names that a reader gives to speakers."""

import pytest

from transcription.transcript import Segment, SpeakerTurn, Transcript, Word
from transcription.ui.speaker_names import MAX_NAME, clean_name, rename_speakers


def test_names_replace_the_labels_of_segments_words_and_turns() -> None:
    word = Word(" Hello.", 0, 1, 0.9, "A", 0.5, "B", True)
    transcript = Transcript((Segment(" Hello.", 0, 1, (word,), "A"),), turns=(SpeakerTurn("A", 0, 1),))
    renamed = Word(" Hello.", 0, 1, 0.9, "Ada", 0.5, "Bo", True)
    assert rename_speakers(transcript, {"A": "Ada", "B": "Bo", "C": "nobody"}) == Transcript(
        (Segment(" Hello.", 0, 1, (renamed,), "Ada"),), turns=(SpeakerTurn("Ada", 0, 1),)
    )


def test_transcript_without_speakers_stays_the_same() -> None:
    transcript = Transcript((Segment(" Hello.", 0, 1),))
    assert rename_speakers(transcript, {"A": "Ada"}) == transcript


@pytest.mark.parametrize(
    ("text", "name"),
    [("Zoë 李", "Zoë 李"), (" Ada\n1\t2 ", "Ada 1 2"), ("\x00\u202e \u2028", ""), ("a" * 99, "a" * MAX_NAME)],
)
def test_name_is_one_line_of_printable_characters(text: str, name: str) -> None:
    assert clean_name(text) == name


def test_empty_name_keeps_the_label() -> None:
    transcript = Transcript(turns=(SpeakerTurn("A", 0, 1),))
    assert rename_speakers(transcript, {"A": " \n"}) == transcript
