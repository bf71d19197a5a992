"""The server with the page at its front, as a Space runs it: `python app.py`.

The environment configures it, as it does transcribe-server. Without ASR_MODEL it runs the demo models. It listens on
port 7860, where a Space must answer.
"""

import importlib.util
import logging
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

from fastapi import FastAPI
from starlette.requests import Request
from starlette.responses import RedirectResponse
from starlette.routing import Route

from transcription.config import ModelSettings
from transcription.errors import InvalidSettings
from transcription.server.app import create_app
from transcription.server.request_log import configure_logging
from transcription.server.run import serve
from transcription.server.settings import ServerSettings
from transcription.transcriber import Transcriber
from transcription.ui.mounting import mount

logger = logging.getLogger("transcription")
PORT = 7860
MODELS = Path(__file__).parents[2] / "models"


def main() -> int:
    """Serve until a signal ends it. Return the exit code."""
    configure_logging()
    try:
        server, models = server_settings(), model_settings()
    except InvalidSettings as error:
        logger.error(error)
        return 2
    return serve(create_space(server, lambda: Transcriber(models)))


def create_space(settings: ServerSettings, load: Callable[[], Transcriber]) -> FastAPI:
    """Return the server's application with a redirect from / to the page."""
    app = create_app(settings, load, mounts=[mount])
    app.router.routes.insert(0, Route("/", _redirect_to_page))
    return app


async def _redirect_to_page(_: Request) -> RedirectResponse:
    return RedirectResponse("ui/")  # relative: a proxy may add a prefix


def model_settings() -> ModelSettings:
    """Return the models of the environment, or the demo models.

    Raises InvalidSettings if the environment is wrong.
    """
    if any(os.environ.get(name) for name in ("ASR_MODEL", "MODEL_ID")):
        return ModelSettings.from_environment()
    demo: dict[str, Any] = {"asr_model": str(MODELS / "demo-whisper")}
    if not os.environ.get("DIARIZATION_MODEL") and _has_pyannote():
        demo["diarization_model"] = str(MODELS / "demo-diarization")
    return ModelSettings.from_environment(**demo)


def _has_pyannote() -> bool:
    # The namespace first: to look for a module in an absent one is an error.
    return all(importlib.util.find_spec(name) for name in ("pyannote", "pyannote.audio"))


def server_settings() -> ServerSettings:
    """Return the server's settings, by default with a Space's port and address. The page is always on.

    Raises InvalidSettings if the environment is wrong.
    """
    defaults = {"port": PORT, **({"host": "0.0.0.0"} if os.environ.get("SPACE_ID") else {})}
    unset: dict[str, Any] = {name: value for name, value in defaults.items() if not os.environ.get(name.upper())}
    return ServerSettings.from_environment(**unset, ui=True)
