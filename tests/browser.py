"""A real browser for the tests of the page, and for its screenshots: the system's Chromium, without a window."""

import contextlib
import shutil
from collections.abc import Iterator

from playwright.sync_api import Browser, Page, ViewportSize, sync_playwright

CHROMIUM = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)
_ARGUMENTS = [
    "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-background-networking",
    "--disable-component-update", "--disable-sync", "--autoplay-policy=no-user-gesture-required",
    "--use-fake-device-for-media-stream", "--use-fake-ui-for-media-stream",
]  # fmt: skip
PHONE = ViewportSize(width=360, height=740)  # CSS pixels
DESKTOP = ViewportSize(width=1200, height=900)


@contextlib.contextmanager
def chromium() -> Iterator[Browser]:
    """A browser, closed in the end. Within, this thread has a running event loop."""
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=_ARGUMENTS)
        try:
            yield browser
        finally:
            browser.close()


def opened(page: Page, url: str) -> Page:
    """The page of the server at `url`, ready for its visitor."""
    page.goto(f"{url}/ui")
    page.wait_for_selector("#samples button")
    return page


def transcribed(page: Page, sample: str) -> Page:
    """With a sample's transcript on it."""
    page.click(f"[data-sample='{sample}']")
    page.click("#transcribe")
    page.wait_for_selector("#view[data-state=done]")
    return page
