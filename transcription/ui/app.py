"""The page by itself, and a Space's entry: `python app.py`, configured by the environment as transcribe-server is.

Without ASR_MODEL it shows the demo models. It listens on port 7860, where a Space is expected to answer.
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
MODELS = Path(__file__).parents[2] / "models"


def models() -> ModelSettings:
    """The models that the environment names, else the demo ones with their diarization. Raises InvalidSettings."""
    if any(os.environ.get(name) for name in ("ASR_MODEL", "MODEL_ID")):
        return ModelSettings.from_environment()
    demo: dict[str, Any] = {"asr_model": str(MODELS / "demo-whisper")}
    if not os.environ.get("DIARIZATION_MODEL") and _has_pyannote():
        demo["diarization_model"] = str(MODELS / "demo-diarization")
    return ModelSettings.from_environment(**demo)


def _has_pyannote() -> bool:
    """Asked of the package first: to look into one that is absent is an error."""
    return all(importlib.util.find_spec(name) for name in ("pyannote", "pyannote.audio"))


def settings() -> ServerSettings:
    """The server's, with a Space's address and port where nothing else is said. Raises InvalidSettings."""
    usual = {"port": 7860, **({"host": "0.0.0.0"} if os.environ.get("SPACE_ID") else {})}
    absent: dict[str, Any] = {name: value for name, value in usual.items() if not os.environ.get(name.upper())}
    return ServerSettings.from_environment(**absent, ui=True)


def main() -> int:
    """Serves until it is told to end; the exit code."""
    configure_logging()
    if importlib.util.find_spec("gradio") is None:
        logger.error("the page needs gradio: pip install gradio")
        return 2
    try:
        asked, wanted = settings(), models()
    except InvalidSettings as error:
        logger.error(error)
        return 2
    return serve(application(asked, lambda: Transcriber(wanted)))


def application(settings: ServerSettings, load: Callable[[], Transcriber]) -> FastAPI:
    """The server's, with the page at its front."""
    app = create_app(settings, load, mounts=[mount])
    app.router.routes.insert(0, Route("/", _front))
    return app


async def _front(_: Request) -> RedirectResponse:
    return RedirectResponse("ui/")
