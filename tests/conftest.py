"""Fixtures for all tests: the demo models, loaded once, and the sample recordings with their ground truth."""

import json
import os
import signal
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import HealthCheck, settings

from tests.serving import Running, serving
from transcription.audio import Audio, read_file
from transcription.config import IgnoredVariables, ModelSettings, variables
from transcription.endpoint import EndpointHandler
from transcription.server.settings import ServerSettings
from transcription.transcriber import Transcriber

if TYPE_CHECKING:
    from playwright.sync_api import BrowserContext, Page

if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:  # in a background job; child processes would inherit it
    signal.signal(signal.SIGINT, signal.default_int_handler)

# The same examples on every machine, without a deadline for slow ones.
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
    """A sample recording."""

    path: Path

    @property
    def truth(self) -> dict[str, Any]:
        """The ground truth: words, speakers and duration."""
        truth: dict[str, Any] = json.loads(self.path.with_suffix(".json").read_text())
        return truth

    @cached_property
    def audio(self) -> Audio:
        """The decoded audio."""
        return read_file(self.path)


SAMPLES = {
    path.stem: Sample(path)
    for path in sorted((ROOT / "samples").iterdir())
    if path.suffix in (".wav", ".flac", ".mp3", ".ogg", ".m4a")
}


@pytest.fixture(scope="session", autouse=True)
def clean_environment() -> Iterator[None]:
    """Remove all variables that the settings read, before the first model is loaded. Compute in float32.

    Only float32 gives equal texts for equal arithmetic in another order. Processes that tests start inherit this.
    """
    with pytest.MonkeyPatch.context() as patch:
        for kind in (ModelSettings, ServerSettings, IgnoredVariables):
            for name in (one for item in kind.model_fields.items() for one in variables(*item)):
                patch.delenv(name, raising=False)
        patch.setenv("VLLM_DTYPE", "float32")  # not DTYPE, which a test may set: it goes first
        yield


def endpoint(**environment: Path) -> EndpointHandler:
    """Return a handler that was started with these environment variables."""
    with pytest.MonkeyPatch.context() as patch:
        for name, value in environment.items():
            patch.setenv(name, str(value))
        return EndpointHandler()


def diarization_settings(model: Path | str, **changes: Any) -> ModelSettings:
    """Return settings with the demo model and this diarization model."""
    return ModelSettings.from_environment(asr_model=str(DEMO), diarization_model=str(model), **changes)


SLOWEST = (
    "ray", "engines", "real_speech", "loop", "transcriber", "ui", "load", "shutdown", "ui_errors", "gpu_benchmark",
    "openai",
)  # fmt: skip
"""Names of the test files that take 25 seconds of processor time or longer, the slowest first."""


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Run the slowest files first, so that two processes end at about the same time."""
    order = {f"test_{name}.py": place for place, name in enumerate(SLOWEST)}
    items.sort(key=lambda item: order.get(item.path.name, len(order)))


@pytest.fixture(scope="session")
def transcriber() -> Transcriber:
    """Return the demo model with its assistant."""
    return Transcriber(ModelSettings.from_environment(asr_model=str(DEMO), assistant_model=str(ASSISTANT)))


@pytest.fixture(scope="session")
def diarizing_transcriber() -> Transcriber:
    """Return the demo model with the demo diarization."""
    return Transcriber(ModelSettings.from_environment(asr_model=str(DEMO), diarization_model=str(DIARIZATION)))


@pytest.fixture(scope="session")
def server() -> Iterator[Running]:
    """Yield a running server: the demo model with its assistant and the demo diarization."""
    settings = ModelSettings.from_environment(
        asr_model=str(DEMO), assistant_model=str(ASSISTANT), diarization_model=str(DIARIZATION)
    )
    with serving(Transcriber(settings)) as running:
        yield running


@pytest.fixture(scope="module")
def visitors() -> Iterator["BrowserContext"]:
    """Yield a browser context for the tabs of one test file."""
    from tests.browser import visiting  # here, because only these tests need a browser

    with visiting() as context:
        yield context


@pytest.fixture
def tab(visitors: "BrowserContext", server: Running) -> Iterator[Callable[..., "Page"]]:
    """Yield a function that opens the page in a new tab."""
    from tests.browser import tabs

    with tabs(visitors, server.url) as open_tab:
        yield open_tab


@pytest.fixture(scope="session")
def handler() -> EndpointHandler:
    """Return the endpoint's handler: the demo model with its assistant."""
    return endpoint(ASR_MODEL=DEMO, ASSISTANT_MODEL=ASSISTANT)
