"""The README's pictures of the page, taken from the page: `make screenshots` writes them into docs/."""

from playwright.sync_api import Page

from tests.browser import DESKTOP, PHONE, chromium, opened, transcribed
from tests.conftest import ASSISTANT, DEMO, DIARIZATION, ROOT
from tests.serving import serving
from transcription.config import ModelSettings
from transcription.transcriber import Transcriber

DOCS = ROOT / "docs"


def shown(page: Page, url: str) -> Page:
    """A transcript with a name, at a word."""
    transcribed(opened(page, url), "meeting.flac")
    page.get_by_label("Name of SPEAKER_01").fill("Maria")
    page.locator(".word").nth(14).evaluate(
        "word => { document.getElementById('audio').currentTime = Number(word.dataset.start) + 0.05 }"
    )
    page.wait_for_selector(".word.now")
    page.evaluate("document.activeElement.blur()")
    page.mouse.move(0, 0)
    page.evaluate("window.scrollTo(0, document.getElementById('status').getBoundingClientRect().top + scrollY - 24)")
    return page


def main() -> None:
    """A transcript, in the light, in the dark and on a phone."""
    DOCS.mkdir(exist_ok=True)
    settings = ModelSettings.from_environment(
        asr_model=str(DEMO), assistant_model=str(ASSISTANT), diarization_model=str(DIARIZATION)
    )
    with serving(Transcriber(settings)) as server, chromium() as browser:
        light = browser.new_page(viewport=DESKTOP)
        shown(light, server.url).screenshot(path=DOCS / "page.png")
        dark = browser.new_page(viewport=DESKTOP, color_scheme="dark")
        shown(dark, server.url).screenshot(path=DOCS / "page-dark.png")
        phone = browser.new_page(viewport=PHONE, device_scale_factor=2, has_touch=True, is_mobile=True)
        shown(phone, server.url).screenshot(path=DOCS / "page-phone.png")


if __name__ == "__main__":
    main()
