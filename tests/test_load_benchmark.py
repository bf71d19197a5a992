"""The benchmark under load, with few requests on the demo model."""

import json

import pytest

from benchmarks.load import main, percentiles


def test_percentiles_of_latencies() -> None:
    assert percentiles([1.0, 2.0, 3.0]) == {"p50": 2.0, "p95": pytest.approx(2.9)}


def test_clients_of_the_server_are_measured(capsys: pytest.CaptureFixture[str]) -> None:
    main(["clients", "--contender", "server", "--requests", "3"])
    result = json.loads(capsys.readouterr().out.splitlines()[-1])
    assert sorted(result) == ["p50", "p95", "rate", "speed"]
    assert result["speed"] == pytest.approx(7 * result["rate"], rel=0.1)


def test_the_soak_prints_memory_after_each_step(capsys: pytest.CaptureFixture[str]) -> None:
    main(["soak", "--requests", "2"])
    rows = capsys.readouterr().out.splitlines()[2:]
    assert [row.split(" | ")[0] for row in rows] == ["| 0", "| 2"]
