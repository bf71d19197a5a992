"""The command `transcribe --live`, with a pipe of raw samples."""

import io
import json
import sys
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest

from tests.conftest import DEMO, SAMPLES
from transcription.audio import SAMPLE_RATE
from transcription.cli import transcribe as cli
from transcription.cli.live import Printer, listen
from transcription.config import InferenceConfig
from transcription.transcriber import Transcriber

COMMAND = ["--live", "-", "--model", str(DEMO)]
SPEECH = np.concatenate([SAMPLES["short"].audio.samples, np.zeros(SAMPLE_RATE, np.float32)])


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


def pipe(monkeypatch: pytest.MonkeyPatch, data: bytes) -> None:
    """Make the data standard input."""
    monkeypatch.setattr(sys, "stdin", SimpleNamespace(buffer=io.BytesIO(data)))


def test_a_pipe_is_written_as_json_lines_and_as_subtitles(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    pipe(monkeypatch, (SPEECH * 32767).astype("<i2").tobytes())
    assert cli.main([*COMMAND, "--format", "srt,jsonl", "--output-dir", str(tmp_path)]) == 0
    lines = (tmp_path / "standard-input.jsonl").read_text().splitlines()
    turns = [json.loads(line) for line in lines]
    assert turns
    assert all([word["word"] for word in turn["words"]] == turn["text"].split() for turn in turns)
    subtitles = (tmp_path / "standard-input.srt").read_text().split("\n")
    shown = " ".join(line for line in subtitles if line and not line.isdigit() and "-->" not in line)
    assert shown.split() == " ".join(turn["text"] for turn in turns).split()


def test_silence_is_an_empty_transcript(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    pipe(monkeypatch, bytes(2 * SAMPLE_RATE))
    assert cli.main(COMMAND) == 0
    assert capsys.readouterr().out == ""


def test_words_on_a_terminal_grow_in_one_line_until_the_turn_ends(transcriber: Transcriber) -> None:
    terminal = Terminal()
    pieces = iter(np.array_split(SPEECH, 60))
    transcript = listen(transcriber, InferenceConfig(), pieces, Printer(terminal))
    shown = [line.rpartition("\r\x1b[K")[2] for line in terminal.getvalue().split("\n")[:-1]]
    assert [line.partition("] ")[2] for line in shown] == [segment.text.strip() for segment in transcript.segments]
    assert terminal.getvalue().count("\r\x1b[K") > 1


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--live", "talk.mp3"], "--live takes no files"),
        (["--live", "--watch", "."], "--live takes no files"),
        (["--live", "-", "--batch-size", "4"], "--batch-size has no effect with --live"),
        (["--live", "-", "--align", "words"], "--align has no effect with --live"),
        (["--live", "-", "--turns", "turns.rttm"], "--turns has no effect with --live"),
        (["--live", "-", "--format", "srt,jsonl"], "several formats need --output-dir"),
        (["talk.mp3", "--format", "jsonl"], "the format jsonl needs --live"),
    ],
)
def test_options_without_effect_are_an_error(
    arguments: list[str], message: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert cli.main(arguments) == 2
    assert message in capsys.readouterr().err


def test_an_audio_file_in_the_pipe_is_an_error(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    pipe(monkeypatch, SAMPLES["short"].path.read_bytes())
    assert cli.main(COMMAND) == 1
    assert "standard input is an audio file" in capsys.readouterr().err
