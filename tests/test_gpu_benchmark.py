"""The benchmark for a GPU: its limit of an H100, its tables, and a run with small shapes on the CPU."""

import pytest

from benchmarks.gpu.__main__ import main, table_row
from benchmarks.gpu.contenders import CONTENDERS
from benchmarks.gpu.measure import Measurement, long_recording
from benchmarks.gpu.shapes import LARGE_V3, LARGE_V3_TURBO
from tests.conftest import DEMO


def test_limit_of_an_h100_is_that_of_its_arithmetic_and_memory() -> None:
    assert [round(shape.bound(64, 100), -2) for shape in (LARGE_V3_TURBO, LARGE_V3)] == [5700, 2100]
    assert LARGE_V3.bound(1, 100) < LARGE_V3.bound(8, 100) < LARGE_V3.bound(128, 100)
    assert LARGE_V3.bound(8, 0) == LARGE_V3.bound(128, 0)


def test_the_long_recording_fills_a_batch_twice() -> None:
    assert [len(long_recording(batch)) for batch in (1, 32)] == [60 * 16_000, 32 * 60 * 16_000]


def test_a_row_shows_speeds_or_why_there_are_none() -> None:
    measured = Measurement("ours", 8, clips_seconds=0.5, long_seconds=2.0, audio_seconds=480.0, windows=17, memory=9.5)
    assert table_row(LARGE_V3, measured).startswith("| ours | 8 | 16.00 | 8 min | 17 | 240 |")
    assert "| the time was up |" in table_row(LARGE_V3, Measurement("ours", 8, failure="the time was up"))


def test_a_small_run_prints_all_contenders(capsys: pytest.CaptureFixture[str]) -> None:
    small = ["--device", "cpu", "--dtype", "float32", "--tiny", "--rounds", "1"]
    main([*small, "--model", str(DEMO), "--limit", "1"])
    printed = capsys.readouterr().out
    assert "| demo-whisper, 1 recordings | WER | other texts | × real time |" in printed
    assert "| cpu, float32, CUDA graphs | 0.0% | 0 |" in printed
    rows = [
        line.split(" | ") for line in printed.splitlines() if line.startswith(tuple(f"| {one}" for one in CONTENDERS))
    ]
    assert [row[0].removeprefix("| ") for row in rows] == list(CONTENDERS)
    assert [bool(row[7].strip()) for row in rows] == ["assistant" in name for name in CONTENDERS]
