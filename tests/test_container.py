"""The image without docker: these tests run the Dockerfile's steps in a folder.

`make test-image` runs them in a virtual environment with the packages that deploy/install.sh installs.
"""

import json
import os
import re
import shlex
import shutil
import signal
import socket
import subprocess
import sys
import time
import tomllib
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest
import yaml

from tests.conftest import ROOT, SAMPLES
from tests.test_architecture import OURS, imported
from transcription.ui.routes import SAMPLES as PAGE_SAMPLES

PYTHON = os.environ.get("IMAGE_PYTHON", sys.executable)  # has the packages of the image
START_SECONDS = 120  # for a server with the demo models on a busy machine

DOCKERFILE = ROOT / "deploy" / "Dockerfile"


def steps(dockerfile: Path = DOCKERFILE) -> list[tuple[str, str]]:
    """Return a Dockerfile's instructions with their arguments, in order."""
    text = re.sub(r"^#.*\n", "", dockerfile.read_text(), flags=re.MULTILINE)
    lines = text.replace("\\\n", " ").splitlines()
    return [(line.split(" ", 1)[0], line.split(" ", 1)[1].strip()) for line in lines if line.strip()]


def arguments(instruction: str, dockerfile: Path = DOCKERFILE) -> list[str]:
    """Return the arguments of all instructions of one name."""
    return [argument for name, argument in steps(dockerfile) if name == instruction]


def exec_form(argument: str) -> list[str]:
    """Return the words of an exec-form command, with PYTHON instead of `python`."""
    words: list[str] = json.loads(argument[argument.index("[") :])
    return [PYTHON, *words[1:]] if words[0] == "python" else words


def ignored(path: Path) -> bool:
    """Return whether .dockerignore excludes a path: the last rule that matches the path or a parent folder decides."""
    names = [str(parent) for parent in (path, *path.parents)][:-1]
    excluded = False
    for line in (ROOT / ".dockerignore").read_text().splitlines():
        rule = line.removeprefix("!")
        if rule and not rule.startswith("#"):
            pattern = re.escape(rule).replace(r"\*\*/", "(.*/)?").replace(r"\*", "[^/]*")
            if any(re.fullmatch(pattern, name) for name in names):
                excluded = not line.startswith("!")
    return excluded


def sources(copy: str) -> tuple[list[Path], str]:
    """Return the files of the repository that a COPY instruction copies, and its target."""
    *names, target = shlex.split(copy)
    files: list[Path] = []
    for name in names:
        # git leaves out what was built or installed in the checkout
        listed = subprocess.run(
            ["git", "ls-files", "--cached", "--others", "--exclude-standard", "--", name],
            cwd=ROOT, capture_output=True, text=True, check=True,
        ).stdout.splitlines()  # fmt: skip
        files += [Path(file) for file in listed if not ignored(Path(file)) and (ROOT / file).is_file()]
    return files, target


@pytest.fixture(scope="module")
def image(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a folder with the files of the image's COPY steps."""
    return copy_files(DOCKERFILE, tmp_path_factory.mktemp("app"))


def copy_files(dockerfile: Path, folder: Path) -> Path:
    """Copy the files of a Dockerfile's COPY steps into a folder, and return it."""
    for copy in arguments("COPY", dockerfile):
        files, target = sources(copy)
        for file in files:
            place = folder / (file if copy.startswith(". ") else Path(target) / file.name)
            place.parent.mkdir(parents=True, exist_ok=True)
            shutil.copy(ROOT / file, place)
    return folder


def test_every_copied_file_exists() -> None:
    for copy in arguments("COPY"):
        files, _ = sources(copy)
        names = shlex.split(copy)[:-1]
        assert names == ["."] or [str(file) for file in files] == names


def test_dockerignore_includes_the_package_and_excludes_the_rest() -> None:
    included = (
        "transcription/engines/batching/loop.py", "models/demo-whisper/config.json", "deploy/install.sh", "LICENSE",
        "pyproject.toml", "constraints-cuda.txt", "app.py", *(f"samples/{name}" for name in PAGE_SAMPLES),
    )  # fmt: skip
    excluded = (
        "tests/conftest.py", "tools/train.py", ".git/config", ".env", "deploy/endpoint.py", "samples/long.mp3",
        "transcription/__pycache__/x.pyc", "models/__pycache__/x.pyc", "__pycache__/x.pyc", "README.md",
        ".venv/bin/python", "handler.py",
    )  # fmt: skip
    assert [path for path in included if ignored(Path(path))] == []
    assert [path for path in excluded if not ignored(Path(path))] == []


def test_every_imported_module_of_the_repository_is_copied(image: Path) -> None:
    files = [path for path in image.rglob("*.py") if "demo" not in str(path)]
    modules = {module for path in files for module in imported(path) if module.split(".")[0] in OURS}
    paths = {module: image / module.replace(".", "/") for module in modules}
    missing = {module for module, path in paths.items() if not (path.is_dir() or path.with_suffix(".py").is_file())}
    assert missing == set()


def test_code_is_copied_after_the_packages_are_installed() -> None:
    names = [name for name, _ in steps()]
    install = max(index for index, (name, _) in enumerate(steps()) if name == "RUN")
    assert "install.sh" in steps()[install][1]
    before = [argument for name, argument in steps()[:install] if name == "COPY"]
    assert not [file for copy in before for file in sources(copy)[0] if file.suffix == ".py"]
    assert names.index("FROM") == 0


def test_server_runs_without_a_shell_and_not_as_root() -> None:
    assert arguments("CMD") == ['["python", "-m", "transcription.cli.serve"]']
    assert arguments("EXPOSE") == ["8000"]
    assert (arguments("USER"), "RUN_AS=whisper" in arguments("ARG")) == (["$RUN_AS"], True)


def install(variant: str, folder: Path) -> tuple[subprocess.CompletedProcess[str], list[str]]:
    """Run deploy/install.sh with a fake `python` that records the arguments of pip and the list of packages."""
    folder.mkdir()
    python = folder / "python"
    python.write_text(
        "#!/bin/sh\n"
        f'[ "$1" = -m ] || exec {sys.executable} "$@"\n'
        f'printf "%s\\n" "$@" > {folder}/arguments\n'
        f'while [ $# -gt 0 ]; do [ "$1" = -r ] && cp "$2" {folder}/packages; shift; done\n'
    )
    python.chmod(0o755)
    path = f"{folder}:{os.environ['PATH']}"
    done = subprocess.run(
        ["sh", "deploy/install.sh", *variant.split()], cwd=ROOT, env={**os.environ, "PATH": path},
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    recorded = folder / "arguments"
    return done, recorded.read_text().split() if recorded.exists() else []


def versions(file: Path) -> dict[str, str]:
    """Return the pinned versions of a constraints file."""
    lines = [line for line in file.read_text().splitlines() if line and not line.startswith("#")]
    pins = dict(line.split("==") for line in lines)
    assert len(pins) == len(lines)
    return pins


def packages(folder: Path) -> list[str]:
    """Return the packages that `install` recorded."""
    return (folder / "packages").read_text().split("\n")[:-1]


def dependencies(*extras: str) -> list[str]:
    """Return the dependencies in pyproject.toml with these extras, but without the extras that they include."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    optional = [package for name in extras for package in project["optional-dependencies"][name]]
    return [*project["dependencies"], *(package for package in optional if not package.startswith(project["name"]))]


def test_cpu_image_installs_cpu_torch_with_the_cpu_constraints(tmp_path: Path) -> None:
    done, pip = install("cpu server diarization", tmp_path / "cpu")
    assert (done.returncode, done.stderr) == (0, "")
    assert pip[:3] == ["-m", "pip", "install"]
    assert pip[pip.index("-c") + 1] == "constraints-cpu.txt"
    assert "https://download.pytorch.org/whl/cpu" in pip
    assert packages(tmp_path / "cpu") == dependencies("server", "diarization")


def test_cuda_image_installs_the_same_packages_with_the_cuda_constraints(tmp_path: Path) -> None:
    done, pip = install("cuda server diarization", tmp_path / "cuda")
    assert (done.returncode, done.stderr) == (0, "")
    assert not [word for word in pip if word.startswith("http")]
    assert pip[pip.index("-c") + 1] == "constraints-cuda.txt"
    assert packages(tmp_path / "cuda") == dependencies("server", "diarization")


def test_ray_image_installs_the_cluster_extra(tmp_path: Path) -> None:
    install("cuda cluster", tmp_path / "ray")
    assert packages(tmp_path / "ray") == dependencies("cluster")


def test_constraints_differ_only_in_the_packages_that_cuda_affects() -> None:
    cpu, cuda = versions(ROOT / "constraints-cpu.txt"), versions(ROOT / "constraints-cuda.txt")
    assert {name for name in cpu | cuda if cpu.get(name) != cuda.get(name)} == {
        "huggingface_hub", "torch", "torchcodec", "transformers",
    }  # fmt: skip


@pytest.mark.parametrize("variant", ["", "rocm"])
def test_unknown_variant_prints_the_usage(tmp_path: Path, variant: str) -> None:
    done, pip = install(variant, tmp_path / "none")
    assert (done.returncode, done.stderr, pip) == (2, "usage: sh deploy/install.sh cpu|cuda EXTRA...\n", [])


def test_compose_builds_the_image_of_the_dockerfile() -> None:
    base = yaml.safe_load((ROOT / "deploy" / "compose.yaml").read_text())["services"]["whisper"]
    cuda = yaml.safe_load((ROOT / "deploy" / "compose.cuda.yaml").read_text())["services"]["whisper"]
    assert (ROOT / "deploy" / base["build"]["context"] / base["build"]["dockerfile"]).is_file()
    assert base["build"]["args"] == {"VARIANT": "cpu"}
    assert cuda["build"]["args"] == {"VARIANT": "cuda"}
    # Secrets are passed through from the caller's environment, not written in the file.
    assert {"HF_TOKEN", "API_KEYS"} <= set(base["environment"])


def test_router_values_have_valid_backends_for_each_model() -> None:
    values = yaml.safe_load((ROOT / "deploy" / "production-stack" / "values.yaml").read_text())
    router = values["routerSpec"]
    backends, models = router["staticBackends"].split(","), router["staticModels"].split(",")
    options = dict(zip(router["extraArgs"][::2], router["extraArgs"][1::2], strict=False))
    assert len(backends) == len(models) == len(options["--static-model-types"].split(","))
    # The router ignores host names without a dot.
    assert all(re.fullmatch(r"http://([\w-]+\.)+[a-z]{2,}:8000", backend) for backend in backends)
    assert [manifest["kind"] for manifest in values["extraObjects"]] == ["Deployment", "Service"]


@pytest.fixture(scope="module")
def environment() -> dict[str, str]:
    """Return the environment of a container with the demo model: the Dockerfile's ENV and a free port."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = str(free.getsockname()[1])
    image = dict(pair.split("=", 1) for argument in arguments("ENV") for pair in shlex.split(argument))
    machine = {name: os.environ[name] for name in ("PATH", "HOME", "OMP_NUM_THREADS") if name in os.environ}
    settings = {"ASR_MODEL": "models/demo-whisper", "DEVICE": "cpu", "PORT": port, "HF_HUB_OFFLINE": "1"}
    return {**machine, **image, **settings}


def healthy(environment: dict[str, str]) -> bool:
    """Return whether the HEALTHCHECK command succeeds."""
    check = exec_form(arguments("HEALTHCHECK")[0])
    return subprocess.run(check, env=environment, capture_output=True, check=False).returncode == 0


@pytest.fixture
def server(image: Path, environment: dict[str, str], tmp_path: Path) -> Iterator[subprocess.Popen[bytes]]:
    """Run CMD in the image's folder; start the test when /health answers 200."""
    with (tmp_path / "log").open("wb") as log:
        process = subprocess.Popen(
            exec_form(arguments("CMD")[0]), cwd=image, env=environment, stdout=log, stderr=subprocess.STDOUT
        )
    try:
        deadline = time.monotonic() + START_SECONDS
        while not is_healthy(f"http://127.0.0.1:{environment['PORT']}/health"):
            assert process.poll() is None, (tmp_path / "log").read_text()
            assert time.monotonic() < deadline, (tmp_path / "log").read_text()
            time.sleep(0.2)
        yield process
    finally:
        process.kill()
        process.wait()


def is_healthy(url: str) -> bool:
    """Return whether the URL answers 200."""
    try:
        return httpx.get(url, timeout=5).status_code == 200
    except httpx.HTTPError:
        return False


def test_healthcheck_fails_without_a_server(environment: dict[str, str]) -> None:
    assert not healthy(environment)


def test_command_serves_from_the_copied_files(server: subprocess.Popen[bytes], environment: dict[str, str]) -> None:
    assert healthy(environment)
    response = httpx.post(
        f"http://127.0.0.1:{environment['PORT']}/v1/audio/transcriptions",
        files={"file": ("short.wav", SAMPLES["short"].path.read_bytes())}, data={"model": "demo"}, timeout=60,
    )  # fmt: skip
    assert response.status_code == 200, response.text
    assert response.json()["text"].strip()
    server.send_signal(signal.SIGTERM)
    assert server.wait(60) == 0  # an idle server ends at once
