"""How the page is put below /ui of the server."""

import importlib.util
import logging
from collections.abc import Callable
from typing import Any

from fastapi import Depends, FastAPI
from starlette.staticfiles import StaticFiles

from page import routes
from page.shell import BROWSER, Shell

logger = logging.getLogger("transcription")


def mount(app: FastAPI, authorised: Callable[..., Any]) -> None:
    """Serves the page where Gradio is installed. authorised: what lets a request to the routes that work.

    The page itself is open, as it holds nothing: it asks its visitor for the key and sends it with every request.
    """
    if importlib.util.find_spec("gradio") is None:
        logger.info("no page at /ui: install requirements-ui.txt to have it")
        return
    app.include_router(routes.open_router)
    app.include_router(routes.router, dependencies=[Depends(authorised)])
    app.mount("/ui/page", StaticFiles(directory=BROWSER))
    app.mount("/ui", Shell())
