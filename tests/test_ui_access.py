"""The page in a real browser: contrast, phones, the keyboard alone, and formats that it cannot play."""

import io
from collections.abc import Callable
from pathlib import Path
from typing import Literal

import av
import pytest
from playwright.sync_api import Page, Route, expect

from tests.browser import (
    CHROMIUM,
    PHONE,
    hold_requests,
    transcribe_sample,
    wait_for_transcript,
)
from tests.conftest import SAMPLES
from tests.serving import until

pytestmark = pytest.mark.skipif(CHROMIUM is None, reason="there is no chromium: apt-get install chromium")


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_all_text_has_enough_contrast(tab: Callable[..., Page], scheme: Literal["light", "dark"]) -> None:
    page = tab()
    page.emulate_media(color_scheme=scheme)
    page.reload()
    page.wait_for_selector("#samples button")
    page.get_by_text("Options", exact=True).click()
    page.wait_for_timeout(500)
    transcribe_sample(page, "meeting.flac")
    page.get_by_role("searchbox").fill("the")
    assert page.evaluate((Path(__file__).parent / "contrast.js").read_text()) == []


def test_waveform_changes_with_the_colour_scheme(tab: Callable[..., Page]) -> None:
    page = transcribe_sample(tab(), "short.wav")
    picture = "document.getElementById('canvas').toDataURL()"
    light = page.evaluate(picture)
    page.emulate_media(color_scheme="dark")
    until(lambda: bool(page.evaluate(picture) != light), 10)


def test_fits_a_phone_with_controls_large_enough_to_touch(tab: Callable[..., Page]) -> None:
    page = tab(viewport=PHONE, has_touch=True, is_mobile=True)
    page.get_by_text("Options", exact=True).click()
    transcribe_sample(page, "meeting.flac")
    page.get_by_label("Name of SPEAKER_00").fill("A name that is much longer than a phone is wide, and then some")
    assert page.evaluate("document.documentElement.scrollWidth") <= PHONE["width"]
    small = "elements => elements.filter(e => e.offsetParent && e.getBoundingClientRect().height < 32).length"
    assert page.locator("button, summary, select").evaluate_all(small) == 0


def test_tab_key_reaches_everything_from_the_sample_to_the_words(tab: Callable[..., Page]) -> None:
    page = tab()

    def tab_to(selector: str) -> None:
        for _ in range(40):
            page.keyboard.press("Tab")
            if page.evaluate("selector => document.activeElement.matches(selector)", selector):
                return
        raise AssertionError(f"the Tab key does not reach {selector}")

    tab_to("[data-sample='short.wav']")
    page.keyboard.press("Enter")
    tab_to("#transcribe")
    page.keyboard.press("Enter")
    wait_for_transcript(page)
    tab_to("[data-format=srt]")
    tab_to(".word")


def test_plays_a_wav_of_what_the_browser_cannot_play(tab: Callable[..., Page]) -> None:
    file = io.BytesIO()
    with av.open(file, "w", format="aiff") as container:
        stream = container.add_stream("pcm_s16be", rate=16_000, layout="mono")
        samples = (SAMPLES["short"].audio.samples * 32767).astype("int16")[None]
        frame = av.AudioFrame.from_ndarray(samples, "s16", "mono")
        frame.rate = 16_000
        container.mux(stream.encode(frame))
        container.mux(stream.encode(None))
    page = tab()
    sound, source = hold_requests(page, "**/ui/sound"), "document.getElementById('audio').src"

    def transcribe() -> Route:
        page.set_input_files("#file", {"name": "short.aiff", "mimeType": "audio/aiff", "buffer": file.getvalue()})
        with page.expect_request("**/ui/sound"):
            page.click("#transcribe")
        wait_for_transcript(page)
        return sound.pop()

    late = transcribe()
    transcribe_sample(page, "german.ogg")
    before = page.evaluate(source)
    with page.expect_response("**/ui/sound"):
        late.fulfill(body=SAMPLES["short"].path.read_bytes())
    page.wait_for_timeout(100)
    assert page.evaluate(source) == before, "the sound of another recording"
    transcribe().fulfill(status=429, body='{"error": {"message": "too many requests are waiting"}}')
    expect(page.get_by_role("alert")).to_contain_text("press Play to try again. Too many requests are waiting.")
    page.unroute("**/ui/sound")
    page.get_by_role("button", name="Play").click()
    until(lambda: bool(page.evaluate("document.getElementById('audio').duration > 6")), 10)
    page.locator(".word").nth(3).click()
    until(lambda: page.evaluate("document.getElementById('audio').currentTime") > 0.5, 10)
