"""The page at /ui of the server: its files, and the routes that it calls."""

from pathlib import Path
from typing import Any

from fastapi import Depends, FastAPI
from starlette.responses import Response
from starlette.staticfiles import StaticFiles

from transcription.server.authentication import authorised
from transcription.ui import routes

BROWSER = Path(__file__).parent / "browser"
"""What the browser loads, exactly as it is."""
HEADERS = {
    # frame-ancestors is absent because huggingface.co shows a Space in a frame, as may any site that embeds it. The
    # page has no cookie or login that a frame could misuse.
    "content-security-policy": (
        "default-src 'self'; media-src 'self' blob:; object-src 'none'; base-uri 'none'; form-action 'none'"
    ),
    "x-content-type-options": "nosniff",
    "referrer-policy": "no-referrer",
    "cache-control": "no-cache",  # a browser revalidates each file: scripts and markup of two versions never meet
}


class PageFiles(StaticFiles):
    """The files of the page, with security headers."""

    def file_response(self, *args: Any, **kwargs: Any) -> Response:
        """Return the file, or 304 if the browser has it."""
        response = super().file_response(*args, **kwargs)
        response.headers.update(HEADERS)
        return response


def mount(app: FastAPI) -> None:
    """Add the page to the server, unless the setting UI is off.

    The files need no API key, as they hold no secret: the page asks its visitor for the key.
    """
    if not app.state.service.settings.ui:
        return
    app.include_router(routes.open_router)
    app.include_router(routes.router, dependencies=[Depends(authorised)])
    app.mount("/ui", PageFiles(directory=BROWSER, html=True))
