"""The command `transcribe`."""

import base64
import io
import json
import shutil
import signal
import subprocess
import sys
from itertools import islice
from pathlib import Path
from types import SimpleNamespace

import pytest

from tests.conftest import ASSISTANT, DEMO, DIARIZATION, ROOT, SAMPLES
from tests.serving import until
from tests.voice_samples import data_uri, talk
from transcription.cli import inputs
from transcription.cli import transcribe as cli

SHORT = str(SAMPLES["short"].path)
COMMAND = [sys.executable, "-m", "transcription.cli.transcribe"]
MODEL = ["--model", str(DEMO), "--quiet"]


def test_prints_a_transcript_for_reading(capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main([SHORT, *MODEL, "--timestamps", "word"]) == 0
    first, second, third = capsys.readouterr().out.splitlines()[:3]
    assert first.startswith("6.8 s, language en (detected, ")
    assert "→" in second
    assert len(third.split()) >= 2


@pytest.mark.parametrize("format_name", ["json", "srt", "verbose_json"])
def test_writes_one_file_per_input_to_the_output_dir(tmp_path: Path, format_name: str) -> None:
    names = [SHORT, str(ROOT / "samples" / "sil*.m4a")]
    assert cli.main([*names, *MODEL, "--format", format_name, "--output-dir", str(tmp_path / "out")]) == 0
    extension = {"srt": "srt"}.get(format_name, "json")
    assert sorted(path.name for path in (tmp_path / "out").iterdir()) == [f"short.{extension}", f"silence.{extension}"]


def test_writes_several_formats_at_once(tmp_path: Path) -> None:
    call = [SHORT, *MODEL, "--output-dir", str(tmp_path), "--format", "srt,vtt", "--output-format", "verbose_json,ass"]
    assert cli.main([*call, "--max-line-width", "20"]) == 0
    assert sorted(path.name for path in tmp_path.iterdir()) == ["short.ass", "short.json", "short.srt", "short.vtt"]
    lines = (tmp_path / "short.srt").read_text().splitlines()
    assert max(len(line) for line in lines if "-->" not in line) <= 20
    assert "words" not in json.loads((tmp_path / "short.json").read_text())  # only the subtitles need their times


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--format", "srt,vtt"], "several formats need --output-dir"),
        (["--format", "json,verbose_json", "--output-dir", "."], "the formats json and verbose_json have the same"),
        (["--max-line-width", "wide"], "max_line_width: "),
    ],
)
def test_formats_and_parameters_that_cannot_be_are_an_error(
    arguments: list[str], message: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert cli.main([SHORT, *MODEL, *arguments]) == 2
    assert capsys.readouterr().err.startswith(f"error: {message}")


def test_reads_standard_input(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "stdin", SimpleNamespace(buffer=io.BytesIO(SAMPLES["short"].path.read_bytes())))
    assert cli.main(["-", *MODEL, "--format", "json"]) == 0
    piped = json.loads(capsys.readouterr().out)
    assert cli.main([SHORT, *MODEL, "--format", "json", "--assistant", str(ASSISTANT)]) == 0
    assert piped == json.loads(capsys.readouterr().out)


def test_a_bad_file_does_not_stop_the_others(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    bad = tmp_path / "bad.wav"
    bad.write_bytes(b"no audio")
    assert cli.main([str(bad), str(tmp_path / "nothing*.wav"), SHORT, *MODEL, "--format", "text"]) == 1
    output = capsys.readouterr()
    assert output.out.strip()
    assert [line.rsplit("/", 1)[-1].split(": ")[0] for line in output.err.splitlines()] == ["bad.wav", "nothing*.wav"]


def test_without_a_model_the_error_names_the_variable(capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main([SHORT]) == 2
    assert capsys.readouterr().err.startswith("error: ASR_MODEL is not set")


def test_help_has_every_option_and_examples() -> None:
    output = subprocess.run([*COMMAND, "--help"], capture_output=True, text=True, check=True).stdout
    assert output.startswith("usage: transcribe [-h]")
    assert "--timestamps" in output
    assert "examples:" in output


def test_help_does_not_import_torch() -> None:
    code = """
import sys
from transcription.cli.transcribe import main
try:
    main(["--help"])
except SystemExit:
    print(sorted({"torch", "transformers", "librosa", "av"} & set(sys.modules)))
"""
    output = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, cwd=ROOT).stdout
    assert output.splitlines()[-1] == "[]"


SPEAKERS = ["--diarization-model", str(DIARIZATION), "--num-speakers", "3"]
MEETING = str(SAMPLES["meeting"].path)


def test_prints_a_timeline_and_the_speaker_of_each_segment(capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main([MEETING, *MODEL, *SPEAKERS]) == 0
    first, *lines = capsys.readouterr().out.splitlines()
    assert first.endswith(", 3 speakers")
    assert [line.split()[0] for line in lines[:3]] == ["SPEAKER_00", "SPEAKER_01", "SPEAKER_02"]
    lines = lines[3:]
    assert {line.split("] ")[1].split(": ")[0] for line in lines} == {"SPEAKER_00", "SPEAKER_01", "SPEAKER_02"}


def test_writes_rttm_to_a_file(tmp_path: Path) -> None:
    assert cli.main([MEETING, *MODEL, *SPEAKERS, "--format", "rttm", "--output-dir", str(tmp_path)]) == 0
    lines = (tmp_path / "meeting.rttm").read_text().splitlines()
    assert {line.split()[0] for line in lines} == {"SPEAKER"}


def test_multichannel_has_one_speaker_per_channel(capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main([str(SAMPLES["call"].path), *MODEL, "--multichannel", "--format", "diarized_json"]) == 0
    document = json.loads(capsys.readouterr().out)
    assert {segment["speaker"] for segment in document["segments"]} == {"A", "B"}


def test_a_wrong_diarization_model_fails_only_if_it_is_used(capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main([SHORT, *MODEL, "--diarization-model", str(ROOT / "samples")]) == 2
    message = "error: DIARIZATION_MODEL samples is not a pyannote pipeline: it has no config.yaml\n"
    assert capsys.readouterr().err == message
    assert cli.main([SHORT, *MODEL, "--no-diarize", "--diarization-model", str(ROOT / "samples")]) == 0


def test_speaker_counts_without_a_diarization_model_are_a_warning(capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main([SHORT, *MODEL, "--num-speakers", "2"]) == 0
    assert "warning: short.wav: speakers are missing" in capsys.readouterr().err
    assert cli.main([SHORT, *MODEL, "--num-speakers", "0"]) == 2


class TestWatch:
    """The option --watch."""

    def test_yields_files_that_have_stopped_growing_and_skips_done_ones(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        a, b, done = (tmp_path / name for name in ("a.wav", "b.FLAC", "done.mp3"))
        for path in (a, done, tmp_path / "notes.txt"):
            path.write_bytes(b"1")
        between_polls = iter([(b, b"1"), (b, b"12"), None, (a, b"another"), None])

        def sleep(_: float) -> None:
            if (written := next(between_polls)) is not None:
                written[0].write_bytes(written[1])

        monkeypatch.setattr(inputs, "time", SimpleNamespace(sleep=sleep))
        names = islice(inputs.watch(tmp_path, lambda path: path == done), 3)
        assert [Path(name).name for name in names] == ["a.wav", "b.FLAC", "a.wav"]
        assert list(between_polls) == []

    def test_transcribes_new_files_until_it_is_interrupted(self, tmp_path: Path) -> None:
        inbox, out = tmp_path / "inbox", tmp_path / "out"
        inbox.mkdir()
        (inbox / "bad.wav").write_bytes(b"no audio")
        command = [*COMMAND, *MODEL, "--watch", str(inbox), "--output-dir", str(out)]
        with subprocess.Popen([*command, "--format", "text"], stderr=subprocess.PIPE, text=True) as process:
            shutil.copy(SHORT, inbox / "first.wav")
            until((out / "first.txt").exists)
            shutil.copy(SHORT, inbox / "second.wav")
            until((out / "second.txt").exists)
            process.send_signal(signal.SIGINT)
            _, errors = process.communicate(timeout=60)
        assert process.returncode == 130
        assert [line.split("bad.wav: ")[-1] for line in errors.splitlines()] == [
            "the audio cannot be decoded: send wav, flac, mp3, ogg, m4a or webm"
        ]

    @pytest.mark.parametrize(
        ("arguments", "message"),
        [
            ([], "name at least one file, or a directory with --watch"),
            (["--watch", "."], "--watch needs --output-dir"),
            (["a.wav", "--watch", ".", "--output-dir", "."], "--watch cannot be combined with files"),
            (["a.wav", "b.wav", "--align", "Hello."], "--align is the text of one recording"),
            (["*.wav", "--align", "Hello."], "--align is the text of one recording"),
            (["a.wav", "--align", " … "], "align: there are no words"),
            (["a.wav", "--align", "Hello.", "--task", "translate"], "align cannot be combined with task translate"),
            (["--watch", "nowhere", "--output-dir", "."], "--watch nowhere is not a directory"),
        ],
    )
    def test_wrong_options_are_an_error(
        self, arguments: list[str], message: str, capsys: pytest.CaptureFixture[str]
    ) -> None:
        assert cli.main([*arguments, *MODEL]) == 2
        assert capsys.readouterr().err.startswith(f"error: {message}")


class TestVoices:
    """Known speakers on the command line."""

    OPTIONS = ("--diarization-model", str(DIARIZATION), "--known-speaker-threshold", "0.9", "--format", "rttm")

    def speakers(self, capsys: pytest.CaptureFixture[str], *arguments: str) -> set[str]:
        assert cli.main([str(SAMPLES["meeting"].path), *MODEL, *self.OPTIONS, *arguments]) == 0
        return {line.split()[7] for line in capsys.readouterr().out.splitlines()}

    def test_a_sample_gives_a_name_and_the_saved_voices_give_it_again(
        self, capsys: pytest.CaptureFixture[str], tmp_path: Path
    ) -> None:
        sample, voices = tmp_path / "maria.wav", tmp_path / "voices.json"
        sample.write_bytes(base64.b64decode(data_uri(talk("meeting", "speaker 2", 4).samples).partition(",")[2]))
        named = {"SPEAKER_00", "Maria", "SPEAKER_01"}
        assert self.speakers(capsys, "--speaker", f"Maria={sample}", "--save-voices", str(voices)) == named
        assert set(json.loads(voices.read_text())) == named
        assert self.speakers(capsys, "--voices", str(voices)) == named

    @pytest.mark.parametrize(
        ("arguments", "message"),
        [
            (["--speaker", "Maria"], "--speaker Maria is no name and file: give e.g. --speaker Maria=maria.wav"),
            (["--speaker", "Maria=nothing.wav"], "--speaker Maria=nothing.wav cannot be read: No such file"),
            (["--speaker", f"Maria={SHORT}", "--speaker", f"Maria={SHORT}"], "the name is given twice"),
            (["--voices", "nothing.json"], "--voices nothing.json cannot be read: No such file"),
            (["--voices", SHORT], "is not a file of voices: make one with transcribe --save-voices"),
            (["--no-diarize", "--speaker", f"Maria={SHORT}"], "known_speakers and voiceprints need diarization"),
        ],
    )
    def test_wrong_options_are_an_error(
        self, arguments: list[str], message: str, capsys: pytest.CaptureFixture[str]
    ) -> None:
        assert cli.main([SHORT, *MODEL, *arguments]) == 2
        assert message in capsys.readouterr().err
