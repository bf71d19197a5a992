"""The benchmark of speculation: how it cuts windows and chooses layers, and a run on the demo model."""

import json
import random
from collections import Counter
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from benchmarks.speculation.__main__ import main
from benchmarks.speculation.measuring import Drafts, Result, row
from benchmarks.speculation.training import evenly_spaced
from benchmarks.speculation.windows import cut, joined, matches
from benchmarks.speech.recordings import Recording
from tests.conftest import DEMO, SAMPLES
from transcription.audio import SAMPLE_RATE
from transcription.config import ModelSettings
from transcription.whisper.loading import load_assistant, load_checkpoint


def recording(seconds: float, language: str = "en") -> Recording:
    """Return a recording that is as loud as it is long."""
    samples = np.full(int(seconds * SAMPLE_RATE), seconds / 100, np.float32)
    return Recording("a.wav", language, "clean", None, samples)


def test_layers_are_evenly_spaced_between_the_first_and_the_last() -> None:
    assert [evenly_spaced(6, count) for count in (1, 2, 3, 6)] == [[5], [0, 5], [0, 2, 5], [0, 1, 2, 3, 4, 5]]
    assert evenly_spaced(32, 2) == [0, 31]


def test_patterns_choose_recordings_by_name() -> None:
    assert matches("libri-367-1.flac", ["conv-*", "libri-367-*"])
    assert not matches("libri-533-1.flac", ["conv-*", "libri-367-*"])
    assert not matches("libri-533-1.flac", [])


def test_clips_of_one_language_are_joined_and_each_is_in_one_window() -> None:
    clips = [recording(seconds) for seconds in (1, 2, 3, 14, 15)] + [recording(4, "de"), recording(17)]
    found = list(joined(clips, random.Random(0)))
    assert all(len(window.samples) <= 30 * SAMPLE_RATE for window in found)
    levels = Counter(
        (window.language, float(level)) for window in found for level in np.unique(window.samples) if level
    )
    expected = [("en", seconds) for seconds in (1, 2, 3, 14, 15)] + [("de", 4)]
    assert levels == Counter((language, float(np.float32(seconds / 100))) for language, seconds in expected)
    assert list(joined([], random.Random(0))) == []


def test_only_long_recordings_are_cut_at_another_place() -> None:
    recordings = [recording(5), recording(40)]
    assert sum(len(window.samples) for window in cut(recordings)) == 45 * SAMPLE_RATE
    assert sum(len(window.samples) for window in cut(recordings, 10.0)) == 30 * SAMPLE_RATE
    assert list(cut([])) == []


def test_a_row_shows_what_became_of_the_drafts() -> None:
    drafts = Drafts(accepted=30, tried=40, by_length=Counter({0: 10, 2: 20, 4: 10}))
    shown = row(Result(8, "unheard", "auto", 5, 0.75, 1, drafts))
    assert shown == "| 8 | 5 unheard | auto | 0.75 | 75% | 2.7 | 0.75 | 1 |"
    assert row(Result(1, "heard", "false", 5, 1.0, 0, Drafts())) == "| 1 | 5 heard | false | 1.00 | 0% |  |  | 0 |"


def test_distils_an_assistant_that_shares_the_encoder_and_measures_it(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    lines: list[dict[str, Any]] = [
        {"file": str(SAMPLES[name].path), "language": "en", "kind": "clean read", "seconds": 7.0, "text": None}
        for name in ("short", "noisy")
    ]
    (tmp_path / "manifest.jsonl").write_text("".join(json.dumps(one) + "\n" for one in lines))
    folder = tmp_path / "assistant"
    common = ["--model", str(DEMO), "--recordings", str(tmp_path / "manifest.jsonl"), "--assistant", str(folder)]
    distilling = ["distil", *common, "--unheard", "*noisy*", "--layers", "1", "--passes", "1", "--batch", "2"]
    main([*distilling, "--steps", "2"])
    main([*distilling, "--steps", "3"])  # it goes on
    assert [line.split("  ")[0] for line in capsys.readouterr().out.splitlines() if "step" in line] == [
        "step 2/2",
        "step 3/3",
    ]
    settings = ModelSettings.from_environment(asr_model=str(DEMO), assistant_model=str(folder))
    assistant = load_assistant(settings, load_checkpoint(settings))
    assert type(assistant).__name__ == "WhisperForCausalLM"
    assert assistant.config.decoder_layers == 1
    main(["measure", *common, "--slots", "2", "--rounds", "1"])
    rows = [line.split(" | ") for line in capsys.readouterr().out.splitlines()[2:]]
    assert [(one[0], one[1], one[2], one[7]) for one in rows] == [
        ("| 2", f"1 {group}", mode, "0 |") for group in ("unheard", "heard") for mode in ("false", "auto", "true")
    ]
    assert [one[4] for one in rows if one[2] == "true"] == ["100%", "100%"]
