"""Diarizer: pipelines that can be loaded, and errors that explain why one cannot."""

import os
import shutil
import subprocess
import sys
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest
from huggingface_hub import constants

from tests.conftest import DIARIZATION, ROOT, diarization_settings
from transcription.diarization.loading import load_pipeline
from transcription.diarization.pyannote import Diarizer
from transcription.errors import InvalidSettings


def test_pyannote_loads_the_directory_without_telemetry() -> None:
    pipeline = load_pipeline(diarization_settings(DIARIZATION))
    assert type(pipeline).__name__ == "SpeakerDiarization"
    assert os.environ["PYANNOTE_METRICS_ENABLED"] == "0"


HUB = {  # repository: HTTP status and X-Error-Code
    "gated": (403, "GatedRepo"),
    "missing": (404, "RepoNotFound"),
    "private": (401, "RepoNotFound"),
    "wrong-token": (401, ""),
    "forbidden": (403, ""),
    "revision": (404, "RevisionNotFound"),
    "empty": (404, "EntryNotFound"),
}
MESSAGES = {
    "gated": "DIARIZATION_MODEL me/gated is gated: accept the conditions on https://hf.co/me/gated"
    " with the account of HF_TOKEN",
    "missing": "DIARIZATION_MODEL me/missing does not exist, or HF_TOKEN may not read it",
    "private": "DIARIZATION_MODEL me/private does not exist, or HF_TOKEN may not read it",
    "wrong-token": "DIARIZATION_MODEL me/wrong-token cannot be downloaded: HF_TOKEN is not valid",
    "forbidden": "DIARIZATION_MODEL me/forbidden cannot be downloaded: HF_TOKEN may not read it",
    "revision": "DIARIZATION_MODEL me/revision has no such DIARIZATION_REVISION",
    "empty": "DIARIZATION_MODEL me/empty is not a pyannote pipeline: it has no config.yaml",
}


class _Hub(BaseHTTPRequestHandler):
    def do_HEAD(self) -> None:
        status, code = HUB.get(self.path.split("/")[2], (404, ""))
        self.send_response(status)
        self.send_header("X-Error-Code", code)
        self.send_header("Content-Length", "0")
        self.end_headers()

    do_GET = do_HEAD

    def log_message(self, *_: object) -> None:
        pass


@pytest.fixture
def hub(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Start a server that returns the errors of the Hub."""
    server = ThreadingHTTPServer(("127.0.0.1", 0), _Hub)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    address = f"http://127.0.0.1:{server.server_port}"
    monkeypatch.setattr(constants, "ENDPOINT", address)
    monkeypatch.setattr(constants, "HUGGINGFACE_CO_URL_TEMPLATE", address + "/{repo_id}/resolve/{revision}/{filename}")
    yield
    server.shutdown()
    server.server_close()


@pytest.mark.parametrize("name", HUB)
def test_the_error_explains_what_the_hub_refuses(hub: None, name: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(InvalidSettings) as caught:
        load_pipeline(diarization_settings(f"me/{name}", hf_token="hf_secret"))
    assert str(caught.value) == MESSAGES[name]
    assert "secret" not in "".join(capsys.readouterr())


@pytest.mark.parametrize("token", [None, "not-a-hub-token"])
def test_the_error_of_a_gated_pipeline_asks_for_a_token(hub: None, token: str | None) -> None:
    with pytest.raises(InvalidSettings, match=r"accept the conditions on https://hf.co/me/gated and set HF_TOKEN"):
        load_pipeline(diarization_settings("me/gated", hf_token=token))


def test_the_error_names_a_wrong_directory_without_its_path(tmp_path: Path) -> None:
    (tmp_path / "nothing").mkdir()
    with pytest.raises(InvalidSettings, match=r"^DIARIZATION_MODEL nothing is not a pyannote pipeline: it has no conf"):
        load_pipeline(diarization_settings(tmp_path / "nothing"))
    (tmp_path / "broken").mkdir()
    for text in ("", "pipeline: {name: os.getcwd}", "pipeline: {name: pyannote.audio.pipelines.Nothing}", "[: :"):
        (tmp_path / "broken" / "config.yaml").write_text(text)
        with pytest.raises(InvalidSettings, match=r"^DIARIZATION_MODEL broken is not a pyannote pipeline: see the log"):
            Diarizer(diarization_settings(tmp_path / "broken"))


def test_a_truncated_checkpoint_is_an_error(tmp_path: Path) -> None:
    shutil.copytree(DIARIZATION, tmp_path / "truncated")
    weights = tmp_path / "truncated" / "segmentation" / "pytorch_model.bin"
    weights.write_bytes(weights.read_bytes()[:1000])
    with pytest.raises(InvalidSettings, match=r"^DIARIZATION_MODEL truncated is not a pyannote pipeline: see the log$"):
        load_pipeline(diarization_settings(tmp_path / "truncated"))


def test_the_error_says_how_to_install_pyannote(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "pyannote.audio", None)
    with pytest.raises(InvalidSettings, match=r"^DIARIZATION_MODEL needs pyannote.audio: pip install pyannote.audio"):
        load_pipeline(diarization_settings(DIARIZATION))


def test_the_error_explains_versions_that_do_not_match(monkeypatch: pytest.MonkeyPatch) -> None:
    class Broken:
        def __getattr__(self, name: str) -> None:
            raise OSError("libtorchaudio.so: undefined symbol")

    monkeypatch.setitem(sys.modules, "pyannote.audio", Broken())
    with pytest.raises(InvalidSettings, match=r"^pyannote.audio cannot be imported: the versions of torch"):
        load_pipeline(diarization_settings(DIARIZATION))


def test_a_pipeline_finds_its_modules_wherever_the_command_is_started(tmp_path: Path) -> None:
    code = (
        f"import sys; sys.path.insert(0, {str(ROOT)!r}); from transcription.diarization.pyannote import Diarizer; "
        f"from transcription.config import ModelSettings; sys.path.remove({str(ROOT)!r}); "
        f"Diarizer(ModelSettings(asr_model='x', diarization_model={str(DIARIZATION)!r})); "
        f"print({str(ROOT)!r} in sys.path)"
    )
    command = [sys.executable, "-W", "ignore", "-c", code]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout) == (0, "False\n"), done.stderr
