"""The page in a real browser, as its visitors use it: mouse, keyboard, phone, several tabs."""

import io
import json
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, Literal

import av
import pytest
from playwright.sync_api import Browser, BrowserContext, Page, Route, expect

from audio import load_audio
from config import InferenceConfig
from formats import FORMATS
from page.names import renamed
from server import create_app
from serving.settings import ServerSettings
from tests.browser import CHROMIUM, PHONE, chromium, opened, transcribed
from tests.comparing import differences
from tests.conftest import SAMPLES
from tests.serving import Running, serving, until
from transcript import Transcript

pytestmark = pytest.mark.skipif(CHROMIUM is None, reason="there is no chromium: apt-get install chromium")

HOSTILE = "<img src=x onerror=\"document.title='taken'\"><script>document.title='taken'</script>"
SLOWLY = {"chunk_length_s": 1, "batch_size": 1, "temperature": [0, 0, 0, 0, 0], "compression_ratio_threshold": 0.01}


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    with chromium() as found:
        yield found


@pytest.fixture(scope="module")
def visitors(browser: Browser) -> Iterator[BrowserContext]:
    """What most tabs share: Gradio's sixty files are fetched once."""
    with browser.new_context() as context:
        context.set_default_timeout(30_000)
        yield context


@pytest.fixture
def tab(browser: Browser, visitors: BrowserContext, server: Running) -> Iterator[Callable[..., Page]]:
    """Opens the page in a new tab. Nothing may fail in it, or ask another address."""
    pages, problems = list[Page](), list[str]()

    def open_one(url: str = server.url, **options: Any) -> Page:
        page = browser.new_page(**options) if options else visitors.new_page()
        pages.append(page)
        page.on("pageerror", lambda error: problems.append(str(error)))
        page.on("request", lambda asked: None if _inside(asked.url, url) else problems.append(asked.url))
        return opened(page, url)

    yield open_one
    for page in pages:
        page.close()
    assert problems == []


def _inside(address: str, url: str) -> bool:
    return address.startswith((f"{url}/", "blob:", "data:"))


@pytest.fixture(scope="module")
def meeting(server: Running) -> Transcript:
    """What the service itself makes of the sample, with the words' times."""
    audio = load_audio(SAMPLES["meeting"].path.read_bytes())
    found: Transcript = server.service.transcriber.transcribe(audio, InferenceConfig(timestamps="word"))
    return found


def downloaded(page: Page, ending: str) -> tuple[str, str]:
    """A download's name and text."""
    with page.expect_download() as waiting:
        page.get_by_role("button", name=ending, exact=True).click()
    return waiting.value.suggested_filename, Path(waiting.value.path()).read_text()


class TestTheWay:
    """From a recording to a file."""

    def test_from_a_sample_to_its_documents(self, tab: Callable[..., Page], meeting: Transcript) -> None:
        page = transcribed(tab(), "meeting.flac")
        assert page.locator("#transcript .word").all_text_contents() == [word.word.strip() for word in meeting.words]
        for name, ending in (("srt", "srt"), ("text", "txt"), ("vtt", "vtt"), ("rttm", "rttm")):
            assert downloaded(page, ending) == (f"meeting.{ending}", FORMATS[name].render(meeting))
        name, text = downloaded(page, "json")
        assert name == "meeting.json"
        assert list(differences(json.loads(text), FORMATS["verbose_json"].render(meeting))) == []

    def test_words_appear_while_it_works(self, tab: Callable[..., Page]) -> None:
        page = tab()
        page.evaluate(
            """() => { window.seen = []; new MutationObserver(() => window.seen.push(
                [document.getElementById("view").dataset.state, document.querySelectorAll(".word").length,
                 document.getElementById("stage").textContent.split(":")[0]]
            )).observe(document.getElementById("view"), { subtree: true, childList: true }); }"""
        )
        transcribed(page, "conversation.flac")
        seen = page.evaluate("window.seen")
        counts = [count for state, count, _ in seen if state == "working" and count]
        assert len(set(counts)) > 1, "in one piece"
        assert counts == sorted(counts)
        assert {"Transcribing", "Telling speakers apart"} <= {stage for *_, stage in seen}
        expect(page.locator("#stage")).to_contain_text("of audio in")

    def test_a_file_of_the_visitors(self, tab: Callable[..., Page]) -> None:
        page = tab()
        page.set_input_files("#file", SAMPLES["short"].path)
        expect(page.locator("#chosen")).to_contain_text("short.wav")
        page.click("#transcribe")
        expect(page.locator("#transcript")).to_contain_text("Sarah wants to finish the budget later.")

    def test_what_the_microphone_hears(self, tab: Callable[..., Page]) -> None:
        page = tab(permissions=["microphone"])
        page.click("#record")
        expect(page.locator("#record")).to_contain_text("Stop recording, 0:01")
        page.click("#record")
        expect(page.locator("#chosen")).to_contain_text("recording.webm")
        page.click("#transcribe")
        page.wait_for_selector("#view[data-state=done]")
        expect(page.locator("#error")).to_be_hidden()
        until(lambda: bool(page.evaluate("Number.isFinite(document.getElementById('audio').duration)")), 10)

    def test_options_reach_the_service(self, tab: Callable[..., Page]) -> None:
        page = tab()
        page.get_by_role("button", name="Options").click()
        page.get_by_label("Tell speakers apart").uncheck()
        page.get_by_role("combobox", name="Language").fill("German")
        page.get_by_role("option", name="German", exact=True).click()
        transcribed(page, "short.wav")
        document = json.loads(downloaded(page, "json")[1])
        assert (document["language"], "speaker" in document["segments"][0]) == ("de", False)
        expect(page.locator("#people")).to_be_hidden()
        expect(page.locator("[data-format=rttm]")).to_be_hidden()
        expect(page.locator("[data-format=srt]")).to_be_visible()

    def test_channels_as_speakers(self, tab: Callable[..., Page]) -> None:
        page = tab()
        page.get_by_role("button", name="Options").click()
        page.get_by_label("Each channel is one person").check()
        page.set_input_files("#file", SAMPLES["call"].path)
        page.click("#transcribe")
        page.wait_for_selector("#view[data-state=done]")
        expect(page.locator("#speakers input")).to_have_count(2)

    def test_silence(self, tab: Callable[..., Page]) -> None:
        page = tab()
        page.set_input_files("#file", SAMPLES["silence"].path)
        page.click("#transcribe")
        expect(page.locator("#empty")).to_be_visible()
        expect(page.locator("#tools")).to_be_hidden()

    def test_two_tabs_at_once(self, tab: Callable[..., Page]) -> None:
        pages = {"meeting.flac": tab(), "german.ogg": tab()}
        for name, page in pages.items():
            page.click(f"[data-sample='{name}']")
        for page in pages.values():
            page.click("#transcribe")
        for name, page in pages.items():
            page.wait_for_selector("#view[data-state=done]")
            first = SAMPLES[Path(name).stem].truth["text"].split(".")[0]
            expect(page.locator("#transcript")).to_contain_text(first)
            assert downloaded(page, "txt")[0] == f"{Path(name).stem}.txt"


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

    def test_turns_have_their_speakers_colours(self, page: Page, meeting: Transcript) -> None:
        order = list(meeting.speakers)
        shown = page.locator(".turn").evaluate_all(
            "turns => turns.map(one => [one.querySelector('.name').textContent, one.className])"
        )
        assert [name for name, _ in shown] == [one.speaker for one in _talk(meeting)]
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


def _talk(transcript: Transcript) -> list[Any]:
    from formats import talk

    return talk(transcript)


def answered_with(page: Page, *events: dict[str, Any]) -> None:
    """The next transcript is this."""
    lines = "".join(json.dumps(event) + "\n" for event in events)

    def answer(route: Route) -> None:
        route.fulfill(status=200, content_type="application/x-ndjson", body=lines)

    page.route("**/ui/transcribe", answer)


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
        page.wait_for_selector("#view[data-state=done]")
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


class TestErrors:
    """In words that help."""

    @pytest.mark.parametrize(
        ("content", "told"),
        [
            (b"", "The audio is empty: send an audio file."),
            (b"no audio at all\n" * 50, "The audio cannot be decoded: send wav, flac, mp3, ogg, m4a or webm."),
        ],
        ids=["empty", "text"],
    )
    def test_a_bad_file(self, tab: Callable[..., Page], content: bytes, told: str) -> None:
        page = tab()
        page.set_input_files("#file", {"name": "talk.wav", "mimeType": "audio/wav", "buffer": content})
        page.click("#transcribe")
        expect(page.get_by_role("alert")).to_have_text(told)
        expect(page.locator("#status")).to_be_hidden()
        expect(page.locator("#document")).to_be_hidden()
        transcribed(page, "short.wav")  # and goes on
        expect(page.get_by_role("alert")).to_be_hidden()

    def test_what_the_demo_models_cannot_do(self, tab: Callable[..., Page]) -> None:
        expect(tab().locator("#demo")).to_contain_text("do not understand people")

    def test_no_recording(self, tab: Callable[..., Page]) -> None:
        page = tab()
        page.click("#transcribe")
        expect(page.get_by_role("alert")).to_contain_text("choose a file, record one or take a sample")

    def test_too_large_is_said_before_it_is_sent(self, tab: Callable[..., Page]) -> None:
        page = tab()
        page.route("**/ui/transcribe", lambda route: route.abort())
        page.route("**/ui/about", lambda route: route.fulfill(json=route.fetch().json() | {"max_bytes": 1000}))
        page.reload()
        page.wait_for_selector("#samples button")
        page.set_input_files("#file", SAMPLES["short"].path)
        page.click("#transcribe")
        expect(page.get_by_role("alert")).to_contain_text("larger than the 1 kB allowed here")

    def test_a_key_is_asked_for(self, tab: Callable[..., Page], server: Running) -> None:
        with serving(server.service.transcriber, api_keys="first,second") as locked:
            page = tab(locked.url)
            page.click("[data-sample='short.wav']")
            page.click("#transcribe")
            expect(page.get_by_role("alert")).to_contain_text("write one of the service's API keys above")
            page.get_by_label("This service asks for a key").fill("second")
            page.click("#transcribe")
            expect(page.locator("#transcript")).to_contain_text("Sarah wants")
            assert downloaded(page, "srt")[1].startswith("1\n00:00:00,280 --> ")

    def test_while_the_models_load(self, tab: Callable[..., Page], server: Running) -> None:
        go_on = threading.Event()

        def load() -> Any:
            go_on.wait(60)
            return server.service.transcriber

        running = Running(create_app(ServerSettings(), load))
        with running.running(wait=False):
            until(lambda: running.server.started)
            page = tab(running.url)
            expect(page.locator("#notice")).to_contain_text("The models are being loaded")
            page.click("[data-sample='short.wav']")
            page.click("#transcribe")
            expect(page.get_by_role("alert")).to_contain_text("The models are being loaded: send the request again.")
            go_on.set()
            expect(page.locator("#notice")).to_be_hidden()
            transcribed(page, "short.wav")


class TestGivingUp:
    """Nobody works for a tab that does not wait."""

    def begin(self, page: Page, server: Running) -> None:
        page.set_input_files("#file", SAMPLES["long"].path)
        page.evaluate("options => document.dispatchEvent(new CustomEvent('transcribe', { detail: options }))", SLOWLY)
        page.wait_for_selector("#transcript .word")
        assert server.service.door.running == 1

    def test_stop(self, tab: Callable[..., Page], server: Running) -> None:
        page = tab()
        self.begin(page, server)
        page.click("#stop")
        expect(page.get_by_role("alert")).to_contain_text("Stopped.")
        assert page.locator("#transcript .word").count() > 0
        until(lambda: server.service.door.running == 0)

    def test_a_tab_that_is_closed(self, tab: Callable[..., Page], server: Running) -> None:
        page = tab()
        self.begin(page, server)
        page.close()
        until(lambda: server.service.door.running == 0)


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
        page.wait_for_selector("#view[data-state=done]")
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
        page.set_input_files("#file", {"name": "short.aiff", "mimeType": "audio/aiff", "buffer": file.getvalue()})
        page.click("#transcribe")
        page.wait_for_selector("#view[data-state=done]")
        until(lambda: bool(page.evaluate("document.getElementById('audio').duration > 6")), 10)
        page.locator(".word").nth(3).click()
        until(lambda: page.evaluate("document.getElementById('audio').currentTime") > 0.5, 10)
