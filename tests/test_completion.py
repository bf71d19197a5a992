"""Shell completion of the commands."""

import shutil
import subprocess
import sys

import pytest

from transcription.cli import archive, export, serve, transcribe

PARSERS = {
    "transcribe": transcribe.parser, "transcribe-server": serve.parser, "transcribe-archive": archive.parser,
    "transcribe-export": export.parser,
}  # fmt: skip
COMPLETE = """
source /dev/stdin
COMP_WORDS=(transcribe {word}) COMP_CWORD=1
"$(complete -p transcribe | sed 's/.*-F \\([^ ]*\\).*/\\1/')"
printf '%s\\n' "${{COMPREPLY[@]}}"
"""


def script(command: str, shell: str, capsys: pytest.CaptureFixture[str]) -> str:
    with pytest.raises(SystemExit) as ended:
        PARSERS[command]().parse_args(["--print-completion", shell])
    assert ended.value.code == 0
    return capsys.readouterr().out


@pytest.mark.parametrize("command", PARSERS)
@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_every_command_prints_a_script_that_its_shell_reads(
    command: str, shell: str, capsys: pytest.CaptureFixture[str]
) -> None:
    text = script(command, shell, capsys)
    assert command in text
    if shutil.which(shell):
        assert subprocess.run([shell, "-n"], input=text, capture_output=True, text=True, check=False).stderr == ""


@pytest.mark.skipif(shutil.which("bash") is None, reason="bash is not installed")
def test_bash_completes_the_options_of_a_request(capsys: pytest.CaptureFixture[str]) -> None:
    done = subprocess.run(
        ["bash", "-c", COMPLETE.format(word="--ali")], input=script("transcribe", "bash", capsys),
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert (done.stdout.split(), done.stderr) == (["--align"], "")


def test_a_missing_package_is_one_line(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "shtab", None)
    with pytest.raises(SystemExit) as ended:
        transcribe.parser().parse_args(["--print-completion", "bash"])
    assert ended.value.code == 2
    assert 'pip install "transcription-endpoint[completion]"' in capsys.readouterr().err.splitlines()[-1]
