"""A real browser for the tests of the page, and for its screenshots: the system's Chromium, without a window."""

import contextlib
import json
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from playwright.sync_api import Browser, BrowserContext, Page, Request, Route, ViewportSize, expect, sync_playwright

CHROMIUM = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)
_ARGUMENTS = [
    "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-background-networking",
    "--disable-component-update", "--disable-sync", "--autoplay-policy=no-user-gesture-required",
    "--use-fake-device-for-media-stream", "--use-fake-ui-for-media-stream",
]  # fmt: skip
PHONE = ViewportSize(width=360, height=740)  # CSS pixels
DESKTOP = ViewportSize(width=1200, height=900)
expect.set_options(timeout=30_000)  # milliseconds, as everything else is waited for


@contextlib.contextmanager
def chromium() -> Iterator[Browser]:
    """A browser, closed in the end. Within, this thread has a running event loop."""
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=_ARGUMENTS)
        try:
            yield browser
        finally:
            browser.close()


@contextlib.contextmanager
def visiting() -> Iterator[BrowserContext]:
    """What most tabs of some tests share: Gradio's sixty files are fetched once."""
    with chromium() as browser, browser.new_context() as context:
        yield context


@contextlib.contextmanager
def tabs(visitors: BrowserContext, home: str) -> Iterator[Callable[..., Page]]:
    """Opens the page in new tabs, with options in a context of its own. Nothing may fail in it, or ask elsewhere."""
    pages, problems = list[Page](), list[str]()

    def open_one(url: str = home, **options: Any) -> Page:
        browser = visitors.browser
        assert browser is not None
        page = browser.new_page(**options) if options else visitors.new_page()
        pages.append(page)

        def asked(request: Request) -> None:
            if not request.url.startswith((f"{url}/", "blob:", "data:")):
                problems.append(request.url)

        page.on("pageerror", lambda error: problems.append(str(error)))
        page.on("request", asked)
        return opened(page, url)

    yield open_one
    for page in pages:
        page.close()
    assert problems == []


def opened(page: Page, url: str) -> Page:
    """The page of the server at `url`, ready for its visitor."""
    page.goto(f"{url}/ui")
    page.wait_for_selector("#samples button")
    return page


def transcribed(page: Page, sample: str) -> Page:
    """With a sample's transcript on it."""
    page.click(f"[data-sample='{sample}']")
    page.click("#transcribe")
    return heard(page)


def heard(page: Page) -> Page:
    """When the transcript is there that was asked for."""
    page.wait_for_selector("#view[data-state=done]")
    expect(page.locator("#stage")).to_contain_text("of audio in")  # a failure is an end too
    return page


def downloaded(page: Page, ending: str) -> tuple[str, str]:
    """A download's name and text."""
    with page.expect_download() as waiting:
        page.get_by_role("button", name=ending, exact=True).click()
    return waiting.value.suggested_filename, Path(waiting.value.path()).read_text()


def held(page: Page, address: str) -> list[Route]:
    """Requests to an address, which wait until the test goes on with them."""
    routes = list[Route]()

    def hold(route: Route) -> None:
        routes.append(route)

    page.route(address, hold)
    return routes


def answered_with(page: Page, *events: dict[str, Any]) -> None:
    """The next transcript is this."""
    page.route("**/ui/transcribe", lambda route: route.fulfill(body=in_lines(*events)))


def in_lines(*events: dict[str, Any]) -> str:
    """As the server writes them."""
    return "".join(json.dumps(event) + "\n" for event in events)
