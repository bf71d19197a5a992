"""assign_speakers: properties that hold for any input."""

from collections.abc import Sequence
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from transcription.diarization.assign import (
    MAX_WORD_DURATION,
    assign_speakers,
    exclusive_turns,
    timeline,
)
from transcription.formats import merge_by_speaker
from transcription.transcript import Segment, SpeakerTurn, Transcript, Word

A, B, C = "SPEAKER_00", "SPEAKER_01", "SPEAKER_02"
TIME = st.floats(0, 50, allow_nan=False)
ANY_TIME = st.one_of(TIME, st.floats())
TURNS = st.lists(st.builds(SpeakerTurn, st.sampled_from([A, B, C]), ANY_TIME, ANY_TIME), max_size=20)
ANY_WORDS = st.lists(st.builds(Word, st.text("aé .«", max_size=4), ANY_TIME, ANY_TIME), max_size=8)


@st.composite
def transcripts(draw: st.DrawFn) -> Transcript:
    """Return segments with and without words, with any times and texts."""
    drawn = []
    for _ in range(draw(st.integers(0, 5))):
        its_words = tuple(draw(ANY_WORDS))
        texts = [separator.join(word.word for word in its_words) for separator in ("", " ")]
        text, tokens = draw(st.sampled_from([*texts, "else"])), tuple(range(draw(st.integers(0, 3))))
        drawn.append(Segment(text, draw(ANY_TIME), draw(ANY_TIME), its_words, tokens=tokens))
    return Transcript(tuple(drawn), "en", 50.0)


@given(transcripts(), TURNS, st.one_of(st.none(), TURNS))
def test_text_is_never_lost_reordered_or_changed(
    transcript: Transcript, regular: Sequence[SpeakerTurn], exclusive: Sequence[SpeakerTurn] | None
) -> None:
    labelled = assign_speakers(transcript, regular, exclusive)
    assert labelled.text == transcript.text
    assert "".join(part.text for part in merge_by_speaker(labelled)) == "".join(
        segment.text for segment in transcript.segments
    )
    before = [(w.word, repr(w.start), repr(w.end), w.probability) for w in transcript.words]
    assert [(w.word, repr(w.start), repr(w.end), w.probability) for w in labelled.words] == before
    tokens = [token for segment in transcript.segments for token in segment.tokens]
    assert [token for part in labelled.segments for token in part.tokens] == tokens
    known = {turn.speaker for turn in regular} | {turn.speaker for turn in exclusive or ()}
    for word in labelled.words:
        assert word.speaker is None or word.speaker in known
        assert (word.confidence is None) == (word.speaker is None)
        assert word.confidence is None or 0 <= word.confidence <= 1
        assert word.second_speaker is None or word.second_speaker != word.speaker


@given(
    st.lists(st.tuples(TIME, st.floats(0.02, MAX_WORD_DURATION)), max_size=20),
    st.lists(st.tuples(TIME, TIME), max_size=9),
)
def test_every_word_has_a_speaker_while_anyone_talks(
    word_times: list[tuple[float, float]], turn_times: list[tuple[float, float]]
) -> None:
    regular = [SpeakerTurn((A, B, C)[n % 3], start, end) for n, (start, end) in enumerate(turn_times) if end > start]
    ordered = tuple(Word(" w", start, start + duration) for start, duration in sorted(word_times))
    transcript = Transcript((Segment(" w" * len(ordered), 0, 60, ordered),))
    for word in assign_speakers(transcript, regular).words:
        anyone_talks = any(turn.start < word.end and turn.end > word.start for turn in regular)
        assert word.speaker is not None or not anyone_talks


@given(st.lists(st.builds(SpeakerTurn, st.sampled_from([A, B, C]), TIME, TIME), max_size=20))
def test_exclusive_turns_cover_the_same_time_once(regular: list[SpeakerTurn]) -> None:
    exclusive = exclusive_turns(regular)
    assert all(turn.end <= following.start for turn, following in pairwise(exclusive))
    talk_time = sum(interval.end - interval.start for interval in timeline(regular))
    assert sum(turn.end - turn.start for turn in exclusive) == pytest.approx(talk_time)
