"""The architecture: imports point down, root names shadow no package, the Hub download skips no file."""

import ast
import fnmatch
import importlib.metadata
import sys
import tomllib
from pathlib import Path

import pytest

from tests.conftest import ROOT

LAYERS = [
    "errors", "transcript", "sentences", "rttm", "context", "config", "audio", "formats", "torchaudio_patch", "vad",
    "whisper",
    "engines", "diarization", "transcriber", "live", "endpoint", "server", "ui", "batch", "cluster", "cli",
]  # fmt: skip
"""From the bottom to the top. A module imports only from lower layers, or from its own package."""
PACKAGE = ROOT / "transcription"
MODULES = sorted(PACKAGE.rglob("*.py"))
OURS = {"transcription", "config", "handler", "diarization_utils", "app", "models", "tools", "tests", "benchmarks"}


def imported(path: Path) -> set[str]:
    """Return the dotted names of all modules that a file imports, anywhere in it."""
    names: set[str] = set()
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            names |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path.name}: relative imports fail in the container"
            names.add(node.module or "")
    return names


def layer(module: str) -> int:
    """Return the layer of a module of the package, by its dotted name."""
    return LAYERS.index(module.split(".")[1])


@pytest.mark.parametrize("path", MODULES, ids=lambda path: str(path.relative_to(PACKAGE)))
def test_imports_point_down(path: Path) -> None:
    if path.parent == PACKAGE and path.name == "__init__.py":
        return
    here = LAYERS.index(path.relative_to(PACKAGE).parts[0].removesuffix(".py"))
    ours = {name for name in imported(path) if name.startswith("transcription.")}
    assert {name for name in ours if layer(name) > here} == set()


def test_the_cluster_and_archives_do_not_import_each_other() -> None:
    for package, other in (("batch", "cluster"), ("cluster", "batch")):
        names = {name for path in (PACKAGE / package).glob("*.py") for name in imported(path)}
        assert {name for name in names if name.startswith(f"transcription.{other}")} == set()


def test_the_package_imports_no_other_module_of_the_repository() -> None:
    imports = {name.split(".")[0] for path in MODULES for name in imported(path)}
    assert imports & (OURS - {"transcription"}) == set()


def test_only_the_tests_of_the_tools_import_the_tools() -> None:
    importing = {
        path.name
        for path in (ROOT / "tests").glob("*.py")
        if any(name.split(".")[0] == "tools" for name in imported(path))
    }
    assert importing == {"test_speaker_nets.py", "test_tools.py"}


def test_root_names_shadow_no_package() -> None:
    ours = {path.stem for path in ROOT.glob("*.py")} | {path.parent.name for path in ROOT.glob("*/__init__.py")}
    installed = set(importlib.metadata.packages_distributions()) - {"tests", "transcription"}
    assert ours & (installed | set(sys.stdlib_module_names)) == set()
    assert "pipeline" not in ours


def test_the_root_has_only_modules_that_endpoints_spaces_and_deployers_use() -> None:
    assert {path.name for path in ROOT.glob("*.py")} == {"app.py", "config.py", "diarization_utils.py", "handler.py"}


def test_the_download_skips_no_file() -> None:
    skipped = ("tf*", "flax*", "rust*", "*onnx*", "*openvino*", "*tar.gz", "*ckpt", "*mlmodel", "pytorch*")
    deployed = [*ROOT.glob("*"), *ROOT.glob("transcription/**/*"), *ROOT.glob("models/**/*")]
    matched = {path.name for path in deployed if any(fnmatch.fnmatch(path.name, form) for form in skipped)}
    # pyannote requires this name for weights. The demo pipeline is not for endpoints.
    assert matched == {"pytorch_model.bin"}
    assert {path.parts[-3] for path in ROOT.glob("**/pytorch_model.bin") if "site-packages" not in path.parts} == {
        "demo-diarization"
    }


def requirements() -> list[str]:
    """Return the lines of requirements.txt without comments."""
    lines = (ROOT / "requirements.txt").read_text().splitlines()
    return [line for line in lines if line and not line.startswith("#")]


def test_requirements_include_no_other_file() -> None:
    assert [line for line in requirements() if line.startswith("-")] == []


def test_requirements_are_the_dependencies_of_the_package() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    assert project["dependencies"] == requirements()


def test_the_demo_models_are_small() -> None:
    sizes = {
        folder.name: sum(file.stat().st_size for file in folder.rglob("*")) for folder in (ROOT / "models").iterdir()
    }
    assert sizes["demo-whisper"] <= 12_000_000
    assert sizes["demo-whisper-assistant"] <= 12_000_000
    assert sizes["demo-diarization"] <= 3_000_000


def test_every_module_has_a_docstring() -> None:
    assert [path for path in MODULES if not ast.get_docstring(ast.parse(path.read_text()))] == []
