"""The pictures of the page in docs/: `make screenshots` takes them anew."""

from playwright.sync_api import Page

from tests.browser import DESKTOP, PHONE, chromium, open_page, transcribe_sample
from tests.conftest import ASSISTANT, DEMO, DIARIZATION, ROOT
from tests.serving import serving
from transcription.config import ModelSettings
from transcription.transcriber import Transcriber

DOCS = ROOT / "docs"


def show_transcript(page: Page, url: str) -> Page:
    """Show a transcript with a renamed speaker and a marked word."""
    transcribe_sample(open_page(page, url), "meeting.flac")
    page.get_by_label("Name of SPEAKER_01").fill("Maria")
    page.locator(".word").nth(14).evaluate(
        "word => { document.getElementById('audio').currentTime = Number(word.dataset.start) + 0.05 }"
    )
    page.wait_for_selector(".word.current")
    page.evaluate("document.activeElement.blur()")
    page.mouse.move(0, 0)
    page.evaluate("window.scrollTo(0, document.getElementById('status').getBoundingClientRect().top + scrollY - 16)")
    return page


def main() -> None:
    """Take the light page, the dark one and the one on a phone."""
    DOCS.mkdir(exist_ok=True)
    settings = ModelSettings.from_environment(
        asr_model=str(DEMO), assistant_model=str(ASSISTANT), diarization_model=str(DIARIZATION)
    )
    with serving(Transcriber(settings)) as server, chromium() as browser:
        light = browser.new_page(viewport=DESKTOP)
        show_transcript(light, server.url).screenshot(path=DOCS / "page.png")
        dark = browser.new_page(viewport=DESKTOP, color_scheme="dark")
        show_transcript(dark, server.url).screenshot(path=DOCS / "page-dark.png")
        phone = browser.new_page(viewport=PHONE, device_scale_factor=2, has_touch=True, is_mobile=True)
        show_transcript(phone, server.url).screenshot(path=DOCS / "page-phone.png")


if __name__ == "__main__":
    main()
