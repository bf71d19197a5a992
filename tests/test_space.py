"""`python app.py`: the page by itself, as a Hugging Face Space runs it, and the Space's Dockerfile without docker."""

import json
import os
import shlex
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest

from tests.conftest import DEMO, DIARIZATION, ROOT, SAMPLES
from tests.serving import Running
from tests.test_container import START_SECONDS, arguments, copy_files, exec_form, is_healthy, sources, steps
from transcription.transcriber import Transcriber
from transcription.ui import app

SHORT = SAMPLES["short"].path.read_bytes()
DOCKERFILE = ROOT / "deploy" / "space" / "Dockerfile"


class TestApp:
    """The settings of `python app.py` and its front."""

    def test_runs_the_demo_models_if_the_environment_names_none(self, monkeypatch: pytest.MonkeyPatch) -> None:
        models = app.model_settings()
        assert (models.asr_model, models.diarization_model) == (str(DEMO), str(DIARIZATION))
        monkeypatch.setitem(sys.modules, "pyannote", None)  # as if it were not installed
        models = app.model_settings()
        assert (models.asr_model, models.diarization_model) == (str(DEMO), None)
        monkeypatch.setenv("ASR_MODEL", "openai/whisper-tiny")
        models = app.model_settings()
        assert (models.asr_model, models.diarization_model) == ("openai/whisper-tiny", None)

    @pytest.mark.parametrize(
        ("environment", "address"),
        [
            ({}, ("127.0.0.1", 7860)),
            ({"SPACE_ID": "you/space"}, ("0.0.0.0", 7860)),
            ({"SPACE_ID": "you/space", "PORT": "80", "HOST": "10.0.0.1"}, ("10.0.0.1", 80)),
        ],
    )
    def test_listens_where_a_space_must_answer(
        self, environment: dict[str, str], address: tuple[str, int], monkeypatch: pytest.MonkeyPatch
    ) -> None:
        for name, value in environment.items():
            monkeypatch.setenv(name, value)
        settings = app.server_settings()
        assert (settings.host, settings.port, settings.ui) == (*address, True)

    def test_front_redirects_to_the_page_and_still_takes_requests(self, transcriber: Transcriber) -> None:
        with Running(app.create_space(app.server_settings(), lambda: transcriber)).running() as server:
            assert httpx.get(f"{server.url}/").headers["location"] == "ui/"
            assert httpx.post(f"{server.url}/", content=SHORT, timeout=60).json()["text"]

    def test_wrong_setting_ends_it_with_code_2_and_names_the_setting(self) -> None:
        environment = {**os.environ, "PORT": "many"}
        done = subprocess.run(
            [sys.executable, "app.py"], cwd=ROOT, env=environment, capture_output=True, text=True, check=False
        )
        assert (done.returncode, json.loads(done.stderr.splitlines()[-1])["message"][:6]) == (2, "PORT: ")


class TestDockerfile:
    """The Space's image: its steps, done in a folder."""

    def test_copies_files_that_exist(self) -> None:
        for copy in arguments("COPY", DOCKERFILE):
            named = shlex.split(copy)[:-1]
            assert named == ["."] or [str(file) for file in sources(copy)[0]] == named

    def test_a_change_of_the_code_installs_no_packages_again(self) -> None:
        names = [name for name, _ in steps(DOCKERFILE)]
        install = max(at for at, name in enumerate(names) if name == "RUN")
        assert steps(DOCKERFILE)[install][1].endswith('sh deploy/install.sh "$VARIANT" server diarization')
        before = [argument for name, argument in steps(DOCKERFILE)[:install] if name == "COPY"]
        assert not [file for copy in before for file in sources(copy)[0] if file.suffix == ".py"]
        assert names[0] == "FROM"

    def test_runs_as_the_spaces_user_on_the_spaces_port(self) -> None:
        assert "--uid 1000 whisper" in arguments("RUN", DOCKERFILE)[0]
        assert arguments("USER", DOCKERFILE) == ["whisper"]
        assert arguments("EXPOSE", DOCKERFILE) == [str(app.PORT)]
        assert arguments("CMD", DOCKERFILE) == ['["python", "app.py"]']

    def test_serves_the_page_its_samples_and_transcripts(self, space: str) -> None:
        assert "<title>Transcription</title>" in httpx.get(space, follow_redirects=True).text
        about = httpx.get(f"{space}/ui/about").json()
        assert about["demo"]
        assert httpx.get(f"{space}/ui/samples/short.wav").content == SHORT
        answer = httpx.post(f"{space}/ui/transcribe", files={"file": ("recording", SHORT)}, timeout=60)
        assert "Sarah wants" in answer.text

    @pytest.fixture
    def space(self, tmp_path: Path) -> Iterator[str]:
        """Yield the address of the image's command, with the demo models."""
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            port = str(free.getsockname()[1])
        image = copy_files(DOCKERFILE, tmp_path / "app")
        stated = dict(pair.split("=", 1) for argument in arguments("ENV", DOCKERFILE) for pair in shlex.split(argument))
        outside = {name: os.environ[name] for name in ("PATH", "OMP_NUM_THREADS") if name in os.environ}
        environment = {**outside, **stated, "PORT": port, "DEVICE": "cpu", "HF_HUB_OFFLINE": "1"}
        command = exec_form(arguments("CMD", DOCKERFILE)[0])
        with (tmp_path / "log").open("wb") as log:
            process = subprocess.Popen(command, cwd=image, env=environment, stdout=log, stderr=subprocess.STDOUT)
        try:
            deadline = time.monotonic() + START_SECONDS
            while not is_healthy(f"http://127.0.0.1:{port}/health"):
                assert process.poll() is None, (tmp_path / "log").read_text()
                assert time.monotonic() < deadline, (tmp_path / "log").read_text()
                time.sleep(0.2)
            yield f"http://127.0.0.1:{port}"
        finally:
            process.kill()
            process.wait()
