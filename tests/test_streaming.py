"""Deltas of a stream join to the whole text, however windows begin and end."""

import httpx
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.conftest import SAMPLES
from tests.serving import Running
from transcription.server import streaming
from transcription.server.sse import Delta, TextDeltas
from transcription.transcript import Segment, TokenLogprob, Transcript


def segment(text: str) -> Segment:
    return Segment(text, 0.0, 1.0, logprobs=(TokenLogprob(text, text.encode(), -0.5),))


def test_windows_without_text_have_no_delta() -> None:
    deltas = TextDeltas()
    assert [deltas.add([]), deltas.add([segment("  ")]), deltas.advance_to("")] == [None, None, None]


def test_white_space_at_the_end_is_sent_with_the_next_text() -> None:
    deltas = TextDeltas()
    assert deltas.add([segment(" One. ")]) == Delta("One.", segment(" One. ").logprobs)
    assert deltas.add([segment(" Two.")]) == Delta("  Two.", segment(" Two.").logprobs)
    assert deltas.advance_to("One.  Two.") is None


def test_text_of_no_window_is_the_last_delta() -> None:
    assert TextDeltas().advance_to("One.") == Delta("One.")


@given(st.lists(st.lists(st.text(" ab\n", max_size=5), max_size=3), max_size=6))
def test_deltas_join_to_the_text_and_their_logprobs_to_all_logprobs(windows: list[list[str]]) -> None:
    deltas, whole = TextDeltas(), Transcript(tuple(segment(text) for window in windows for text in window))
    results = [deltas.add([segment(text) for text in window]) for window in windows]
    sent = [delta for delta in [*results, deltas.advance_to(whole.text)] if delta is not None]
    assert "".join(delta.text for delta in sent) == whole.text
    tokens = [token for segment in whole.segments for token in segment.logprobs]
    sent_tokens = [token for delta in sent for token in delta.logprobs]
    assert sent_tokens == tokens[: len(sent_tokens)]


@pytest.mark.parametrize(
    ("path", "keep_alive"), [("/v1/audio/transcriptions", ": keep-alive\n\n"), ("/ui/transcribe", "\n\n")]
)
def test_stream_sends_keep_alives_between_events(
    server: Running, monkeypatch: pytest.MonkeyPatch, path: str, keep_alive: str
) -> None:
    monkeypatch.setattr(streaming, "KEEP_ALIVE_SECONDS", 0.01)
    file = SAMPLES["short"].path.read_bytes()
    fields = {"stream": "true"} if path.startswith("/v1") else {}
    answer = httpx.post(server.url + path, files={"file": file}, data=fields, timeout=60)
    assert keep_alive in answer.text
