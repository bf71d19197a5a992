"""What is streamed joins to the whole, however windows begin and end."""

from hypothesis import given
from hypothesis import strategies as st

from transcription.server.streaming import Delta, Text
from transcription.transcript import Segment, TokenLogprob, Transcript


def segment(text: str) -> Segment:
    return Segment(text, 0.0, 1.0, logprobs=(TokenLogprob(text, text.encode(), -0.5),))


def test_nothing_is_sent_of_nothing() -> None:
    text = Text()
    assert [text.more([]), text.more([segment("  ")]), text.upto("")] == [None, None, None]


def test_white_space_waits_for_what_follows() -> None:
    text = Text()
    assert text.more([segment(" One. ")]) == Delta("One.", segment(" One. ").logprobs)
    assert text.more([segment(" Two.")]) == Delta("  Two.", segment(" Two.").logprobs)
    assert text.upto("One.  Two.") is None


def test_what_no_window_said_comes_at_the_end() -> None:
    assert Text().upto("One.") == Delta("One.")


@given(st.lists(st.lists(st.text(" ab\n", max_size=5), max_size=3), max_size=6))
def test_deltas_join_to_the_text_and_their_logprobs_to_all(windows: list[list[str]]) -> None:
    text, whole = Text(), Transcript(tuple(segment(one) for window in windows for one in window))
    deltas = [text.more([segment(one) for one in window]) for window in windows] + [text.upto(whole.text)]
    sent = [delta for delta in deltas if delta is not None]
    assert "".join(delta.text for delta in sent) == whole.text
    tokens = tuple(token for one in whole.segments for token in one.logprobs)
    assert tuple(token for delta in sent for token in delta.logprobs) == tokens[: sum(len(d.logprobs) for d in sent)]
