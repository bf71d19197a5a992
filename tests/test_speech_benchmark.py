"""The harness for accuracy on real speech: its counts, its results, its tables, and a run on the demo model."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from benchmarks.speech.__main__ import main
from benchmarks.speech.contenders import OURS
from benchmarks.speech.recordings import Recording, Turn, choose, group_of, read_manifest, without_speech
from benchmarks.speech.report import report
from benchmarks.speech.results import Hypothesis, Result, append_result, files_done_by_all, read_results
from benchmarks.speech.scoring import (
    Errors,
    edit_errors,
    overlap_errors,
    recording_errors,
    split_units,
    turn_start_errors,
)
from benchmarks.speech.speed import report as speed_report
from tests.conftest import DEMO, SAMPLES

NO_SAMPLES = np.zeros(0, np.float32)


def recording(file: str = "a.wav", group: str = "clean", text: str | None = "red green", **fields: Any) -> Recording:
    """Return a recording without samples."""
    return Recording(file, fields.pop("language", "en"), group, text, NO_SAMPLES, **fields)


def line(**fields: Any) -> dict[str, Any]:
    """Return a line of a manifest."""
    return {"file": "a.wav", "language": "en", "kind": "clean read", "seconds": 5.0, "text": "red green"} | fields


@pytest.mark.parametrize(
    ("truth", "hypothesis", "errors"),
    [
        ("a b c", "a b c", Errors(hits=3)),
        ("a b c", "a x c", Errors(hits=2, substitutions=1)),
        ("a b c", "a c", Errors(hits=2, deletions=1)),
        ("a b c", "a b c d e", Errors(hits=3, insertions=2)),
        ("a b", "", Errors(deletions=2)),
        ("", "a b", Errors(insertions=2)),
        ("", "", Errors()),
    ],
)
def test_counts_hits_and_errors(truth: str, hypothesis: str, errors: Errors) -> None:
    assert edit_errors(truth.split(), hypothesis.split()) == errors


def test_error_rate_is_errors_per_word_of_the_truth() -> None:
    errors = Errors(hits=6, substitutions=1, insertions=2, deletions=1)
    assert (errors.length, errors.rate, errors.invented) == (8, 0.5, 3)
    assert Errors(insertions=3).rate is None
    assert errors + Errors(hits=2) == Errors(hits=8, substitutions=1, insertions=2, deletions=1)


@pytest.mark.parametrize(
    ("text", "language", "unit", "units"),
    [
        ("Uh, it's Mr. Hale: twenty-one!", "en", "words", ["it", "is", "mister", "hale", "21"]),
        ("Für Männer – und Frauen.", "de", "words", ["für", "männer", "und", "frauen"]),
        ("净空 15 米。", "zh", "characters", ["净", "空", "1", "5", "米"]),
        ("Scotturb 403 路公共", "zh", "mixed", ["scotturb", "403", "路", "公", "共"]),
        ("", "en", "words", []),
    ],
)
def test_splits_normalised_text_into_units(text: str, language: str, unit: Any, units: list[str]) -> None:
    assert split_units(text, language, unit) == units


def test_scores_a_recording_in_the_unit_of_its_group() -> None:
    assert recording_errors(recording(), "Red, blue.") == Errors(hits=1, substitutions=1)
    chinese = recording(group="characters", language="zh", text="广州市")
    assert recording_errors(chinese, "广州。") == Errors(hits=2, deletions=1)
    assert recording_errors(recording(text=None), "Red") is None
    assert recording_errors(recording(group="no-speech", text="", language=""), "Thank you.") == Errors(insertions=2)


def test_overlapping_speakers_may_be_written_in_any_order() -> None:
    utterances = (Turn("A", 0.0, "do you see it"), Turn("B", 0.5, "Mm-hmm."), Turn("B", 0.6, "yes I do"))
    assert overlap_errors(utterances, ["yes", "i", "do", "do", "you", "see", "it"]) == Errors(hits=7)
    lossy = ["do", "you", "see", "yes", "i", "do", "so"]
    assert overlap_errors(utterances, lossy) == Errors(hits=6, insertions=1, deletions=1)
    assert overlap_errors(utterances, []) == Errors(deletions=7)
    assert overlap_errors((Turn("B", 0.5, "Mm-hmm."),), ["well"]) == Errors(insertions=1)


def test_start_of_a_turn_is_compared_with_the_start_of_its_first_word() -> None:
    turns = (Turn("A", 0.5, "Good morning."), Turn("B", 2.0, "It's late."), Turn("A", 4.0, "Why?"))
    words = ((" Good", 0.625, 0.9), (" morning.", 0.9, 1.4), (" It's", 1.75, 2.2), (" late.", 2.2, 2.5))
    assert turn_start_errors(turns, words, "en") == [0.125, -0.25, None]
    assert turn_start_errors(turns, (), "en") == [None, None, None]
    assert turn_start_errors((), words, "en") == []


@pytest.mark.parametrize(
    ("fields", "group"),
    [
        ({}, "clean"),
        ({"kind": "other-language", "language": "fr"}, "languages"),
        ({"kind": "other-language", "language": "ja"}, "characters"),
        ({"kind": "conversation", "turns": "a.json"}, "meetings"),
        ({"kind": "conversation", "turns": "a.json", "seconds": 30.0}, "no-speech"),
        ({"kind": "telephone"}, "conversation"),
        ({"kind": "long", "language": "de"}, "long"),
        ({"kind": "code-switch", "language": "zh"}, "code-switch"),
        ({"text": None, "seconds": 30.0}, "clean"),
    ],
)
def test_groups_lines_of_a_manifest(fields: dict[str, Any], group: str) -> None:
    assert group_of(line(**fields)) == group


def test_reads_a_manifest_with_turns(tmp_path: Path) -> None:
    turn = {"speaker": "A", "start": 0.5, "text": "red", "end": 1.0}
    (tmp_path / "clips.json").write_text(json.dumps([turn]))
    (tmp_path / "manifest.jsonl").write_text(
        json.dumps(line()) + "\n" + json.dumps(line(kind="conversation", clips="clips.json")) + "\n"
    )
    assert read_manifest(tmp_path / "manifest.jsonl") == [
        Recording("a.wav", "en", "clean", "red green", tmp_path / "a.wav"),
        Recording("a.wav", "en", "conversation", "red green", tmp_path / "a.wav", (Turn("A", 0.5, "red"),)),
    ]


def test_sounds_without_speech_are_the_same_in_every_run() -> None:
    first, second = without_speech(), without_speech()
    assert all(np.array_equal(one.load(), other.load()) for one, other in zip(first, second, strict=True))
    assert all(0 <= np.abs(sound.load()).max() < 1 for sound in first)
    assert {sound.group for sound in first} == {"no-speech"}


def test_takes_recordings_of_each_group_in_turn() -> None:
    names = [("a", "clean"), ("b", "clean"), ("c", "clean"), ("d", "long"), ("e", "meetings")]
    recordings = [recording(file, group) for file, group in names]
    assert [one.file for one in choose(recordings, ["clean", "long"], None)] == ["a", "d", "b", "c"]
    assert [one.file for one in choose(recordings, ["clean", "long"], 1)] == ["a", "d"]


def test_results_are_read_as_they_were_written(tmp_path: Path) -> None:
    path = tmp_path / "results.jsonl"
    assert read_results(path) == {}
    results = [
        Result("ours", "a.wav", 1.5, 3.0, Hypothesis("Für", "de", ((" Für", 0.0, 0.5),))),
        Result("pipeline", "a.wav", 2.0, 3.0, Hypothesis("")),
        Result("sure", "a.wav", 2.0, 3.0, Hypothesis("Für", "de", ((" Für", 0.0, 0.5),), (0.5,))),
    ]
    for result in results:
        append_result(path, result)
    assert list(read_results(path).values()) == results


def test_results_without_probabilities_are_read(tmp_path: Path) -> None:
    path = tmp_path / "results.jsonl"
    path.write_text(
        '{"contender": "ours", "file": "a.wav", "seconds": 1.5, "audio_seconds": 3.0,'
        ' "hypothesis": {"text": "Red", "language": "en", "words": [[" Red", 0.0, 0.5]]}}\n'
    )
    expected = Result("ours", "a.wav", 1.5, 3.0, Hypothesis("Red", "en", ((" Red", 0.0, 0.5),)))
    assert list(read_results(path).values()) == [expected]


def test_only_recordings_that_all_contenders_have_done_are_compared() -> None:
    results = [Result(name, file, 1.0, 1.0, Hypothesis("")) for name, file in ("xa", "xb", "yb", "zb")]
    assert files_done_by_all(results, ["x", "y"]) == {"b"}


def test_reports_rates_by_group_and_everything_else() -> None:
    recordings = [
        recording("a", "clean", "red green blue grey"),
        recording("b", "long", "red green", turns=(Turn("A", 1.0, "red"), Turn("B", 2.0, "green"))),
        recording("c", "no-speech", ""),
        recording("d", "clean", None),
    ]
    hypotheses = [
        Hypothesis("Red green blue.", "en"),
        Hypothesis("Red green", "de", ((" Red", 1.25, 1.5), (" green", 2.5, 3.0))),
        Hypothesis("you", "en"),
        Hypothesis("black", "en"),
    ]
    results = {
        ("ours", one.file): Result("ours", one.file, 2.0, 10.0, hypothesis)
        for one, hypothesis in zip(recordings, hypotheses, strict=True)
    }
    rates, others = report(recordings, results, ["ours"]).split("\n\n")
    assert rates.splitlines() == [
        "| WER (recordings) | clean English (1) | long (1) |",
        "| --- | --- | --- |",
        "| ours | 25.0% | 0.0% |",
    ]
    assert others.splitlines()[-1] == "| ours | 1 | 1 of 6 | 2 of 3 | 2 of 2 | 0.38 s | 50% | 8 | 5.0 |"


def test_reports_nothing_about_no_recordings() -> None:
    assert report([], {}, ["ours"]).splitlines()[-1] == "| ours | – | 0 of 0 | – | 0 of 0 | – | – | 0 | – |"


def test_transcribes_a_manifest_once(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    short, noisy = SAMPLES["short"], SAMPLES["noisy"]
    clips = [{"speaker": "A", "start": start, "text": text} for start, _, text in noisy.truth["segments"]]
    (tmp_path / "clips.json").write_text(json.dumps(clips))
    lines = [
        line(file=str(short.path), text=short.truth["text"]),
        line(file=str(noisy.path), text=noisy.truth["text"], kind="noisy", clips="clips.json"),
    ]
    (tmp_path / "manifest.jsonl").write_text("".join(json.dumps(one) + "\n" for one in lines))
    arguments = [
        "--model", str(DEMO), "--recordings", str(tmp_path / "manifest.jsonl"),
        "--groups", "clean", "conversation", "--output", str(tmp_path / "results"),
    ]  # fmt: skip
    main(arguments)
    first = capsys.readouterr().out
    assert first.startswith("2 of 2 recordings.")
    assert "| ours | 0.0% |" in first
    results = (tmp_path / "results" / "results.jsonl").read_text()
    assert len(results.splitlines()) == 2 * len(OURS)
    main(arguments)
    assert capsys.readouterr().out == first
    main([*arguments, "--report-only", "--contenders", "ours", "ours, sequential"])
    others = tuple(f"| {name} |" for name in OURS if name not in ("ours", "ours, sequential"))
    assert capsys.readouterr().out == "".join(row for row in first.splitlines(True) if not row.startswith(others))
    assert (tmp_path / "results" / "results.jsonl").read_text() == results


def test_the_table_of_times_compares_contenders_of_the_same_rounds() -> None:
    def time_of(contender: str, number: int, seconds: float) -> dict[str, object]:
        measured = {"seconds": seconds, "audio": 11.0, "rate": 0.25, "memory": 900.0}
        return {"contender": contender, "shape": "short", "round": number, **measured}

    faster = "faster-whisper, int8, 1 beam"
    lines = [time_of("ours", 0, 1.0), time_of("ours", 1, 1.2)]
    lines += [time_of(faster, 0, 2.0), time_of(faster, 1, 4.0), time_of(faster, 2, 1.0)]
    assert speed_report(lines).splitlines() == [
        "| short, 11 s | time | ours ÷ this | × real time | WER | peak MB |",
        "|---|---|---|---|---|---|",
        "| ours | 1.10 s | 1.00 | 10 | 25.0% | 900 |",
        f"| {faster} | 3.00 s | 0.40 | 4 | 25.0% | 900 |",
    ]
    assert speed_report([]) == ""
