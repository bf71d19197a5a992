"""The scheduler decides without a model: who starts, who waits, and who is stepped."""

from typing import Any

import numpy as np

from transcription.config import InferenceConfig
from transcription.engines.batching.scheduler import Quota, Scheduler
from transcription.engines.batching.window import DecodingRequest, Window, WindowOptions


def request(count: int, scheduler: Scheduler, language: str | None = "en", **fields: Any) -> DecodingRequest:
    """Queue a request of `count` windows of one second."""
    config = InferenceConfig(batch_size=fields.pop("batch_size", 24))
    found = DecodingRequest(config, language, pending_seconds=float(count), **fields)
    for _ in range(count):
        scheduler.add(Window(found, np.zeros(16_000, np.float32)))
    return found


def start_all(scheduler: Scheduler) -> list[Window]:
    """Start all windows that may start."""
    windows = []
    while (window := scheduler.next_window()) is not None:
        windows.append(window)
    return windows


def test_an_empty_scheduler_is_idle_and_starts_nothing() -> None:
    scheduler = Scheduler(Quota(), detects_language=True)
    assert (scheduler.is_idle(), scheduler.has_waiting(), scheduler.next_window()) == (True, False, None)
    assert scheduler.clear() == []


def test_no_more_windows_start_than_there_are_slots() -> None:
    scheduler = Scheduler(Quota(total=4, long=3), detects_language=False)
    request(9, scheduler)
    assert len(start_all(scheduler)) == 3  # one slot is kept for short requests
    request(2, scheduler, is_short=True)
    assert len(start_all(scheduler)) == 1


def test_a_request_has_no_more_windows_than_its_batch_size_for_each_decoder() -> None:
    scheduler = Scheduler(Quota(decoders=3), detects_language=False)
    request(20, scheduler, batch_size=2)
    assert len(start_all(scheduler)) == 6


def test_requests_take_turns_by_how_few_windows_they_have() -> None:
    scheduler = Scheduler(Quota(long=4), detects_language=False)
    first, second = request(9, scheduler), request(9, scheduler)
    assert [window.request for window in start_all(scheduler)] == [first, second, first, second]


def test_short_requests_go_first() -> None:
    scheduler = Scheduler(Quota(), detects_language=False)
    request(1, scheduler)
    short = request(1, scheduler, is_short=True)
    window = scheduler.next_window()
    assert window is not None
    assert window.request is short


def test_a_long_window_waits_while_its_start_would_delay_a_short_request() -> None:
    scheduler = Scheduler(Quota(), detects_language=False)
    short = request(1, scheduler, is_short=True)
    request(1, scheduler)
    window = scheduler.next_window(start_seconds=0.1)
    assert window is not None
    assert window.request is short
    assert scheduler.next_window(start_seconds=0.1) is None
    scheduler.release(window)
    assert scheduler.next_window(start_seconds=0.1) is not None


def test_windows_wait_for_the_one_that_tells_the_language() -> None:
    scheduler = Scheduler(Quota(), detects_language=True)
    unknown = request(3, scheduler, language=None)
    assert len(start_all(scheduler)) == 1
    unknown.language = "de"
    assert len(start_all(scheduler)) == 2


def test_a_streaming_request_gets_more_windows_with_each_result() -> None:
    scheduler = Scheduler(Quota(first=2), detects_language=False)
    request(9, scheduler, is_streaming=True)
    started = start_all(scheduler)
    assert len(started) == 2
    scheduler.release(started[0])
    assert len(start_all(scheduler)) == 3  # four may run now


def test_cancelled_windows_never_start() -> None:
    scheduler = Scheduler(Quota(), detects_language=False)
    window = Window(DecodingRequest(InferenceConfig(), "en"), np.zeros(16_000, np.float32))
    scheduler.add(window)
    window.future.cancel()
    assert (scheduler.next_window(), scheduler.has_waiting(), scheduler.is_idle()) == (None, False, True)


def test_a_requeued_window_starts_again_before_those_behind_it() -> None:
    scheduler = Scheduler(Quota(total=1), detects_language=False)
    found = request(2, scheduler)
    window = scheduler.next_window()
    assert window is not None
    scheduler.requeue(window)
    assert (found.running, found.pending_seconds) == (0, 2.0)
    assert scheduler.next_window() is window


def test_a_window_that_continues_another_one_goes_before_those_behind_it() -> None:
    scheduler = Scheduler(Quota(total=1), detects_language=False)
    asked = request(2, scheduler)
    (first,) = start_all(scheduler)
    rest = Window(asked, first.samples, WindowOptions("en"))
    scheduler.add(rest)
    scheduler.release(first)
    assert start_all(scheduler) == [rest]


def test_clear_returns_all_windows_and_forgets_them() -> None:
    scheduler = Scheduler(Quota(total=1), detects_language=False)
    found = request(3, scheduler)
    running = scheduler.next_window()
    cleared = scheduler.clear()
    assert (len(cleared), cleared[0], found.running, scheduler.is_idle()) == (3, running, 0, True)


def test_long_requests_are_stepped_for_the_delay_that_they_may_add() -> None:
    scheduler = Scheduler(Quota(), detects_language=False)
    steps = [scheduler.rows_to_step(1, 8, short_seconds=0.01, total_seconds=0.014) for _ in range(6)]
    assert steps == [1, 1, 8, 1, 1, 8]  # 0.004 s of delay are saved up in two steps of 0.002 s
    assert scheduler.rows_to_step(0, 8, 0.01, 0.026) == 8
    assert scheduler.rows_to_step(8, 8, 0.026, 0.026) == 8


def test_the_queue_is_a_little_longer_than_what_may_run() -> None:
    scheduler = Scheduler(Quota(total=4, long=3), detects_language=False)
    assert scheduler.queue_limit(DecodingRequest(InferenceConfig(batch_size=2))) == 2 + 4
    assert scheduler.queue_limit(DecodingRequest(InferenceConfig())) == 3 + 4
