"""How the page is put below /ui of the server."""

import importlib.util
import logging
from collections.abc import Callable
from typing import Any

from fastapi import Depends, FastAPI
from starlette.responses import Response
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
    app.mount("/ui/page", Fresh(directory=BROWSER))
    app.mount("/ui", Shell())


class Fresh(StaticFiles):
    """Files that a browser asks for anew, so that scripts and markup of two versions never meet."""

    def file_response(self, *arguments: Any, **named: Any) -> Response:
        """With the header that says so; what has not changed is still answered with 304."""
        response = super().file_response(*arguments, **named)
        response.headers["Cache-Control"] = "no-cache"
        return response
