"""The page in a real browser: the transcript as everybody sees it, by mouse, keyboard, phone."""

import io
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, Literal

import av
import pytest
from playwright.sync_api import BrowserContext, Page, Route, expect

from tests.browser import CHROMIUM, PHONE, answered_with, downloaded, heard, held, opened, transcribed
from tests.conftest import SAMPLES
from tests.serving import Running, until
from transcription.config import InferenceConfig
from transcription.formats import FORMATS, merge_by_speaker
from transcription.transcript import Transcript
from transcription.ui.names import renamed

pytestmark = pytest.mark.skipif(CHROMIUM is None, reason="there is no chromium: apt-get install chromium")

HOSTILE = "<img src=x onerror=\"document.title='taken'\"><script>document.title='taken'</script>"


@pytest.fixture(scope="module")
def meeting(server: Running) -> Transcript:
    """What the service itself makes of the sample, with the words' times."""
    config = InferenceConfig(timestamps="word")
    found: Transcript = server.service.transcriber.transcribe(SAMPLES["meeting"].audio, config)
    return found


@pytest.fixture(scope="module")
def page(visitors: BrowserContext, server: Running) -> Iterator[Page]:
    """One transcript that TestTheView looks at."""
    with visitors.new_page() as found:
        yield transcribed(opened(found, server.url), "meeting.flac")


class TestTheView:
    """The transcript on the page."""

    def test_a_click_on_a_word_plays_from_there_and_marks_it(self, page: Page, meeting: Transcript) -> None:
        word = page.locator(".word").nth(20)
        word.click()
        expect(page.locator(".word.now")).to_have_count(1)
        until(lambda: not page.evaluate("document.getElementById('audio').paused"), 10)
        assert page.evaluate("document.getElementById('audio').currentTime") >= meeting.words[20].start
        page.get_by_role("button", name="Pause").click()
        page.locator(".word").nth(20).evaluate(
            "word => document.getElementById('audio').currentTime = word.dataset.start"
        )
        expect(word).to_have_attribute("aria-current", "true")

    def test_a_click_on_the_waveform_seeks(self, page: Page, meeting: Transcript) -> None:
        width = page.locator("#wave").evaluate("wave => wave.clientWidth")
        page.locator("#wave").click(position={"x": width / 2, "y": 10})
        time = page.evaluate("document.getElementById('audio').currentTime")
        assert time == pytest.approx(meeting.duration / 2, abs=0.2)

    def test_the_page_follows_its_reader(self, page: Page) -> None:
        page.set_viewport_size({"width": 900, "height": 480})
        audio, now, word = page.locator("#audio"), page.locator(".word.now"), page.locator(".word").nth(1)

        def heard_until(at: int) -> None:
            page.wait_for_function("at => document.querySelector('.word.now')?.dataset.at > at", arg=at)

        def far() -> None:
            audio.evaluate("audio => { audio.currentTime = audio.duration - 5 }")
            heard_until(20)
            heard_until(int(page.evaluate("document.querySelector('.word.now')?.dataset.at ?? 20")))

        word.click()
        far()
        expect(now).to_be_in_viewport()
        word.click()
        page.evaluate("scrollTo({ top: document.body.scrollHeight, behavior: 'instant' })")
        there = page.evaluate("scrollY")
        heard_until(4)
        assert page.evaluate("scrollY") == there, "who looks elsewhere is left alone"
        page.locator("#wave").click(position={"x": 20, "y": 10})
        expect(now).to_be_in_viewport()
        word.click()
        page.evaluate("document.getElementById('search').focus({ preventScroll: true })")
        word.evaluate("word => word.scrollIntoView({ block: 'center', behavior: 'instant' })")
        there = page.evaluate("scrollY")
        far()
        assert page.evaluate("scrollY") == there, "so is who writes"
        page.get_by_role("button", name="Pause").click()
        page.set_viewport_size({"width": 1280, "height": 720})

    def test_turns_have_their_speakers_colours(self, page: Page, meeting: Transcript) -> None:
        order = list(meeting.speakers)
        shown = page.locator(".turn").evaluate_all(
            "turns => turns.map(one => [one.querySelector('.name').textContent, one.className])"
        )
        assert [name for name, _ in shown] == [one.speaker for one in merge_by_speaker(meeting)]
        assert [form for _, form in shown] == [f"turn speaker-{order.index(name)}" for name, _ in shown]
        colours = page.locator(".turn .name").evaluate_all("names => names.map(name => getComputedStyle(name).color)")
        assert len(set(colours)) == len(order)

    def test_search(self, page: Page) -> None:
        field = page.get_by_role("searchbox")
        field.fill("THE CON")
        expect(page.locator("#count")).to_have_text("1 of 2")
        assert page.locator(".word.found").all_text_contents() == ["the", "contract", "the", "contract"]
        field.press("Enter")
        expect(page.locator("#count")).to_have_text("2 of 2")
        page.get_by_role("button", name="Previous match").click()
        expect(page.locator("#count")).to_have_text("1 of 2")
        field.fill("elephant")
        expect(page.locator("#count")).to_have_text("nothing")
        field.fill("")
        expect(page.locator(".word.found")).to_have_count(0)

    def test_the_keyboard_alone(self, page: Page) -> None:
        page.locator(".word").first.focus()
        page.keyboard.press("ArrowRight")
        page.keyboard.press("ArrowDown")
        expect(page.locator(".turn").nth(1).locator(".word").first).to_be_focused()
        page.keyboard.press("Enter")
        until(lambda: not page.evaluate("document.getElementById('audio').paused"), 10)
        page.locator("#wave").focus()
        page.keyboard.press(" ")
        assert page.evaluate("document.getElementById('audio').paused")
        page.keyboard.press("Home")
        expect(page.locator("#wave")).to_have_attribute("aria-valuenow", "0.0")
        page.keyboard.press("ArrowRight")
        expect(page.locator("#wave")).to_have_attribute("aria-valuenow", "5.0")

    def test_new_names_are_everywhere(self, page: Page, meeting: Transcript) -> None:
        names = {"SPEAKER_00": "Ada  Lovelace", "SPEAKER_01": HOSTILE}
        for speaker, name in names.items():
            page.get_by_label(f"Name of {speaker}").fill(name)
        shown = page.locator(".turn .name").all_text_contents()
        assert shown[:2] == ["Ada  Lovelace", HOSTILE[:80]]
        called = renamed(meeting, names)
        assert downloaded(page, "srt")[1] == FORMATS["srt"].render(called)
        rttm = downloaded(page, "rttm")[1]
        assert rttm == FORMATS["rttm"].render(called)
        assert {len(line.split()) for line in rttm.splitlines()} == {10}
        assert page.title() == "Transcription"


class TestWhatIsUnsure:
    """What the models doubt is seen, and never by its colour alone; what they say stays text."""

    def word(self, text: str, at: float, **known: Any) -> dict[str, Any]:
        plain = {"probability": 0.9, "speaker": "A", "confidence": 1.0, "second_speaker": None, "overlap": False}
        return {"word": f" {text}", "start": at, "end": at + 0.5, **plain, **known}

    def test_marks_and_hostile_text(self, tab: Callable[..., Page]) -> None:
        page = tab()
        words = [
            self.word("sure", 0), self.word("guess", 1, probability=0.2),
            self.word("whose", 2, confidence=0.5, second_speaker="B"), self.word("both", 3, overlap=True),
            self.word(HOSTILE, 4),
        ]  # fmt: skip
        segment = {"text": "", "start": 0, "end": 5, "speaker": "A", "words": words}
        turns = [{"speaker": HOSTILE, "start": 0, "end": 5}, {"speaker": "A", "start": 0, "end": 5}]
        answered_with(
            page,
            {"audio": {"duration": 5, "peaks": [1, 50, 100]}},
            {
                "transcript": {
                    "segments": [segment],
                    "turns": turns,
                    "duration": 5,
                    "warnings": [HOSTILE],
                    "partial": True,
                }
            },
        )
        page.set_input_files("#file", {"name": f"{HOSTILE}.wav", "mimeType": "audio/wav", "buffer": b"RIFF"})
        page.click("#transcribe")
        heard(page)
        classes = page.locator("#transcript .word").evaluate_all("words => words.map(word => word.className)")
        assert classes == ["word", "word doubted", "word unsure", "word crowded", "word"]
        titles = page.locator("#transcript .word").evaluate_all("words => words.map(word => word.title)")
        assert titles[1:4] == [
            "1.00 s, A, a guess: 20 % sure", "2.00 s, A, speaker unsure: may be B", "3.00 s, A, several people talk"
        ]  # fmt: skip
        expect(page.locator("#marks")).to_be_visible()
        expect(page.locator("#transcript")).to_contain_text(HOSTILE)
        expect(page.locator("#warnings")).to_contain_text(HOSTILE)
        expect(page.locator("#chosen")).to_contain_text(HOSTILE)
        assert page.locator("#view img, #view script, #chosen img").count() == 0
        assert page.title() == "Transcription"

    def test_a_lecture_in_chinese(self, tab: Callable[..., Page]) -> None:
        page = tab()
        segments = [
            {"text": text, "start": at, "end": at + 30, "speaker": "A"}
            | {"words": [self.word("", at + number, word=one) for number, one in enumerate(text)]}
            for text, at in (("你们好", 0), ("我们是", 30), ("学生", 60))
        ]
        turns = [{"speaker": "A", "start": 0, "end": 90}]
        transcript = {"segments": segments, "turns": turns, "duration": 90, "language": "zh", "warnings": []}
        answered_with(page, {"audio": {"duration": 90, "peaks": [1]}}, {"transcript": transcript})
        transcribed(page, "short.wav")
        said = page.locator("#transcript .said")
        assert said.all_text_contents() == ["你们好我们是", "学生"], "a minute at a time"
        assert page.locator("#transcript time").all_text_contents() == ["0:00", "1:00"]
        assert [said.first.get_attribute(name) for name in ("lang", "dir")] == ["zh", "auto"]
        page.get_by_role("searchbox").fill("好我们")
        expect(page.locator("#count")).to_have_text("1 of 1")
        assert page.locator(".word.found").all_text_contents() == ["好", "我", "们"]
        page.get_by_label("Name of A").fill("Ada")
        page.keyboard.press("Tab")
        assert page.locator("#transcript .word").first.get_attribute("title") == "0.00 s, Ada"


class TestEverybody:
    """Whatever they look with."""

    @pytest.mark.parametrize("scheme", ["light", "dark"])
    def test_contrast_of_all_that_is_read(self, tab: Callable[..., Page], scheme: Literal["light", "dark"]) -> None:
        page = tab()
        page.emulate_media(color_scheme=scheme)
        page.reload()
        page.wait_for_selector("#samples button")
        page.get_by_role("button", name="Options").click()
        page.wait_for_timeout(500)
        transcribed(page, "meeting.flac")
        page.get_by_role("searchbox").fill("the")
        assert page.evaluate((Path(__file__).parent / "contrast.js").read_text()) == []

    def test_a_phone(self, tab: Callable[..., Page]) -> None:
        page = tab(viewport=PHONE, has_touch=True, is_mobile=True)
        page.get_by_role("button", name="Options").click()
        transcribed(page, "meeting.flac")
        page.get_by_label("Name of SPEAKER_00").fill("A name that is much longer than a phone is wide, and then some")
        assert page.evaluate("document.documentElement.scrollWidth") <= PHONE["width"]
        small = "elements => elements.filter(one => one.offsetParent && one.getBoundingClientRect().height < 32).length"
        assert page.locator("#source button, #result button, #transcribe").evaluate_all(small) == 0

    def test_from_the_first_tab_key_to_the_transcript(self, tab: Callable[..., Page]) -> None:
        page = tab()

        def tab_to(selector: str) -> None:
            for _ in range(40):
                page.keyboard.press("Tab")
                if page.evaluate("selector => document.activeElement.matches(selector)", selector):
                    return
            raise AssertionError(f"Tab never comes to {selector}")

        tab_to("[data-sample='short.wav']")
        page.keyboard.press("Enter")
        tab_to("#transcribe")
        page.keyboard.press("Enter")
        heard(page)
        tab_to("[data-format=srt]")
        tab_to(".word")

    def test_what_the_browser_cannot_play_is_played_all_the_same(self, tab: Callable[..., Page]) -> None:
        file = io.BytesIO()
        with av.open(file, "w", format="aiff") as container:
            stream = container.add_stream("pcm_s16be", rate=16_000, layout="mono")
            samples = (SAMPLES["short"].audio.samples * 32767).astype("int16")[None]
            frame = av.AudioFrame.from_ndarray(samples, "s16", "mono")
            frame.rate = 16_000
            container.mux(stream.encode(frame))
            container.mux(stream.encode(None))
        page = tab()
        sound, source = held(page, "**/ui/sound"), "document.getElementById('audio').src"

        def transcribe() -> Route:
            page.set_input_files("#file", {"name": "short.aiff", "mimeType": "audio/aiff", "buffer": file.getvalue()})
            with page.expect_request("**/ui/sound"):
                page.click("#transcribe")
            heard(page)
            return sound.pop()

        late = transcribe()
        transcribed(page, "german.ogg")
        before = page.evaluate(source)
        with page.expect_response("**/ui/sound"):
            late.fulfill(body=SAMPLES["short"].path.read_bytes())
        page.wait_for_timeout(100)
        assert page.evaluate(source) == before, "another recording's sound"
        transcribe().fulfill(status=429, body='{"error": {"message": "too many requests are waiting"}}')
        expect(page.get_by_role("alert")).to_contain_text("play to ask for it again. Too many requests are waiting.")
        page.unroute("**/ui/sound")
        page.get_by_role("button", name="Play").click()
        until(lambda: bool(page.evaluate("document.getElementById('audio').duration > 6")), 10)
        page.locator(".word").nth(3).click()
        until(lambda: page.evaluate("document.getElementById('audio').currentTime") > 0.5, 10)
