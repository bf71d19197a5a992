"""How the page is put below /ui of the server."""

import importlib.util
import logging
from typing import Any

from fastapi import Depends, FastAPI
from starlette.responses import Response
from starlette.staticfiles import StaticFiles

from transcription.server.authentication import authorised
from transcription.ui import routes
from transcription.ui.shell import BROWSER, Shell

logger = logging.getLogger("transcription")


def mount(app: FastAPI) -> None:
    """Serve the page, unless the setting UI is off or Gradio is not installed.

    The page itself is open, as it holds nothing: it asks its visitor for the key and sends it with every request.
    """
    if not app.state.service.settings.ui:
        return
    if importlib.util.find_spec("gradio") is None:
        logger.info("no page at /ui: install gradio to have it")
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
