"""Shell: what Gradio does of the page. It lays it out, and is asked for files and nothing else.

Recordings, transcripts and keys never pass through it: routes.py has them.
"""

import asyncio
import re
from collections.abc import MutableMapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from starlette.datastructures import Headers, MutableHeaders
from starlette.responses import PlainTextResponse
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from transcription.ui.palette import style_sheet, theme_values

if TYPE_CHECKING:
    import gradio as gr

BROWSER = Path(__file__).parent / "browser"
"""What the browser gets as it lies there."""
_FILES = frozenset({"", "assets", "static", "theme.css", "favicon.ico", "robots.txt"})
_HEADERS = {
    # Nothing comes from, or goes to, another address. Gradio needs eval for the handlers of its components.
    "content-security-policy": (
        "default-src 'self'; script-src 'self' 'unsafe-inline' 'unsafe-eval'; style-src 'self' 'unsafe-inline'; "
        "img-src 'self' data: blob:; media-src 'self' blob:; font-src 'self' data:; "
        "object-src 'none'; form-action 'self'"
    ),
    "x-content-type-options": "nosniff",
    "referrer-policy": "no-referrer",
}
_STRANGE = re.compile(
    r'<meta\s+(?:property="og:|name="twitter:)[^>]*>|<link rel="manifest"[^>]*>|<link rel="preconnect"[^>]*>'
)
_HEAD = '<link rel="icon" href="./page/icon.svg"><meta name="description" content="What was said, and by whom">'
_SYSTEM = ("ui-sans-serif", "system-ui", "sans-serif")
_TYPEWRITER = ("ui-monospace", "monospace")


class Shell:
    """ASGI: Gradio's application, built when the first visitor comes, as its import takes seconds."""

    def __init__(self) -> None:
        self._app: ASGIApp | None = None
        self._building = asyncio.Lock()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        below = str(scope.get("path", "")).removeprefix(str(scope.get("root_path", ""))).strip("/")
        if scope["type"] != "http" or scope["method"] not in ("GET", "HEAD") or below.split("/")[0] not in _FILES:
            await PlainTextResponse("there is no such page", 404)(scope, receive, send)
            return
        app = await self._built()
        await (_Page(app) if below == "" else app)(scope, receive, send)

    async def _built(self) -> ASGIApp:
        async with self._building:
            if self._app is None:
                self._app = await asyncio.to_thread(asyncio.run, _build())
            return self._app


class _Page:
    """The document itself: without what points elsewhere, and with our headers."""

    def __init__(self, app: ASGIApp) -> None:
        self.app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        plain = [(name, value) for name, value in scope["headers"] if name != b"accept-encoding"]
        started: MutableMapping[str, Any] = {}
        body = bytearray()

        async def kept(message: Message) -> None:
            if message["type"] == "http.response.start":
                started.update(message)
                return
            body.extend(message.get("body", b""))
            if message.get("more_body"):
                return
            whole = bytes(body)
            if "text/html" in Headers(scope={"headers": started["headers"]}).get("content-type", ""):
                whole = _STRANGE.sub("", whole.decode()).replace("</head>", f"{_HEAD}</head>", 1).encode()
            headers = MutableHeaders(scope=started)
            headers.update(_HEADERS | {"content-length": str(len(whole)), "cache-control": "no-cache"})
            await send(started)
            await send({"type": "http.response.body", "body": whole})

        await self.app({**scope, "headers": plain}, receive, kept)


async def _build() -> ASGIApp:
    """Gradio's application. Awaits nothing: where no event loop runs, Gradio makes some and never closes them."""
    import gradio as gr
    from fastapi import FastAPI

    app = FastAPI(openapi_url=None)
    mounted: ASGIApp = gr.mount_gradio_app(
        app, _blocks(), path="", theme=_theme(), css=style_sheet(), css_paths=[BROWSER / "page.css"],
        footer_links=[], run_history=False, ssr_mode=False, mcp_server=False, enable_monitoring=False,
        show_error=False, max_file_size=1,
    )  # fmt: skip
    return mounted


def _blocks() -> "gr.Blocks":
    import gradio as gr

    from transcription.ui.options import collected, controls

    blocks: gr.Blocks
    with gr.Blocks(title="Transcription", analytics_enabled=False) as blocks:
        gr.HTML(_markup("source.html"), apply_default_css=False, elem_id="source")
        with gr.Accordion("Options", open=False, elem_id="options"):
            options = controls()
        button = gr.Button("Transcribe", variant="primary", size="lg", elem_id="transcribe")
        gr.HTML(_markup("result.html"), apply_default_css=False, elem_id="result", js_on_load=_START)
        button.click(fn=None, inputs=[option.control for option in options], js=collected(options))
    return blocks


_START = 'import(new URL("./page/main.js", document.baseURI)).then((page) => page.start())'


def _markup(name: str) -> str:
    return (BROWSER / name).read_text(encoding="utf-8")


def _theme() -> "gr.themes.Base":
    import gradio as gr

    theme = gr.themes.Base(font=_SYSTEM, font_mono=_TYPEWRITER, radius_size="lg", text_size="md")
    return theme.set(
        **dict(theme_values()),
        block_border_width="0px", block_shadow="none", block_shadow_dark="none", input_border_width="1px",
    )  # fmt: skip
