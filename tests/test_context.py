"""RequestContext reports progress and cancels a request."""

import pytest

from transcription.context import RequestContext
from transcription.errors import Cancelled
from transcription.transcript import Segment

SEGMENTS = [Segment(" Hello.", 0.0, 1.0)]


def test_reports_reach_the_callbacks() -> None:
    reports: list[object] = []
    context = RequestContext(lambda *progress: reports.append(progress), reports.append)
    context.report_progress("transcribe", 1.0, 2.0)
    context.report_segments(SEGMENTS)
    assert reports == [("transcribe", 1.0, 2.0), SEGMENTS]


def test_callbacks_are_optional() -> None:
    context = RequestContext()
    context.report_progress("transcribe", 1.0, 2.0)
    context.report_segments(SEGMENTS)
    context.check_cancelled()


def test_is_streaming_only_with_a_callback_for_segments() -> None:
    assert RequestContext(segments=lambda _: None).is_streaming
    assert not RequestContext(lambda *_: None).is_streaming


def test_every_report_after_cancel_raises_cancelled() -> None:
    reports: list[object] = []
    context = RequestContext(lambda *progress: reports.append(progress), reports.append)
    context.cancel()
    for work in (
        context.check_cancelled,
        lambda: context.report_progress("transcribe", 1.0, 2.0),
        lambda: context.report_segments(SEGMENTS),
    ):
        with pytest.raises(Cancelled, match=r"^the request was cancelled$"):
            work()
    assert reports == []


def test_on_cancel_calls_back_once_and_only_inside_its_block() -> None:
    calls: list[str] = []
    context = RequestContext()
    with context.on_cancel(lambda: calls.append("before")):
        pass
    with context.on_cancel(lambda: calls.append("inside")):
        context.cancel()
        context.cancel()
    with context.on_cancel(lambda: calls.append("late")):
        pass
    assert calls == ["inside", "late"]


def test_a_child_is_cancelled_alone_or_with_its_parent() -> None:
    parent = RequestContext()
    with parent.child() as first, parent.child() as second:
        first.cancel()
        with pytest.raises(Cancelled):
            first.check_cancelled()
        second.check_cancelled()
        parent.check_cancelled()
        parent.cancel()
        with pytest.raises(Cancelled):
            second.check_cancelled()


def test_progress_of_children_is_progress_of_the_parent() -> None:
    reports: list[object] = []
    parent = RequestContext(lambda *progress: reports.append(progress))
    for number in range(2):
        with parent.child(number, 2) as child:
            child.report_progress("transcribe", 10.0, 10.0)
    assert reports == [("transcribe", 10.0, 20.0), ("transcribe", 20.0, 20.0)]
