"""Words and turns: every fault of the original's merge, each rule by name, and what holds whatever comes."""

import math
from collections.abc import Sequence
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from transcription.diarization.assign import (
    MAX_GAP,
    MAX_WORD_DURATION,
    Piece,
    assign_speakers,
    by_channel,
    exclusive_turns,
    timeline,
)
from transcription.formats import FORMATS, merge_by_speaker
from transcription.transcript import Segment, SpeakerTurn, Transcript, Word

A, B, C = "SPEAKER_00", "SPEAKER_01", "SPEAKER_02"


def turns(*spans: tuple[str, float, float]) -> list[SpeakerTurn]:
    return [SpeakerTurn(*span) for span in spans]


def segments(*spans: tuple[str, float, float]) -> Transcript:
    """A transcript without word times."""
    return Transcript(tuple(Segment(*span) for span in spans), "en", 60.0)


def words(*spans: tuple[str, float, float]) -> Transcript:
    """A transcript of one segment with these words."""
    made = tuple(Word(*span) for span in spans)
    return Transcript((Segment("".join(w.word for w in made), made[0].start, made[-1].end, made),), "en", 60.0)


def said(transcript: Transcript) -> list[tuple[str | None, str]]:
    """Who says what, turn of talk by turn of talk."""
    return [(one.speaker, one.text) for one in merge_by_speaker(transcript)]


def speakers(transcript: Transcript) -> list[str | None]:
    return [word.speaker for word in transcript.words]


class TestFaultsOfTheOriginal:
    def test_text_after_a_silence_is_not_given_to_who_spoke_before_it(self) -> None:
        transcript = segments((" One.", 0, 5), (" Two.", 35, 40))
        assert said(assign_speakers(transcript, turns((A, 0, 5), (B, 35, 40)))) == [(A, " One."), (B, " Two.")]

    def test_a_very_short_turn_does_not_steal_the_next_chunk(self) -> None:
        transcript = segments((" One.", 0, 10), (" Two.", 10.3, 20))
        found = assign_speakers(transcript, turns((A, 0, 10), (B, 10, 10.3), (A, 10.3, 20)))
        assert said(found) == [(A, " One. Two.")]

    def test_a_chunk_after_the_last_turn_is_kept(self) -> None:
        transcript = segments((" One.", 0, 5), (" Near.", 5.5, 7), (" Far.", 20, 22))
        found = assign_speakers(transcript, turns((A, 0, 5)))
        assert said(found) == [(A, " One. Near."), (None, " Far.")]

    def test_an_open_end_is_kept(self) -> None:
        open_end: list[tuple[str, float, float]] = [(" One.", 0, 5), (" Two.", 6, None)]  # type: ignore[list-item]
        assert said(assign_speakers(segments(*open_end), turns((A, 0, 5), (B, 6, 9)))) == [(A, " One."), (B, " Two.")]

    def test_a_turn_goes_on_after_an_aside_inside_it(self) -> None:
        transcript = words((" So", 0, 1), (" yes", 4, 4.5), (" we", 6, 7), (" go.", 8, 9))
        found = assign_speakers(transcript, turns((A, 0, 10), (B, 4, 4.5)), turns((A, 0, 4), (B, 4, 4.5), (A, 4.5, 10)))
        assert said(found) == [(A, " So"), (B, " yes"), (A, " we go.")]

    def test_a_chunk_is_split_where_the_speaker_changes(self) -> None:
        transcript = words(
            (" Are", 0, 0.5), (" you?", 0.5, 1), (" Yes", 1.2, 1.6), (" I", 1.6, 1.8), (" am.", 1.8, 2.4)
        )
        found = assign_speakers(transcript, turns((A, 0, 1.1), (B, 1.1, 2.5)))
        assert [(one.speaker, one.text, one.start, one.end) for one in found.segments] == [
            (A, " Are you?", 0, 1),
            (B, " Yes I am.", 1.2, 2.4),
        ]

    def test_words_without_any_turn_stay(self) -> None:
        assert said(assign_speakers(segments((" One.", 0, 5)), [])) == [(None, " One.")]

    def test_nothing_said_is_nothing(self) -> None:
        empty = Transcript(duration=5.0)
        assert assign_speakers(empty, []).segments == ()
        assert FORMATS["chunks"].render(assign_speakers(empty, turns((A, 0, 5)))) == {
            "text": "", "chunks": [], "speakers": [], "language": None, "duration": 5.0, "num_speakers": 1,
        }  # fmt: skip


class TestRules:
    def test_the_longest_overlap_wins(self) -> None:
        assert speakers(assign_speakers(words((" word", 1, 2)), turns((A, 0, 1.4), (B, 1.4, 3)))) == [B]

    def test_two_short_turns_of_one_speaker_count_together(self) -> None:
        found = assign_speakers(words((" word", 0, 1)), turns((A, 0, 0.3), (B, 0.3, 0.7), (A, 0.7, 1)))
        assert speakers(found) == [A]

    def test_a_tie_goes_to_the_speaker_before(self) -> None:
        found = assign_speakers(words((" a", 0, 1), (" b", 1, 2)), turns((B, 0, 1.5), (A, 1.5, 3)))
        assert speakers(found) == [B, B]

    def test_then_to_the_nearest_middle_and_then_by_label(self) -> None:
        assert speakers(assign_speakers(words((" a", 1, 2)), turns((A, -5, 1.5), (B, 1.5, 3)))) == [B]
        assert speakers(assign_speakers(words((" a", 1, 2)), turns((B, 0, 1.5), (A, 1.5, 3)))) == [A]

    def test_a_gap_belongs_to_the_nearest_turn_in_reach(self) -> None:
        spoken = turns((A, 0, 1), (B, 4, 5))
        found = assign_speakers(
            words((" a", 1.5, 1.8), (" b", 3.5, 3.9), (" c", 5 + MAX_GAP, 9), (" d", 9, 9.5)), spoken
        )
        assert speakers(found) == [A, B, B, None]
        assert [word.second_speaker for word in found.words] == [B, A, None, None]
        confidences = [word.confidence for word in found.words]
        assert confidences[:3] == pytest.approx([0.5 * (1 - 0.5 / 3), 0.5 * (1 - 0.1 / 3), 0.0])
        assert confidences[3] is None

    def test_untimed_words_stand_evenly_between_their_neighbours(self) -> None:
        nan = math.nan
        transcript = words((" a", 0, 1), (" b", nan, nan), (" c", nan, nan), (" d", 5, 6))
        found = assign_speakers(transcript, turns((A, 0, 2.9), (B, 3.1, 6)))
        assert speakers(found) == [A, A, B, B]

    def test_words_that_run_backwards_do_too(self) -> None:
        found = assign_speakers(words((" a", 4, 5), (" b", 1, 2), (" c", 8, 9)), turns((A, 0, 7), (B, 7, 9)))
        assert speakers(found) == [A, A, B]

    def test_a_word_without_length_is_a_frame_long(self) -> None:
        assert speakers(assign_speakers(words((" a", 1, 1), (" b", 2, 2)), turns((A, 0, 1.5), (B, 1.5, 3)))) == [A, B]

    def test_a_word_stretched_over_silence_is_heard_where_someone_speaks(self) -> None:
        spoken = turns((A, 0, 5.4), (B, 8, 12))
        assert speakers(assign_speakers(words((" end.", 5, 11)), spoken)) == [A]
        assert speakers(assign_speakers(words((" start", 6, 6 + MAX_WORD_DURATION + 1)), spoken)) == [B]

    def test_a_segment_without_words_belongs_to_whoever_talks_longest_in_it(self) -> None:
        assert said(assign_speakers(segments((" All.", 0, 10)), turns((A, 0, 3), (B, 3, 10)))) == [(B, " All.")]


class TestConfidence:
    def test_a_word_inside_one_turn_is_sure(self) -> None:
        word = assign_speakers(words((" a", 1, 2)), turns((A, 0, 3))).words[0]
        assert (word.confidence, word.second_speaker, word.overlap) == (1.0, None, False)

    def test_a_word_in_overlap_is_flagged_and_names_the_other(self) -> None:
        word = assign_speakers(words((" a", 1, 2)), turns((A, 0, 9), (B, 0.5, 3))).words[0]
        assert (word.speaker, word.confidence, word.second_speaker, word.overlap) == (A, 0.5, B, True)

    def test_a_word_on_the_border_is_less_sure(self) -> None:
        word = assign_speakers(words((" a", 1, 2)), turns((A, 0, 1.6), (B, 1.6, 3))).words[0]
        assert (word.speaker, word.second_speaker, word.overlap) == (A, B, False)
        assert word.confidence == pytest.approx(0.6)

    def test_a_clear_majority_names_no_second(self) -> None:
        word = assign_speakers(words((" a", 1, 2)), turns((A, 0, 1.9), (B, 1.9, 3))).words[0]
        assert (word.speaker, word.second_speaker) == (A, None)


class TestTurns:
    def test_the_timeline_says_who_talks_together(self) -> None:
        assert timeline(turns((A, 0, 4), (B, 1, 2), (C, 6, 7))) == [
            Piece(0, 1, (A,)), Piece(1, 2, (A, B)), Piece(2, 4, (A,)), Piece(6, 7, (C,)),
        ]  # fmt: skip

    def test_alone_is_whoever_has_the_longest_turn(self) -> None:
        assert exclusive_turns(turns((A, 0, 4), (B, 1, 2), (B, 3, 9))) == turns((A, 0, 3), (B, 3, 9))
        assert exclusive_turns([]) == []

    def test_turns_that_are_none_are_left_out(self) -> None:
        found = assign_speakers(words((" a", 1, 2)), turns((B, 2, 1), (B, math.nan, 3), (A, 0, math.inf), (C, 0, 3)))
        assert (speakers(found), found.turns) == ([C], (SpeakerTurn(C, 0, 3),))


def test_split_segments_share_scores_and_lose_no_token() -> None:
    pair = (Word(" Yes.", 0, 1), Word(" No.", 1, 2))
    whole = Segment(" Yes. No.", 0, 2, pair, tokens=(1, 2, 3), avg_logprob=-0.5)
    parts = assign_speakers(Transcript((whole,)), turns((A, 0, 1), (B, 1, 2))).segments
    assert [(part.text, part.tokens, part.avg_logprob) for part in parts] == [
        (" Yes.", (1, 2, 3), -0.5),
        (" No.", (), -0.5),
    ]


def test_text_that_is_more_than_its_words_is_split_and_kept() -> None:
    pair = (Word("Yes", 0, 1), Word("no", 1, 2))
    parts = assign_speakers(Transcript((Segment("«Yes» — no!", 0, 2, pair),)), turns((A, 0, 1), (B, 1, 2))).segments
    assert [part.text for part in parts] == ["«Yes» —", " no!"]


def test_text_that_does_not_hold_its_words_stays_whole() -> None:
    pair = (Word(" one", 0, 1), Word(" two", 1, 4))
    parts = assign_speakers(Transcript((Segment(" 1, 2", 0, 4, pair),)), turns((A, 0, 1), (B, 1, 4))).segments
    assert [(part.text, part.speaker) for part in parts] == [(" 1, 2", B)]


def test_channels_are_speakers_in_order_of_time() -> None:
    left = words((" Hello?", 0, 1))
    right = words((" Hi.", 0.5, 1.5))
    found = by_channel([right, left])
    assert [(one.speaker, one.text) for one in found.segments] == [(B, " Hello?"), (A, " Hi.")]
    assert [(word.speaker, word.confidence) for word in found.words] == [(B, 1.0), (A, 1.0)]
    assert found.turns == tuple(turns((B, 0, 1), (A, 0.5, 1.5)))
    assert by_channel([Transcript(duration=1.0), Transcript(duration=1.0)]).turns == ()


TIME = st.floats(0, 50, allow_nan=False)
ANY_TIME = st.one_of(TIME, st.floats())
TURNS = st.lists(st.builds(SpeakerTurn, st.sampled_from([A, B, C]), ANY_TIME, ANY_TIME), max_size=20)
ANY_WORDS = st.lists(st.builds(Word, st.text("aé .«", max_size=4), ANY_TIME, ANY_TIME), max_size=8)


@st.composite
def transcripts(draw: st.DrawFn) -> Transcript:
    """Segments with and without words, whose times and texts may be anything."""
    made = []
    for _ in range(draw(st.integers(0, 5))):
        some = tuple(draw(ANY_WORDS))
        text = draw(st.sampled_from(["".join(word.word for word in some), " ".join(w.word for w in some), "else"]))
        made.append(Segment(text, draw(ANY_TIME), draw(ANY_TIME), some, tokens=tuple(range(draw(st.integers(0, 3))))))
    return Transcript(tuple(made), "en", 50.0)


@given(transcripts(), TURNS, st.one_of(st.none(), TURNS))
def test_text_is_never_lost_reordered_or_changed(
    transcript: Transcript, spoken: Sequence[SpeakerTurn], alone: Sequence[SpeakerTurn] | None
) -> None:
    found = assign_speakers(transcript, spoken, alone)
    assert found.text == transcript.text
    assert "".join(one.text for one in merge_by_speaker(found)) == "".join(one.text for one in transcript.segments)
    untouched = [(w.word, repr(w.start), repr(w.end), w.probability) for w in transcript.words]
    assert [(w.word, repr(w.start), repr(w.end), w.probability) for w in found.words] == untouched
    tokens = [token for one in transcript.segments for token in one.tokens]
    assert [token for one in found.segments for token in one.tokens] == tokens
    known = {turn.speaker for turn in spoken} | {turn.speaker for turn in alone or ()}
    for word in found.words:
        assert word.speaker is None or word.speaker in known
        assert (word.confidence is None) == (word.speaker is None)
        assert word.confidence is None or 0 <= word.confidence <= 1
        assert word.second_speaker is None or word.second_speaker != word.speaker


@given(
    st.lists(st.tuples(TIME, st.floats(0.02, MAX_WORD_DURATION)), max_size=20),
    st.lists(st.tuples(TIME, TIME), max_size=9),
)
def test_every_word_has_a_speaker_while_anyone_speaks(
    timed: list[tuple[float, float]], spans: list[tuple[float, float]]
) -> None:
    spoken = [SpeakerTurn((A, B, C)[at % 3], start, end) for at, (start, end) in enumerate(spans) if end > start]
    ordered = tuple(Word(" w", start, start + length) for start, length in sorted(timed))
    transcript = Transcript((Segment(" w" * len(ordered), 0, 60, ordered),))
    for word in assign_speakers(transcript, spoken).words:
        talking = any(turn.start < word.end and turn.end > word.start for turn in spoken)
        assert word.speaker is not None or not talking


@given(st.lists(st.builds(SpeakerTurn, st.sampled_from([A, B, C]), TIME, TIME), max_size=20))
def test_exclusive_turns_cover_the_same_time_once(spoken: list[SpeakerTurn]) -> None:
    alone = exclusive_turns(spoken)
    assert all(one.end <= other.start for one, other in pairwise(alone))
    assert sum(t.end - t.start for t in alone) == pytest.approx(sum(p.end - p.start for p in timeline(spoken)))
