"""A request is followed, and given up, from outside."""

import pytest

from transcription.context import RequestContext
from transcription.errors import Cancelled
from transcription.transcript import Segment

ONE = [Segment(" Hello.", 0.0, 1.0)]


def test_what_is_told_arrives() -> None:
    told: list[object] = []
    context = RequestContext(lambda *done: told.append(done), told.append)
    context.report_progress("transcribe", 1.0, 2.0)
    context.report_segments(ONE)
    assert told == [("transcribe", 1.0, 2.0), ONE]


def test_nobody_has_to_listen() -> None:
    context = RequestContext()
    context.report_progress("transcribe", 1.0, 2.0)
    context.report_segments(ONE)
    context.check_cancelled()


def test_who_works_on_after_the_end_is_told_so() -> None:
    told: list[object] = []
    context = RequestContext(lambda *done: told.append(done), told.append)
    context.cancel()
    for work in (
        context.check_cancelled,
        lambda: context.report_progress("transcribe", 1.0, 2.0),
        lambda: context.report_segments(ONE),
    ):
        with pytest.raises(Cancelled, match=r"^the request was cancelled$"):
            work()
    assert told == []


def test_the_end_is_called_out_once_and_only_to_those_inside() -> None:
    calls: list[str] = []
    context = RequestContext()
    with context.on_cancel(lambda: calls.append("left before")):
        pass
    with context.on_cancel(lambda: calls.append("inside")):
        context.cancel()
        context.cancel()
    with context.on_cancel(lambda: calls.append("late")):
        pass
    assert calls == ["inside", "late"]


def test_a_branch_ends_by_itself_and_with_the_whole() -> None:
    whole = RequestContext()
    with whole.child() as first, whole.child() as second:
        first.cancel()
        with pytest.raises(Cancelled):
            first.check_cancelled()
        second.check_cancelled()
        whole.check_cancelled()
        whole.cancel()
        with pytest.raises(Cancelled):
            second.check_cancelled()


def test_progress_of_parts_is_progress_of_the_whole() -> None:
    told: list[object] = []
    whole = RequestContext(lambda *done: told.append(done))
    for number in range(2):
        with whole.child(number, 2) as branch:
            branch.report_progress("transcribe", 10.0, 10.0)
    assert told == [("transcribe", 10.0, 20.0), ("transcribe", 20.0, 20.0)]
