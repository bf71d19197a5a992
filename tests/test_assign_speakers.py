"""assign_speakers: bugs of the first version, and each rule."""

import math
from dataclasses import replace

import pytest

from transcription.diarization.assign import (
    MAX_GAP,
    MAX_WORD_DURATION,
    ActiveSpeakers,
    assign_speakers,
    exclusive_turns,
    timeline,
)
from transcription.diarization.channels import by_channel
from transcription.formats import FORMATS, merge_by_speaker
from transcription.transcript import CoverageInterval, Segment, SpeakerTurn, Transcript, Word
from transcription.vad.coverage import account_for

A, B, C = "SPEAKER_00", "SPEAKER_01", "SPEAKER_02"


def turns(*spans: tuple[str, float, float]) -> list[SpeakerTurn]:
    return [SpeakerTurn(*span) for span in spans]


def segments(*spans: tuple[str, float, float]) -> Transcript:
    """Return a transcript without words."""
    return Transcript(tuple(Segment(*span) for span in spans), "en", 60.0)


def words(*spans: tuple[str, float, float]) -> Transcript:
    """Return a transcript of one segment with these words."""
    all_words = tuple(Word(*span) for span in spans)
    text = "".join(word.word for word in all_words)
    return Transcript((Segment(text, all_words[0].start, all_words[-1].end, all_words),), "en", 60.0)


def speaker_texts(transcript: Transcript) -> list[tuple[str | None, str]]:
    """Return the speaker and the text of each turn of talk."""
    return [(segment.speaker, segment.text) for segment in merge_by_speaker(transcript)]


def speakers(transcript: Transcript) -> list[str | None]:
    return [word.speaker for word in transcript.words]


class TestBugsOfTheFirstVersion:
    def test_text_after_a_silence_does_not_belong_to_the_previous_speaker(self) -> None:
        transcript = segments((" One.", 0, 5), (" Two.", 35, 40))
        assert speaker_texts(assign_speakers(transcript, turns((A, 0, 5), (B, 35, 40)))) == [(A, " One."), (B, " Two.")]

    def test_a_very_short_turn_does_not_take_the_next_segment(self) -> None:
        transcript = segments((" One.", 0, 10), (" Two.", 10.3, 20))
        labelled = assign_speakers(transcript, turns((A, 0, 10), (B, 10, 10.3), (A, 10.3, 20)))
        assert speaker_texts(labelled) == [(A, " One. Two.")]

    def test_a_segment_after_the_last_turn_is_kept(self) -> None:
        transcript = segments((" One.", 0, 5), (" Near.", 5.5, 7), (" Far.", 20, 22))
        labelled = assign_speakers(transcript, turns((A, 0, 5)))
        assert speaker_texts(labelled) == [(A, " One. Near."), (None, " Far.")]

    def test_a_segment_without_end_is_kept(self) -> None:
        open_end: list[tuple[str, float, float]] = [(" One.", 0, 5), (" Two.", 6, None)]  # type: ignore[list-item]
        assert speaker_texts(assign_speakers(segments(*open_end), turns((A, 0, 5), (B, 6, 9)))) == [
            (A, " One."),
            (B, " Two."),
        ]

    def test_a_turn_continues_after_an_interruption(self) -> None:
        transcript = words((" So", 0, 1), (" yes", 4, 4.5), (" we", 6, 7), (" go.", 8, 9))
        labelled = assign_speakers(
            transcript, turns((A, 0, 10), (B, 4, 4.5)), turns((A, 0, 4), (B, 4, 4.5), (A, 4.5, 10))
        )
        assert speaker_texts(labelled) == [(A, " So"), (B, " yes"), (A, " we go.")]

    def test_a_segment_is_split_where_the_speaker_changes(self) -> None:
        transcript = words(
            (" Are", 0, 0.5), (" you?", 0.5, 1), (" Yes", 1.2, 1.6), (" I", 1.6, 1.8), (" am.", 1.8, 2.4)
        )
        labelled = assign_speakers(transcript, turns((A, 0, 1.1), (B, 1.1, 2.5)))
        assert [(part.speaker, part.text, part.start, part.end) for part in labelled.segments] == [
            (A, " Are you?", 0, 1),
            (B, " Yes I am.", 1.2, 2.4),
        ]

    def test_text_is_kept_without_any_turn(self) -> None:
        assert speaker_texts(assign_speakers(segments((" One.", 0, 5)), [])) == [(None, " One.")]

    def test_an_empty_transcript_stays_empty(self) -> None:
        empty = Transcript(duration=5.0)
        assert assign_speakers(empty, []).segments == ()
        assert FORMATS["chunks"].render(assign_speakers(empty, turns((A, 0, 5)))) == {
            "text": "", "chunks": [], "speakers": [], "language": None, "duration": 5.0, "num_speakers": 1,
        }  # fmt: skip


class TestRules:
    def test_the_longest_overlap_wins(self) -> None:
        assert speakers(assign_speakers(words((" word", 1, 2)), turns((A, 0, 1.4), (B, 1.4, 3)))) == [B]

    def test_two_short_turns_of_one_speaker_count_together(self) -> None:
        labelled = assign_speakers(words((" word", 0, 1)), turns((A, 0, 0.3), (B, 0.3, 0.7), (A, 0.7, 1)))
        assert speakers(labelled) == [A]

    def test_a_tie_goes_to_the_previous_speaker(self) -> None:
        labelled = assign_speakers(words((" a", 0, 1), (" b", 1, 2)), turns((B, 0, 1.5), (A, 1.5, 3)))
        assert speakers(labelled) == [B, B]

    def test_a_tie_then_goes_to_the_nearest_middle_and_the_first_label(self) -> None:
        assert speakers(assign_speakers(words((" a", 1, 2)), turns((A, -5, 1.5), (B, 1.5, 3)))) == [B]
        assert speakers(assign_speakers(words((" a", 1, 2)), turns((B, 0, 1.5), (A, 1.5, 3)))) == [A]

    def test_a_word_in_a_gap_belongs_to_the_nearest_turn_within_max_gap(self) -> None:
        diarization = turns((A, 0, 1), (B, 4, 5))
        labelled = assign_speakers(
            words((" a", 1.5, 1.8), (" b", 3.5, 3.9), (" c", 5 + MAX_GAP, 9), (" d", 9, 9.5)), diarization
        )
        assert speakers(labelled) == [A, B, B, None]
        assert [word.second_speaker for word in labelled.words] == [B, A, None, None]
        confidences = [word.confidence for word in labelled.words]
        assert confidences[:3] == pytest.approx([0.5 * (1 - 0.5 / 3), 0.5 * (1 - 0.1 / 3), 0.0])
        assert confidences[3] is None

    def test_words_without_times_are_spread_evenly_between_their_neighbours(self) -> None:
        nan = math.nan
        transcript = words((" a", 0, 1), (" b", nan, nan), (" c", nan, nan), (" d", 5, 6))
        labelled = assign_speakers(transcript, turns((A, 0, 2.9), (B, 3.1, 6)))
        assert speakers(labelled) == [A, A, B, B]

    def test_words_that_go_back_in_time_are_spread_evenly_too(self) -> None:
        labelled = assign_speakers(words((" a", 4, 5), (" b", 1, 2), (" c", 8, 9)), turns((A, 0, 7), (B, 7, 9)))
        assert speakers(labelled) == [A, A, B]

    def test_a_word_without_duration_has_one_frame(self) -> None:
        assert speakers(assign_speakers(words((" a", 1, 1), (" b", 2, 2)), turns((A, 0, 1.5), (B, 1.5, 3)))) == [A, B]

    def test_a_long_word_belongs_to_the_first_speech_in_it(self) -> None:
        diarization = turns((A, 0, 5.4), (B, 8, 12))
        assert speakers(assign_speakers(words((" end.", 5, 11)), diarization)) == [A]
        assert speakers(assign_speakers(words((" start", 6, 6 + MAX_WORD_DURATION + 1)), diarization)) == [B]

    def test_a_lone_word_follows_its_sentence(self) -> None:
        spoken = words((" I'm", 0, 1), (" here", 1, 2), (" now.", 2, 3), (" Are", 3, 4), (" you?", 4, 5))
        labelled = assign_speakers(spoken, turns((A, 0, 2.2), (B, 2.2, 5)))
        assert speaker_texts(labelled) == [(A, " I'm here now."), (B, " Are you?")]
        assert labelled.words[2] == Word(" now.", 2, 3, None, A, 0.5, B)

    def test_a_word_that_is_a_turn_of_its_own_stays(self) -> None:
        spoken = words((" So", 0, 1), (" we", 1, 2), (" yeah", 2, 3), (" go", 3, 4), (" home.", 4, 5))
        interruption = turns((A, 0, 2), (B, 2, 3), (A, 3, 5))
        assert speakers(assign_speakers(spoken, interruption)) == [A, A, B, A, A]
        assert speakers(assign_speakers(spoken, turns((A, 0, 5), (B, 2, 3)), interruption)) == [A] * 5

    @pytest.mark.parametrize(
        "spoken",
        [
            words((" You", 0, 1), (" too.", 1, 2), (" Yes.", 2, 3)),  # another sentence
            words((" You", 0, 1), (" too", 1, 2), (" yes", 2, 3), (" yes", 3, 4)),  # no majority, and no lone word
            words((" You", 0, 1), (" too", 1, 2), (" Yes", 4, 5)),  # after a pause
        ],
    )
    def test_other_words_do_not_follow(self, spoken: Transcript) -> None:
        assert speakers(assign_speakers(spoken, turns((A, 0, 2), (B, 2, 9))))[:3] == [A, A, B]

    def test_a_word_without_duration_follows_its_sentence(self) -> None:
        spoken = words((" If", 0, 1), (" so", 1, 2), (",", 2.5, 2.5), (" I", 2.5, 2.5), (" go.", 3, 4))
        assert speakers(assign_speakers(spoken, turns((A, 0, 2), (B, 2, 3), (A, 3, 4)))) == [A] * 5

    def test_a_segment_without_words_belongs_to_the_longest_overlap(self) -> None:
        assert speaker_texts(assign_speakers(segments((" All.", 0, 10)), turns((A, 0, 3), (B, 3, 10)))) == [
            (B, " All.")
        ]


class TestConfidence:
    def test_a_word_inside_one_turn_has_confidence_one(self) -> None:
        word = assign_speakers(words((" a", 1, 2)), turns((A, 0, 3))).words[0]
        assert (word.confidence, word.second_speaker, word.overlap) == (1.0, None, False)

    def test_a_word_in_overlap_has_a_second_speaker(self) -> None:
        word = assign_speakers(words((" a", 1, 2)), turns((A, 0, 9), (B, 0.5, 3))).words[0]
        assert (word.speaker, word.confidence, word.second_speaker, word.overlap) == (A, 0.5, B, True)

    def test_a_word_between_two_turns_has_a_lower_confidence(self) -> None:
        word = assign_speakers(words((" a", 1, 2)), turns((A, 0, 1.6), (B, 1.6, 3))).words[0]
        assert (word.speaker, word.second_speaker, word.overlap) == (A, B, False)
        assert word.confidence == pytest.approx(0.6)

    def test_a_high_confidence_has_no_second_speaker(self) -> None:
        word = assign_speakers(words((" a", 1, 2)), turns((A, 0, 1.9), (B, 1.9, 3))).words[0]
        assert (word.speaker, word.second_speaker) == (A, None)


class TestTurns:
    def test_the_timeline_has_all_active_speakers(self) -> None:
        assert timeline(turns((A, 0, 4), (B, 1, 2), (C, 6, 7))) == [
            ActiveSpeakers(0, 1, (A,)),
            ActiveSpeakers(1, 2, (A, B)),
            ActiveSpeakers(2, 4, (A,)),
            ActiveSpeakers(6, 7, (C,)),
        ]

    def test_exclusive_turns_keep_the_speaker_of_the_longest_turn(self) -> None:
        assert exclusive_turns(turns((A, 0, 4), (B, 1, 2), (B, 3, 9))) == turns((A, 0, 3), (B, 3, 9))
        assert exclusive_turns([]) == []

    def test_turns_with_invalid_times_are_ignored(self) -> None:
        labelled = assign_speakers(words((" a", 1, 2)), turns((B, 2, 1), (B, math.nan, 3), (A, 0, math.inf), (C, 0, 3)))
        assert (speakers(labelled), labelled.turns) == ([C], (SpeakerTurn(C, 0, 3),))


def test_split_segments_share_scores_and_keep_all_tokens() -> None:
    pair = (Word(" Yes.", 0, 1), Word(" No.", 1, 2))
    whole = Segment(" Yes. No.", 0, 2, pair, tokens=(1, 2, 3), avg_logprob=-0.5)
    parts = assign_speakers(Transcript((whole,)), turns((A, 0, 1), (B, 1, 2))).segments
    assert [(part.text, part.tokens, part.avg_logprob) for part in parts] == [
        (" Yes.", (1, 2, 3), -0.5),
        (" No.", (), -0.5),
    ]


def test_text_between_the_words_is_kept_when_a_segment_is_split() -> None:
    pair = (Word("Yes", 0, 1), Word("no", 1, 2))
    parts = assign_speakers(Transcript((Segment("«Yes» — no!", 0, 2, pair),)), turns((A, 0, 1), (B, 1, 2))).segments
    assert [part.text for part in parts] == ["«Yes» —", " no!"]


def test_a_segment_is_not_split_if_its_text_does_not_contain_the_words() -> None:
    pair = (Word(" one", 0, 1), Word(" two", 1, 4))
    parts = assign_speakers(Transcript((Segment(" 1, 2", 0, 4, pair),)), turns((A, 0, 1), (B, 1, 4))).segments
    assert [(part.text, part.speaker) for part in parts] == [(" 1, 2", B)]


def test_by_channel_orders_segments_by_time() -> None:
    labelled = by_channel([words((" Hi.", 0.5, 1.5)), words((" Hello?", 0, 1))])
    assert [(segment.speaker, segment.text) for segment in labelled.segments] == [(B, " Hello?"), (A, " Hi.")]
    assert [(word.speaker, word.confidence) for word in labelled.words] == [(B, 1.0), (A, 1.0)]
    assert labelled.turns == tuple(turns((B, 0, 1), (A, 0.5, 1.5)))
    assert by_channel([Transcript(duration=1.0), Transcript(duration=1.0)]).turns == ()


def test_by_channel_keeps_the_warnings_and_the_coverage_of_every_channel() -> None:
    first = replace(words((" Hi.", 0.0, 1.0)), duration=3.0, coverage=account_for(3.0, [], [(0.0, 1.0)]))
    second = Transcript(duration=3.0, warnings=("no text",), coverage=account_for(3.0, [(0.5, 2.0)], []))
    joined = by_channel([first, second])
    assert joined.warnings == ("SPEAKER_01: no text",)
    assert joined.coverage == (
        CoverageInterval(0.0, 0.5, "transcribed"),
        CoverageInterval(0.5, 2.0, "uncertain"),
        CoverageInterval(2.0, 3.0, "silent"),
    )


def test_speech_before_a_shortened_long_word_does_not_change_its_confidence() -> None:
    long_word = Transcript((Segment(" w", 0, 9, (Word(" w", 0.0, 9.0),)),))
    regular = [SpeakerTurn(A, 0.0, 1.0), SpeakerTurn(B, 5.0, 9.0)]
    (word,) = assign_speakers(long_word, regular, [SpeakerTurn(B, 5.0, 9.0)]).words
    assert (word.speaker, word.confidence, word.second_speaker) == (B, 1.0, None)
