"""A real browser for the tests of the page and for its screenshots: the system's Chromium, headless."""

import contextlib
import json
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from playwright.sync_api import (
    Browser,
    BrowserContext,
    ConsoleMessage,
    Page,
    Request,
    Route,
    ViewportSize,
    expect,
    sync_playwright,
)

CHROMIUM = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)
_ARGUMENTS = [
    "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-background-networking",
    "--disable-component-update", "--disable-sync", "--autoplay-policy=no-user-gesture-required",
    "--use-fake-device-for-media-stream", "--use-fake-ui-for-media-stream",
]  # fmt: skip
PHONE = ViewportSize(width=360, height=740)  # CSS pixels
DESKTOP = ViewportSize(width=1200, height=900)
expect.set_options(timeout=30_000)  # milliseconds
SLOW = {"chunk_length_s": 1, "batch_size": 1, "temperature": [0, 0, 0, 0, 0], "logprob_threshold": 0}
"""Options of a slow request: windows of one second, decoded five times each. The first text comes early."""


@contextlib.contextmanager
def chromium(microphone: Path | None = None) -> Iterator[Browser]:
    """Yield a browser. Inside, this thread has a running event loop. microphone: the wav file that it hears."""
    arguments = [*_ARGUMENTS, f"--use-file-for-fake-audio-capture={microphone}"] if microphone else _ARGUMENTS
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=arguments)
        try:
            yield browser
        finally:
            browser.close()


@contextlib.contextmanager
def visiting(microphone: Path | None = None) -> Iterator[BrowserContext]:
    """Yield a browser context that the tabs of one test file share. microphone: see chromium."""
    with chromium(microphone) as browser, browser.new_context() as context:
        yield context


@contextlib.contextmanager
def tabs(visitors: BrowserContext, home: str) -> Iterator[Callable[..., Page]]:
    """Yield a function that opens the page in a new tab; with options, in a context of its own.

    At the end, fail if a script failed, if the page requested a foreign address, or if it violated its policy.
    """
    pages, problems = list[Page](), list[str]()

    def open_tab(url: str = home, **options: Any) -> Page:
        browser = visitors.browser
        assert browser is not None
        page = browser.new_page(**options) if options else visitors.new_page()
        pages.append(page)

        def check_address(request: Request) -> None:
            if not request.url.startswith((f"{url}/", "blob:", "data:")):
                problems.append(request.url)

        page.on("pageerror", lambda error: problems.append(str(error)))
        page.on("request", check_address)
        page.on("console", lambda message: problems.extend(policy_violations(message)))
        return open_page(page, url)

    yield open_tab
    for page in pages:
        page.close()
    assert problems == []


def policy_violations(message: ConsoleMessage) -> list[str]:
    """Return the text of a console message about the Content-Security-Policy, in a list; else an empty list."""
    return [message.text] if "Content Security Policy" in message.text else []


def open_page(page: Page, url: str) -> Page:
    """Go to the page of the server at `url` and wait until it is ready."""
    page.goto(f"{url}/ui")
    page.wait_for_selector("#samples button")
    return page


def transcribe_sample(page: Page, sample: str) -> Page:
    """Transcribe a sample and wait for its transcript."""
    page.click(f"[data-sample='{sample}']")
    page.click("#transcribe")
    return wait_for_transcript(page)


def wait_for_transcript(page: Page) -> Page:
    """Wait until the request has succeeded."""
    page.wait_for_selector("#result[data-state=done]")
    expect(page.locator("#stage")).to_contain_text("of audio in")  # a failed request is done too
    return page


def add_options(page: Page, options: dict[str, Any]) -> None:
    """Send these options too. The page has no control for them. sent_options returns all that were sent."""
    page.evaluate(
        """options => { const append = FormData.prototype.append;
            FormData.prototype.append = function (name, value, ...rest) {
                if (name === "options") value = window.sent = JSON.stringify({ ...JSON.parse(value), ...options });
                append.call(this, name, value, ...rest);
            }; }""",
        options,
    )


def sent_options(page: Page) -> dict[str, Any]:
    """Return the options of the last request."""
    found: dict[str, Any] = json.loads(page.evaluate("window.sent"))
    return found


def download(page: Page, extension: str) -> tuple[str, str]:
    """Return the name and text of a download."""
    with page.expect_download() as waiting:
        page.get_by_role("button", name=extension, exact=True).click()
    return waiting.value.suggested_filename, Path(waiting.value.path()).read_text()


def hold_requests(page: Page, address: str) -> list[Route]:
    """Return a list that gets the requests to an address. Each waits until the test answers it."""
    routes = list[Route]()

    def hold(route: Route) -> None:
        routes.append(route)

    page.route(address, hold)
    return routes


def respond_with_events(page: Page, *events: dict[str, Any]) -> None:
    """Answer each transcription request with these events."""
    page.route("**/ui/transcribe", lambda route: route.fulfill(body=ndjson(*events)))


def ndjson(*events: dict[str, Any]) -> str:
    """Return events as the server writes them: one JSON object per line."""
    return "".join(json.dumps(event) + "\n" for event in events)
