"""The times of a given text's words: nothing of the text is lost, and what is not said has no time."""

import random
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.conftest import SAMPLES
from transcription.config import InferenceConfig
from transcription.errors import InvalidRequest
from transcription.formats import FORMATS
from transcription.transcriber import Transcriber
from transcription.transcript import Segment, Transcript, Word
from transcription.whisper.given_text import keys_of, sentences_of
from transcription.whisper.text_alignment import align_text
from transcription.whisper.text_matching import match

TEXTS = st.text(st.one_of(st.sampled_from("ab c1.,!?-'—\"“»(\n\u3000你好。กา\u0301_"), st.characters(codec="utf-8")))


def heard(text: str, duration: float | None = None) -> Transcript:
    """Return a transcript with one word a second."""
    words = tuple(Word(f" {word}", float(at), at + 0.8, 0.9) for at, word in enumerate(text.split()))
    segments = (Segment(f" {text}", 0.0, float(len(words)), words),) if words else ()
    return Transcript(segments, "en", len(words) if duration is None else duration)


def starts(transcript: Transcript) -> list[float | None]:
    return [word.start if word.said else None for word in transcript.words]


@given(TEXTS)
def test_words_of_a_text_are_the_text(text: str) -> None:
    words = [word for sentence in sentences_of(text) for word in sentence]
    assert "".join(words).split() == (text.split() if keys_of(text) else [])
    assert all(keys_of(word) for word in words)


def test_sentences_and_lines_are_apart_and_punctuation_belongs_to_a_word() -> None:
    assert sentences_of("“Well-known,” he said. Yes!\nno\n***\n你好。") == [
        [" “Well-known,”", " he", " said."], [" Yes!"], [" no ***"], [" 你", "好。"],
    ]  # fmt: skip
    assert sentences_of("…\n— So") == [[" … — So"]]
    assert sentences_of(" — \n") == []


def test_words_are_compared_without_case_apostrophes_and_hyphens() -> None:
    assert [keys_of(word) for word in ("Well-known", "DON’T", "don't", "你好", "—")] == [
        ["well", "known"], ["dont"], ["dont"], ["你", "好"], [],
    ]  # fmt: skip


@given(st.lists(st.sampled_from("abc")), st.lists(st.sampled_from("abc")))
def test_pairs_are_equal_words_in_order(one: list[str], other: list[str]) -> None:
    pairs = match(one, other)
    assert all(one[i] == other[j] for i, j in pairs)
    assert all(i < next_i and j < next_j for (i, j), (next_i, next_j) in pairwise(pairs))


def test_a_long_text_is_found_in_parts() -> None:
    generator = random.Random(0)
    words = [f"w{generator.randrange(2000)}" for _ in range(5000)]
    kept = [at for at in range(5000) if generator.random() < 0.9]
    pairs = match(words, [words[at] for at in kept])
    assert sum(kept[j] == i for i, j in pairs) > 0.98 * len(kept)


@given(TEXTS, TEXTS, st.floats(0, 30))
def test_times_are_in_order_and_inside_the_recording(text: str, spoken: str, duration: float) -> None:
    aligned = align_text(heard(spoken, duration), text)
    bounds = [time for word in aligned.words for time in (word.start, word.end)]
    assert bounds == sorted(bounds)
    assert all(0 <= time <= duration for time in bounds)
    assert aligned.text.split() == (text.split() if keys_of(text) else [])
    assert FORMATS["vtt"].render(aligned)


def test_words_share_the_time_of_a_segment_without_words() -> None:
    transcript = Transcript((Segment(" We have them", 1.0, 11.0),), "en", 12.0)
    assert starts(align_text(transcript, "we have them")) == [1, 3, 7]


def test_a_text_may_be_a_part_of_what_is_said() -> None:
    spoken = "we met the board today and again we met the board today"
    assert starts(align_text(heard(spoken), "we met never never the board")) == [0, 1, None, None, 2, 3]
    assert starts(align_text(heard(spoken), "and again")) == [5, 6]


def test_words_have_the_times_of_the_same_words() -> None:
    aligned = align_text(heard("we have seen the well known list today"), "We have SEEN: the well-known list.\nToday!")
    assert starts(aligned) == [0, 1, 2, 3, 4, 6, 7]
    assert [(word.end, word.probability) for word in aligned.words][4] == (5.8, 0.9)
    assert [(part.text, part.start) for part in aligned.segments] == [
        (" We have SEEN: the well-known list.", 0), (" Today!", 7),
    ]  # fmt: skip
    assert aligned.warnings == ()


def test_a_word_that_the_model_heard_as_another_has_its_time_without_a_probability() -> None:
    aligned = align_text(heard("we have seen the missed today"), "We have seen the mist today")
    assert starts(aligned) == [0, 1, 2, 3, 4, 5]
    assert aligned.words[4] == Word(" mist", 4.0, 4.8, None)
    assert starts(align_text(heard("there are 25 people here now"), "there are twenty five people here now"))[2] == 2


def test_many_words_are_not_said_if_others_are_heard_in_their_place() -> None:
    spoken = "we have seen the list of jump the fence and hurry up the bank so we go home today"
    text = "we have seen the list of canned pears lack full flavor here so we go home today"
    assert [word.said for word in align_text(heard(spoken), text).words] == [True] * 6 + [False] * 6 + [True] * 5
    near = "we have seen the list of can pears like fuel flavour ear so we go home today"
    assert all(word.said for word in align_text(heard(near), text).words)


def test_words_that_are_not_said_are_marked_and_left_out_of_subtitles() -> None:
    aligned = align_text(heard("we have seen the list today"), "We have seen absolutely nothing of the list today.")
    assert starts(aligned) == [0, 1, 2, None, None, None, 3, 4, 5]
    assert aligned.warnings == ("3 of 9 words of the text were not found in the recording",)
    assert "We have seen the list today." in " ".join(str(FORMATS["srt"].render(aligned)).split())
    chunk = {"text": " nothing", "timestamp": [None, None], "said": False}
    assert FORMATS["chunks"].render(aligned)["chunks"][4] == chunk  # type: ignore[index]
    document = FORMATS["verbose_json"].render(aligned)
    word = {"word": "nothing", "start": None, "end": None, "probability": None, "said": False}
    assert document["words"][4] == word  # type: ignore[index]


def test_words_that_two_texts_share_by_chance_are_not_said() -> None:
    other = "it was the best of times and the worst of times in the age of wisdom"
    aligned = align_text(heard("the committee of the club will meet on monday in the hall of the school"), other)
    assert set(starts(aligned)) == {None}


def test_silence_says_nothing_of_a_text() -> None:
    assert starts(align_text(Transcript(duration=3.0), "Hello there.")) == [None, None]


@pytest.mark.parametrize("text", ["", "\n", " — … "])
def test_a_text_without_words_is_an_error(text: str) -> None:
    with pytest.raises(InvalidRequest, match=r"^align: there are no words: send the text"):
        InferenceConfig.from_request({"align": text})


@pytest.mark.parametrize("other", [{"task": "translate"}, {"multichannel": True}, {"logprobs": True}])
def test_a_text_cannot_be_combined_with_what_it_contradicts(other: dict[str, object]) -> None:
    with pytest.raises(InvalidRequest, match=r"^align cannot be combined with"):
        InferenceConfig.from_request({"align": "Hello", **other})


def test_a_recording_gives_its_own_text_the_true_times(diarizing_transcriber: Transcriber) -> None:
    sample = SAMPLES["short"]
    config = InferenceConfig(align=sample.truth["text"].upper())
    aligned = diarizing_transcriber.transcribe(sample.audio, config)
    assert aligned.text == sample.truth["text"].upper()
    said = [abs(word.start - true["start"]) for word, true in zip(aligned.words, sample.truth["words"], strict=True)]
    assert sorted(said)[len(said) // 2] < 0.1
    assert all(word.said and word.speaker == "SPEAKER_00" for word in aligned.words)
    silent = diarizing_transcriber.transcribe(SAMPLES["silence"].audio, config)
    assert (silent.text, any(word.said for word in silent.words)) == (aligned.text, False)
