"""The package as pip installs it: version, commands, and the files of the page."""

import importlib
import shutil
import subprocess
import sys
import tomllib
import zipfile
from email.message import Message
from email.parser import Parser
from pathlib import Path

import pytest

from tests.conftest import ROOT
from transcription import __version__

PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
BUILD = "from setuptools import build_meta; import sys; print(build_meta.build_wheel(sys.argv[1]))"


def files(folder: Path) -> set[str]:
    """Return the paths of all files below a folder, without caches, relative to its parent."""
    return {
        str(path.relative_to(folder.parent))
        for path in folder.rglob("*")
        if path.is_file() and "__pycache__" not in path.parts
    }


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> zipfile.ZipFile:
    """Return a wheel of the repository. It is built in a copy, without network and without the installed package."""
    pytest.importorskip("setuptools", minversion="77", reason="pyproject.toml needs setuptools 77 or newer")
    source, output = tmp_path_factory.mktemp("source"), tmp_path_factory.mktemp("wheel")
    for name in ("pyproject.toml", "README.md", "LICENSE"):
        shutil.copy(ROOT / name, source)
    shutil.copytree(ROOT / "transcription", source / "transcription", ignore=shutil.ignore_patterns("__pycache__"))
    for name in ("tests", "models", "tools"):  # packages that must stay out
        (source / name).mkdir()
        (source / name / "__init__.py").touch()
    subprocess.run([sys.executable, "-c", BUILD, str(output)], cwd=source, capture_output=True, check=True)
    [path] = output.glob("*.whl")
    return zipfile.ZipFile(path)


@pytest.fixture(scope="module")
def metadata(wheel: zipfile.ZipFile) -> Message:
    """Return the METADATA of the wheel."""
    [name] = [name for name in wheel.namelist() if name.endswith(".dist-info/METADATA")]
    return Parser().parsestr(wheel.read(name).decode())


def test_the_wheel_contains_every_file_of_the_package_and_no_other(wheel: zipfile.ZipFile) -> None:
    packed = {name for name in wheel.namelist() if ".dist-info/" not in name}
    assert packed == files(ROOT / "transcription")
    assert {"transcription/ui/browser/page.js", "transcription/ui/browser/page.css"} <= packed


def test_the_wheel_has_its_name_version_and_python_version(metadata: Message) -> None:
    assert (metadata["Name"], metadata["Version"], metadata["Requires-Python"]) == (
        "transcription-endpoint", __version__, ">=3.11",
    )  # fmt: skip


def test_the_wheel_has_every_extra(metadata: Message) -> None:
    assert set(metadata.get_all("Provides-Extra", [])) == {
        "diarization", "server", "ui", "cluster", "live", "export", "completion", "test",
    }  # fmt: skip


def test_the_commands_are_those_of_the_documentation() -> None:
    assert set(PROJECT["scripts"]) == {"transcribe", "transcribe-server", "transcribe-archive", "transcribe-export"}


@pytest.mark.parametrize("command", PROJECT["scripts"])
def test_every_command_is_a_function(command: str) -> None:
    module, function = PROJECT["scripts"][command].split(":")
    assert callable(getattr(importlib.import_module(module), function))


@pytest.mark.parametrize(
    ("command", "missing", "extra"),
    [
        ("transcribe_server", "fastapi", "server"),
        ("transcribe_archive", "ray", "cluster"),
        ("transcribe_export", "onnx", "export"),
    ],
)
def test_a_command_names_the_extra_that_it_needs(command: str, missing: str, extra: str) -> None:
    code = (
        f"import sys; sys.modules[{missing!r}] = None; "
        f"from transcription.cli.entry_points import {command}; {command}()"
    )
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=False)
    message = f'error: this command needs more packages: pip install "transcription-endpoint[{extra}]"\n'
    assert (done.returncode, done.stderr) == (2, message)
