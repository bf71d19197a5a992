"""torchaudio beside a torch that its compiled half does not fit, in a process of its own."""

import subprocess
import sys
from pathlib import Path

from tests.conftest import ROOT


def run(code: str, path: Path | None = None) -> str:
    """What Python prints, with `path` first on its search path."""
    environment = {"PYTHONPATH": f"{path or ''}:{ROOT}", "PATH": "/usr/bin:/bin"}
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, env=environment)
    return done.stdout.strip()


def package(folder: Path, extension: str) -> None:
    """A torchaudio whose compiled half does what `extension` says."""
    (folder / "torchaudio").mkdir()
    (folder / "torchaudio" / "__init__.py").write_text("from . import _extension\nextension = _extension\n")
    (folder / "torchaudio" / "_extension.py").write_text(extension)


MEND = "from transcription.torchaudio_patch import patch_torchaudio; patch_torchaudio(); import torchaudio; "


def test_a_broken_extension_is_stood_in_for(tmp_path: Path) -> None:
    package(tmp_path, "raise OSError('libtorchaudio.so: undefined symbol')")
    assert run(MEND + "print(torchaudio.extension._IS_TORCHAUDIO_EXT_AVAILABLE)", tmp_path) == "False"


def test_a_sound_extension_is_left_alone(tmp_path: Path) -> None:
    package(tmp_path, "mark = 'real'")
    assert run(MEND + "print(torchaudio.extension.mark)", tmp_path) == "real"


def test_without_torchaudio_nothing_happens(tmp_path: Path) -> None:
    code = "import importlib.util as u; u.find_spec = lambda name: None; import sys; "
    assert run(f"{code}{MEND.split(' import torchaudio', maxsplit=1)[0]} print('torchaudio' in sys.modules)") == "False"


def test_the_installed_one_works_for_what_is_pure_torch() -> None:
    code = "import torch; print(torchaudio.functional.resample(torch.zeros(1, 800), 8000, 16000).shape[1])"
    assert run(MEND + code) == "1600"
