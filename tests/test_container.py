"""The image without docker: the Dockerfile's steps, taken out of it and done in a folder.

`make test-image` does the same with the packages that deploy/install.sh installs, in an environment of their own.
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

PYTHON = os.environ.get("IMAGE_PYTHON", sys.executable)  # whose packages stand for the image's
STARTS = 120  # seconds that a server with the demo models may take, on a busy machine


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
    """The words of an exec-form command, with our interpreter for `python`."""
    words: list[str] = json.loads(argument[argument.index("[") :])
    return [PYTHON, *words[1:]] if words[0] == "python" else words


def ignored(path: Path) -> bool:
    """Whether .dockerignore keeps a path out: the last line that fits it, or a folder above it, decides."""
    names = [str(at) for at in (path, *path.parents)][:-1]
    kept_out = False
    for line in (ROOT / ".dockerignore").read_text().splitlines():
        rule = line.removeprefix("!")
        if rule and not rule.startswith("#"):
            form = re.escape(rule).replace(r"\*\*/", "(.*/)?").replace(r"\*", "[^/]*")
            if any(re.fullmatch(form, name) for name in names):
                kept_out = not line.startswith("!")
    return kept_out


def sources(copy: str) -> tuple[list[Path], str]:
    """Which files a COPY takes from the repository, and where to."""
    *named, target = shlex.split(copy)
    found: list[Path] = []
    for name in named:
        # git knows what a checkout has; what is built or installed beside it is not part of the repository.
        listed = subprocess.run(
            ["git", "ls-files", "--cached", "--others", "--exclude-standard", "--", name],
            cwd=ROOT, capture_output=True, text=True, check=True,
        ).stdout.splitlines()  # fmt: skip
        found += [Path(file) for file in listed if not ignored(Path(file)) and (ROOT / file).is_file()]
    return found, target


@pytest.fixture(scope="module")
def image(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The image's working folder."""
    return copy_files(DOCKERFILE, tmp_path_factory.mktemp("app"))


def copy_files(dockerfile: Path, folder: Path) -> Path:
    """Do a Dockerfile's COPY steps in a folder."""
    for copy in arguments("COPY", dockerfile):
        files, target = sources(copy)
        for file in files:
            place = folder / (file if copy.startswith(". ") else Path(target) / file.name)
            place.parent.mkdir(parents=True, exist_ok=True)
            shutil.copy(ROOT / file, place)
    return folder


def test_what_is_copied_exists() -> None:
    for copy in arguments("COPY"):
        files, _ = sources(copy)
        named = shlex.split(copy)[:-1]
        assert named == ["."] or [str(file) for file in files] == named


def test_dockerignore_as_docker_reads_it() -> None:
    let_in = (
        "transcription/engines/batching/loop.py", "models/demo-whisper/config.json", "deploy/install.sh", "LICENSE",
        "pyproject.toml", "constraints-cuda.txt", "app.py", *(f"samples/{name}" for name in PAGE_SAMPLES),
    )  # fmt: skip
    left_out = (
        "tests/conftest.py", "tools/train.py", ".git/config", ".env", "deploy/endpoint.py", "samples/long.mp3",
        "transcription/__pycache__/x.pyc", "models/__pycache__/x.pyc", "__pycache__/x.pyc", "README.md",
        ".venv/bin/python", "handler.py",
    )  # fmt: skip
    assert [path for path in let_in if ignored(Path(path))] == []
    assert [path for path in left_out if not ignored(Path(path))] == []


def test_every_module_of_ours_that_is_reached_is_copied(image: Path) -> None:
    files = [path for path in image.rglob("*.py") if "demo" not in str(path)]
    reached = {module for path in files for module in imported(path) if module.split(".")[0] in OURS}
    places = {module: image / module.replace(".", "/") for module in reached}
    assert {module for module, at in places.items() if not at.is_dir() and not at.with_suffix(".py").is_file()} == set()


def test_a_change_of_the_code_installs_nothing_anew() -> None:
    names = [name for name, _ in steps()]
    install = max(at for at, (name, argument) in enumerate(steps()) if name == "RUN")
    assert "install.sh" in steps()[install][1]
    before = [argument for name, argument in steps()[:install] if name == "COPY"]
    assert not [file for copy in before for file in sources(copy)[0] if file.suffix == ".py"]
    assert names.index("FROM") == 0


def test_what_runs_is_no_shell_and_no_root() -> None:
    assert arguments("CMD") == ['["python", "-m", "transcription.cli.serve"]']
    assert arguments("EXPOSE") == ["8000"]
    assert (arguments("USER"), "RUN_AS=whisper" in arguments("ARG")) == (["$RUN_AS"], True)


def install(variant: str, folder: Path) -> tuple[subprocess.CompletedProcess[str], list[str]]:
    """Run deploy/install.sh with a `python` that records what pip is called with, and the list of packages."""
    folder.mkdir()
    python = folder / "python"
    python.write_text(
        "#!/bin/sh\n"
        f'[ "$1" = -m ] || exec {sys.executable} "$@"\n'
        f'printf "%s\\n" "$@" > {folder}/called\n'
        f'while [ $# -gt 0 ]; do [ "$1" = -r ] && cp "$2" {folder}/packages; shift; done\n'
    )
    python.chmod(0o755)
    path = f"{folder}:{os.environ['PATH']}"
    done = subprocess.run(
        ["sh", "deploy/install.sh", *variant.split()], cwd=ROOT, env={**os.environ, "PATH": path},
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    called = folder / "called"
    return done, called.read_text().split() if called.exists() else []


def versions(file: Path) -> dict[str, str]:
    lines = [line for line in file.read_text().splitlines() if line and not line.startswith("#")]
    found = dict(line.split("==") for line in lines)
    assert len(found) == len(lines)
    return found


def packages(folder: Path) -> list[str]:
    return (folder / "packages").read_text().split("\n")[:-1]


def dependencies(*extras: str) -> list[str]:
    """What pyproject.toml names, without extras that include extras."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    own = [one for name in extras for one in project["optional-dependencies"][name]]
    return [*project["dependencies"], *(one for one in own if not one.startswith(project["name"]))]


def test_the_cpu_image_has_the_versions_that_were_tested(tmp_path: Path) -> None:
    done, called = install("cpu server diarization", tmp_path / "cpu")
    assert (done.returncode, done.stderr) == (0, "")
    assert called[:3] == ["-m", "pip", "install"]
    assert called[called.index("-c") + 1] == "constraints-cpu.txt"
    assert "https://download.pytorch.org/whl/cpu" in called
    assert packages(tmp_path / "cpu") == dependencies("server", "diarization")


def test_the_cuda_image_has_cudas_versions_and_else_the_same(tmp_path: Path) -> None:
    done, called = install("cuda server diarization", tmp_path / "cuda")
    assert (done.returncode, done.stderr) == (0, "")
    assert not [word for word in called if word.startswith("http")]
    assert called[called.index("-c") + 1] == "constraints-cuda.txt"
    assert packages(tmp_path / "cuda") == dependencies("server", "diarization")


def test_the_ray_image_adds_what_the_cluster_needs(tmp_path: Path) -> None:
    install("cuda cluster", tmp_path / "ray")
    assert packages(tmp_path / "ray") == dependencies("cluster")


def test_cuda_has_versions_of_its_own_where_cuda_needs_them() -> None:
    cpu, cuda = versions(ROOT / "constraints-cpu.txt"), versions(ROOT / "constraints-cuda.txt")
    assert {name for name in cpu | cuda if cpu.get(name) != cuda.get(name)} == {
        "huggingface_hub", "torch", "torchcodec", "transformers",
    }  # fmt: skip


@pytest.mark.parametrize("variant", ["", "rocm"])
def test_another_image_there_is_not(tmp_path: Path, variant: str) -> None:
    done, called = install(variant, tmp_path / "none")
    assert (done.returncode, done.stderr, called) == (2, "usage: sh deploy/install.sh cpu|cuda EXTRA...\n", [])


def test_compose_builds_this_image() -> None:
    base = yaml.safe_load((ROOT / "deploy" / "compose.yaml").read_text())["services"]["whisper"]
    cuda = yaml.safe_load((ROOT / "deploy" / "compose.cuda.yaml").read_text())["services"]["whisper"]
    assert (ROOT / "deploy" / base["build"]["context"] / base["build"]["dockerfile"]).is_file()
    assert base["build"]["args"] == {"VARIANT": "cpu"}
    assert cuda["build"]["args"] == {"VARIANT": "cuda"}
    # Secrets pass through from the caller's environment; none stands in the file.
    assert {"HF_TOKEN", "API_KEYS"} <= set(base["environment"])


def test_the_routers_values_point_at_what_the_router_takes() -> None:
    values = yaml.safe_load((ROOT / "deploy" / "production-stack" / "values.yaml").read_text())
    router = values["routerSpec"]
    backends, models = router["staticBackends"].split(","), router["staticModels"].split(",")
    given = dict(zip(router["extraArgs"][::2], router["extraArgs"][1::2], strict=False))
    assert len(backends) == len(models) == len(given["--static-model-types"].split(","))
    # The router skips a host without a dot, so a service's short name is none.
    assert all(re.fullmatch(r"http://([\w-]+\.)+[a-z]{2,}:8000", backend) for backend in backends)
    kinds = [thing["kind"] for thing in values["extraObjects"]]
    assert kinds == ["Deployment", "Service"]


@pytest.fixture(scope="module")
def environment() -> dict[str, str]:
    """The Dockerfile's ENV with a free port, on the demo model; nothing else that a container would not have."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = str(free.getsockname()[1])
    stated = dict(pair.split("=", 1) for argument in arguments("ENV") for pair in shlex.split(argument))
    outside = {name: os.environ[name] for name in ("PATH", "HOME", "OMP_NUM_THREADS") if name in os.environ}
    ours = {"ASR_MODEL": "models/demo-whisper", "DEVICE": "cpu", "PORT": port, "HF_HUB_OFFLINE": "1"}
    return {**outside, **stated, **ours}


def healthy(environment: dict[str, str]) -> bool:
    """What the HEALTHCHECK command says."""
    check = exec_form(arguments("HEALTHCHECK")[0])
    return subprocess.run(check, env=environment, capture_output=True, check=False).returncode == 0


@pytest.fixture
def server(image: Path, environment: dict[str, str], tmp_path: Path) -> Iterator[subprocess.Popen[bytes]]:
    """CMD in the image's folder, from the moment that /health answers 200."""
    with (tmp_path / "log").open("wb") as log:
        process = subprocess.Popen(
            exec_form(arguments("CMD")[0]), cwd=image, env=environment, stdout=log, stderr=subprocess.STDOUT
        )
    try:
        until = time.monotonic() + STARTS
        while not answers(f"http://127.0.0.1:{environment['PORT']}/health"):
            assert process.poll() is None, (tmp_path / "log").read_text()
            assert time.monotonic() < until, (tmp_path / "log").read_text()
            time.sleep(0.2)
        yield process
    finally:
        process.kill()
        process.wait()


def answers(url: str) -> bool:
    try:
        return httpx.get(url, timeout=5).status_code == 200
    except httpx.HTTPError:
        return False


def test_nobody_is_healthy_before_the_server_is(environment: dict[str, str]) -> None:
    assert not healthy(environment)


def test_the_command_serves_from_what_was_copied(server: subprocess.Popen[bytes], environment: dict[str, str]) -> None:
    assert healthy(environment)
    answer = httpx.post(
        f"http://127.0.0.1:{environment['PORT']}/v1/audio/transcriptions",
        files={"file": ("short.wav", SAMPLES["short"].path.read_bytes())}, data={"model": "demo"}, timeout=60,
    )  # fmt: skip
    assert answer.status_code == 200, answer.text
    assert answer.json()["text"].strip()
    server.send_signal(signal.SIGTERM)
    assert server.wait(60) == 0
