"""A request is followed, and given up, from outside."""

import pytest

from transcription.context import Watch
from transcription.errors import Cancelled
from transcription.transcript import Segment

ONE = [Segment(" Hello.", 0.0, 1.0)]


def test_what_is_told_arrives() -> None:
    told: list[object] = []
    watch = Watch(lambda *done: told.append(done), told.append)
    watch.done("transcribe", 1.0, 2.0)
    watch.heard(ONE)
    assert told == [("transcribe", 1.0, 2.0), ONE]


def test_nobody_has_to_listen() -> None:
    watch = Watch()
    watch.done("transcribe", 1.0, 2.0)
    watch.heard(ONE)
    watch.check()


def test_who_works_on_after_the_end_is_told_so() -> None:
    told: list[object] = []
    watch = Watch(lambda *done: told.append(done), told.append)
    watch.stop()
    for work in (watch.check, lambda: watch.done("transcribe", 1.0, 2.0), lambda: watch.heard(ONE)):
        with pytest.raises(Cancelled, match=r"^the request was cancelled$"):
            work()
    assert told == []


def test_the_end_is_called_out_once_and_only_to_those_inside() -> None:
    calls: list[str] = []
    watch = Watch()
    with watch.on_stop(lambda: calls.append("left before")):
        pass
    with watch.on_stop(lambda: calls.append("inside")):
        watch.stop()
        watch.stop()
    with watch.on_stop(lambda: calls.append("late")):
        pass
    assert calls == ["inside", "late"]


def test_a_branch_ends_by_itself_and_with_the_whole() -> None:
    whole = Watch()
    with whole.branch() as first, whole.branch() as second:
        first.stop()
        with pytest.raises(Cancelled):
            first.check()
        second.check()
        whole.check()
        whole.stop()
        with pytest.raises(Cancelled):
            second.check()


def test_progress_of_parts_is_progress_of_the_whole() -> None:
    told: list[object] = []
    whole = Watch(lambda *done: told.append(done))
    for number in range(2):
        with whole.branch(number, 2) as branch:
            branch.done("transcribe", 10.0, 10.0)
    assert told == [("transcribe", 10.0, 20.0), ("transcribe", 20.0, 20.0)]
