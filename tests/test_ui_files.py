"""The page's files: their headers, markup and colours, without a browser."""

import re
import subprocess
import sys
import threading
from collections.abc import Iterator, Mapping
from html.parser import HTMLParser
from typing import Any

import httpx
import pytest
from transformers.models.whisper.tokenization_whisper import LANGUAGES

from tests.conftest import ROOT
from tests.serving import Running, serving, until
from transcription.config import InferenceConfig
from transcription.server.app import create_app
from transcription.server.settings import ServerSettings
from transcription.transcriber import Transcriber
from transcription.ui.mounting import BROWSER, mount

FILES = ("", *sorted(path.name for path in BROWSER.iterdir()))
DOCUMENT = (BROWSER / "index.html").read_text()


class Elements(HTMLParser):
    """Every element of a document: its tag and its attributes, and those elements that are inside a label."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.found: list[tuple[str, dict[str, str | None]]] = []
        self.in_labels: list[dict[str, str | None]] = []
        self._in_label = False
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.found.append((tag, dict(attrs)))
        if self._in_label:
            self.in_labels.append(dict(attrs))
        self._in_label |= tag == "label"

    def handle_endtag(self, tag: str) -> None:
        self._in_label &= tag != "label"

    def attributes(self, *tags: str) -> list[dict[str, str | None]]:
        return [attributes for tag, attributes in self.found if tag in tags]


ELEMENTS = Elements(DOCUMENT)


@pytest.fixture(scope="module")
def responses() -> Iterator[Mapping[str, httpx.Response]]:
    """Yield a client of a server whose models are still loading."""
    stop = threading.Event()

    def load() -> Any:
        stop.wait(60)
        raise RuntimeError("the test needs no models")

    running = Running(create_app(ServerSettings(), load, mounts=[mount]))
    with running.running(wait=False):
        until(lambda: running.server.started)
        yield {name: httpx.get(f"{running.url}/ui/{name}", timeout=5) for name in FILES}
        stop.set()


class TestServing:
    """The files come from the server alone, at once, with security headers."""

    @pytest.mark.parametrize("name", FILES)
    def test_every_file_has_the_security_headers_before_the_models_are_loaded(
        self, responses: Mapping[str, httpx.Response], name: str
    ) -> None:
        response = responses[name]
        assert response.status_code == 200
        assert response.content == (BROWSER / (name or "index.html")).read_bytes()
        assert response.headers["content-security-policy"].startswith("default-src 'self'; ")
        assert response.headers["x-content-type-options"] == "nosniff"
        assert response.headers["referrer-policy"] == "no-referrer"
        assert response.headers["cache-control"] == "no-cache"

    def test_policy_allows_no_inline_code_no_eval_and_no_foreign_address(
        self, responses: Mapping[str, httpx.Response]
    ) -> None:
        policy = responses[""].headers["content-security-policy"]
        assert "unsafe" not in policy
        assert "http" not in policy
        assert "*" not in policy

    def test_policy_lets_a_space_show_the_page_in_a_frame(self, responses: Mapping[str, httpx.Response]) -> None:
        assert "frame-ancestors" not in responses[""].headers["content-security-policy"]
        assert "x-frame-options" not in responses[""].headers

    def test_browser_with_the_current_file_gets_304_with_the_same_headers(self, server: Running) -> None:
        first = httpx.get(f"{server.url}/ui/page.js")
        second = httpx.get(f"{server.url}/ui/page.js", headers={"If-None-Match": first.headers["etag"]})
        assert second.status_code == 304
        assert second.headers["content-security-policy"] == first.headers["content-security-policy"]

    def test_address_without_a_slash_redirects(self, server: Running) -> None:
        response = httpx.get(f"{server.url}/ui", follow_redirects=True)
        assert (response.status_code, str(response.url)) == (200, f"{server.url}/ui/")

    @pytest.mark.parametrize(
        ("method", "path", "status"),
        [
            ("GET", "../mounting.py", 404), ("GET", "%2e%2e/mounting.py", 404), ("GET", "nothing.js", 404),
            ("POST", "", 405), ("PUT", "page.js", 405),
        ],
    )  # fmt: skip
    def test_serves_nothing_else(self, server: Running, method: str, path: str, status: int) -> None:
        assert httpx.request(method, f"{server.url}/ui/{path}").status_code == status

    def test_setting_ui_false_removes_the_page(self, transcriber: Transcriber) -> None:
        with serving(transcriber, ui=False) as server:
            paths = ("ui", "ui/", "ui/about", "ui/page.js", "health")
            statuses = [httpx.get(f"{server.url}/{path}").status_code for path in paths]
        assert statuses == [404, 404, 404, 404, 200]

    def test_first_request_resolves_no_address_and_imports_no_gradio(self) -> None:
        script = """if True:
            import asyncio, socket, sys, httpx
            addresses, resolve = [], socket.getaddrinfo
            socket.getaddrinfo = lambda *args, **kwargs: addresses.append(args[0]) or resolve(*args, **kwargs)
            from transcription.server.app import create_app
            from transcription.server.settings import ServerSettings
            from transcription.ui.mounting import mount
            app = create_app(ServerSettings(), None, mounts=[mount])
            async def visit():
                async with httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://here") as client:
                    return (await client.get("/ui/")).status_code
            print(asyncio.run(visit()), addresses, "gradio" in sys.modules)
        """
        done = subprocess.run([sys.executable, "-c", script], cwd=ROOT, capture_output=True, text=True, check=True)
        assert done.stdout.splitlines()[-1] == "200 [] False"


class TestMarkup:
    """The document."""

    def test_names_no_foreign_address(self) -> None:
        texts = {path.name: path.read_text() for path in BROWSER.iterdir()}
        addresses = {name: re.findall(r"(?:https?:)?//[\w.-]+\.\w+", text) for name, text in texts.items()}
        assert {name: found for name, found in addresses.items() if found} == {"icon.svg": ["http://www.w3.org"]}

    def test_has_no_inline_script_style_or_handler(self) -> None:
        assert [attributes for attributes in ELEMENTS.attributes("script") if "src" not in attributes] == []
        assert ELEMENTS.attributes("style") == []
        names = {name for _, attributes in ELEMENTS.found for name in attributes}
        assert {name for name in names if name == "style" or name.startswith("on")} == set()

    def test_every_control_is_a_parameter_of_a_request(self) -> None:
        names = {attributes.get("name") for attributes in ELEMENTS.attributes("input", "select", "textarea")} - {None}
        assert names == {
            "language", "task", "num_speakers", "keywords", "prompt", "vad_filter", "multichannel", "diarize",
            "align",
        }  # fmt: skip
        assert names <= set(InferenceConfig.model_fields)

    def test_languages_are_whispers_in_alphabetical_order_with_both_scripts_of_chinese(self) -> None:
        select = re.search(r'<select id="language".*?</select>', DOCUMENT, re.DOTALL)
        assert select is not None
        options = re.findall(r'<option value="([\w-]+)">([^<]+)</option>', select[0])
        known = {code: name.title() for code, name in LANGUAGES.items()} | {"zh-TW": "Chinese (Traditional)"}
        assert options == sorted(known.items(), key=lambda row: row[1])

    def test_every_control_has_a_label(self) -> None:
        labels = {attributes["for"] for attributes in ELEMENTS.attributes("label") if "for" in attributes}
        controls = ELEMENTS.attributes("input", "select", "textarea")
        assert [one for one in controls if one.get("id") not in labels and one not in ELEMENTS.in_labels] == []

    def test_identifiers_are_unique_and_described_ones_exist(self) -> None:
        ids = [attributes["id"] for _, attributes in ELEMENTS.found if "id" in attributes]
        assert len(set(ids)) == len(ids)
        references = {
            attributes[name] for _, attributes in ELEMENTS.found
            for name in ("for", "aria-labelledby", "aria-describedby") if name in attributes
        }  # fmt: skip
        assert references <= set(ids)

    def test_scripts_use_only_elements_that_exist(self) -> None:
        used = {name for path in BROWSER.glob("*.js") for name in re.findall(r'byId\("([\w-]+)"\)', path.read_text())}
        assert used <= {attributes.get("id") for _, attributes in ELEMENTS.found}


def palettes() -> dict[str, dict[str, str]]:
    """Return the colours of palette.css by name, light and dark."""
    light, dark = (BROWSER / "palette.css").read_text().split("prefers-color-scheme: dark")
    return {
        scheme: dict(re.findall(r"--([\w-]+): (#[0-9a-f]{6});", text))
        for scheme, text in (("light", light), ("dark", dark))
    }


def luminance(colour: str) -> float:
    """Return the relative luminance of #rrggbb, 0 to 1, as WCAG 2 defines it."""
    channels = [int(colour[at : at + 2], 16) / 255 for at in (1, 3, 5)]
    red, green, blue = (part / 12.92 if part <= 0.03928 else ((part + 0.055) / 1.055) ** 2.4 for part in channels)
    return 0.2126 * red + 0.7152 * green + 0.0722 * blue


def contrast(one: str, other: str) -> float:
    """Return the contrast ratio of two colours, 1 to 21, as WCAG 2 defines it."""
    low, high = sorted((luminance(one), luminance(other)))
    return (high + 0.05) / (low + 0.05)


class TestPalette:
    """The colours, light and dark."""

    def test_dark_palette_has_the_same_colours(self) -> None:
        assert list(palettes()["light"]) == list(palettes()["dark"])

    @pytest.mark.parametrize("scheme", ["light", "dark"])
    def test_text_and_controls_have_the_contrast_of_wcag_level_aa(self, scheme: str) -> None:
        colours = palettes()[scheme]
        backgrounds = [colours[name] for name in ("paper", "card", "sunken")]
        speakers = [colours[f"speaker-{index}"] for index in range(8)]
        text = [colours["ink"], colours["muted"], colours["accent"], *speakers]
        pairs = [(one, background) for one in text for background in backgrounds]
        pairs += [(colours["ink"], colours[name]) for name in ("current", "match")]
        pairs += [(colours["on-accent"], colours["accent"]), (colours["danger"], colours["danger-paper"])]
        assert [pair for pair in pairs if contrast(*pair) < 4.5] == []
        assert [background for background in backgrounds if contrast(colours["edge"], background) < 3] == []
