"""patch_torchaudio beside a torch build that does not fit torchaudio's extension. Each test runs a new process."""

import subprocess
import sys
from pathlib import Path

from tests.conftest import ROOT


def run(code: str, path: Path | None = None) -> str:
    """Run Python code with `path` first on the module search path, and return its output."""
    environment = {"PYTHONPATH": f"{path or ''}:{ROOT}", "PATH": "/usr/bin:/bin"}
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, env=environment)
    return done.stdout.strip()


def package(folder: Path, extension: str) -> None:
    """Write a torchaudio package with this code as its compiled extension."""
    (folder / "torchaudio").mkdir()
    (folder / "torchaudio" / "__init__.py").write_text("from . import _extension\nextension = _extension\n")
    (folder / "torchaudio" / "_extension.py").write_text(extension)


PATCH = "from transcription.torchaudio_patch import patch_torchaudio; patch_torchaudio(); "
PATCH_AND_IMPORT = PATCH + "import torchaudio; "


def test_replaces_a_broken_extension(tmp_path: Path) -> None:
    package(tmp_path, "raise OSError('libtorchaudio.so: undefined symbol')")
    assert run(PATCH_AND_IMPORT + "print(torchaudio.extension._IS_TORCHAUDIO_EXT_AVAILABLE)", tmp_path) == "False"


def test_keeps_a_working_extension(tmp_path: Path) -> None:
    package(tmp_path, "mark = 'real'")
    assert run(PATCH_AND_IMPORT + "print(torchaudio.extension.mark)", tmp_path) == "real"


def test_does_nothing_without_torchaudio(tmp_path: Path) -> None:
    code = "import importlib.util as u; u.find_spec = lambda name: None; import sys; "
    assert run(code + PATCH + "print('torchaudio' in sys.modules)") == "False"


def test_pure_torch_functions_of_the_installed_torchaudio_work() -> None:
    code = "import torch; print(torchaudio.functional.resample(torch.zeros(1, 800), 8000, 16000).shape[1])"
    assert run(PATCH_AND_IMPORT + code) == "1600"
