"""What the tests share: the shipped models, loaded once, and the shipped recordings with their truth."""

import json
import os
import signal
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import HealthCheck, settings

from tests.serving import Running, serving
from transcription.audio import Audio, read_file
from transcription.config import ModelSettings
from transcription.endpoint import EndpointHandler
from transcription.server.settings import ServerSettings
from transcription.transcriber import Transcriber

if TYPE_CHECKING:
    from playwright.sync_api import BrowserContext, Page

if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:  # as in a background job, whose processes would inherit it
    signal.signal(signal.SIGINT, signal.default_int_handler)

# The same examples on every machine, however slow it is.
settings.register_profile("steady", deadline=None, derandomize=True, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("steady")

ROOT = Path(__file__).parent.parent
DEMO = ROOT / "models" / "demo-whisper"
ASSISTANT = ROOT / "models" / "demo-whisper-assistant"
DIARIZATION = ROOT / "models" / "demo-diarization"


def pytest_addoption(parser: pytest.Parser) -> None:
    """Add the folders of the tests on real speech."""
    for name, help in (("models", "folder with whisper-base"), ("speech", "folder with recordings and manifest.jsonl")):
        variable = f"REAL_{name.upper()}"
        parser.addoption(f"--real-{name}", default=os.environ.get(variable), help=f"{help}; absent: ${variable}")


@dataclass(frozen=True)
class Sample:
    """A shipped recording and what is said in it."""

    path: Path

    @property
    def truth(self) -> dict[str, Any]:
        found: dict[str, Any] = json.loads(self.path.with_suffix(".json").read_text())
        return found

    @cached_property
    def audio(self) -> Audio:
        return read_file(self.path)


SAMPLES = {
    path.stem: Sample(path)
    for path in sorted((ROOT / "samples").iterdir())
    if path.suffix in (".wav", ".flac", ".mp3", ".ogg", ".m4a")
}


@pytest.fixture(autouse=True)
def bare_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    """No test depends on what is set on the machine."""
    for name in (*ModelSettings.model_fields, *ServerSettings.model_fields):
        monkeypatch.delenv(name.upper(), raising=False)
    monkeypatch.delenv("MODEL_ID", raising=False)


@contextmanager
def endpoint(**environment: Path) -> Iterator[EndpointHandler]:
    """A handler that was started with these variables."""
    with pytest.MonkeyPatch.context() as patch:
        for name, value in environment.items():
            patch.setenv(name, str(value))
        yield EndpointHandler()


@pytest.fixture(scope="session")
def transcriber() -> Transcriber:
    """The demo model with its assistant."""
    return Transcriber(ModelSettings.from_environment(asr_model=str(DEMO), assistant_model=str(ASSISTANT)))


@pytest.fixture(scope="session")
def listener() -> Transcriber:
    """The demo model with the demo diarization: hears who speaks."""
    return Transcriber(ModelSettings.from_environment(asr_model=str(DEMO), diarization_model=str(DIARIZATION)))


@pytest.fixture(scope="session")
def server() -> Iterator[Running]:
    """The service over HTTP: the demo model with its assistant and the demo diarization."""
    settings = ModelSettings.from_environment(
        asr_model=str(DEMO), assistant_model=str(ASSISTANT), diarization_model=str(DIARIZATION)
    )
    with serving(Transcriber(settings)) as found:
        yield found


@pytest.fixture(scope="module")
def visitors() -> Iterator["BrowserContext"]:
    """What most tabs of a file's tests share."""
    from tests.browser import visiting  # here: not everybody who runs tests has a browser

    with visiting() as context:
        yield context


@pytest.fixture
def tab(visitors: "BrowserContext", server: Running) -> Iterator[Callable[..., "Page"]]:
    """Opens the page in new tabs (tests.browser.tabs)."""
    from tests.browser import tabs

    with tabs(visitors, server.url) as open_one:
        yield open_one


@pytest.fixture(scope="session")
def handler() -> Iterator[EndpointHandler]:
    """The endpoint's handler over the demo model with its assistant."""
    with endpoint(ASR_MODEL=DEMO, ASSISTANT_MODEL=ASSISTANT) as found:
        yield found
