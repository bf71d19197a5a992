"""The decoder on damaged recordings: each gives audio or one of the project's own errors, and none ends the process."""

from benchmarks.audio_fuzz import NAMES, case, run


def test_damaged_recordings_give_audio_or_an_error_of_the_project() -> None:
    result = run(0, cases=250)
    assert result.failures == {}
    assert result.decoded + result.refused == 250
    assert result.decoded > 125


def test_a_case_is_the_same_file_every_time() -> None:
    assert case(7) == case(7)
    assert case(7) != case(7 + len(NAMES))


def test_the_fuzz_reports_a_case_that_ends_its_process() -> None:
    result = run(0, 4, "--crash", "2")
    assert list(result.failures) == [2]
    assert "the process ended with 139" in result.failures[2]
    assert result.decoded + result.refused == 3
