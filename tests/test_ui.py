"""The page in a real browser: from a recording to a file, what goes wrong on the way, who gives up."""

import json
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import Page, expect

from tests.browser import CHROMIUM, downloaded, heard, held, in_lines, transcribed
from tests.comparing import differences
from tests.conftest import SAMPLES
from tests.serving import Running, serving, until
from transcription.config import InferenceConfig
from transcription.formats import FORMATS
from transcription.server.app import create_app
from transcription.server.settings import ServerSettings

pytestmark = pytest.mark.skipif(CHROMIUM is None, reason="there is no chromium: apt-get install chromium")

SLOWLY = {"chunk_length_s": 1, "batch_size": 1, "temperature": [0, 0, 0, 0, 0], "compression_ratio_threshold": 0.01}


def ask(page: Page, options: dict[str, Any]) -> None:
    """For a transcript, with options that the page has no control for."""
    page.evaluate("options => document.dispatchEvent(new CustomEvent('transcribe', { detail: options }))", options)


class TestTheWay:
    """From a recording to a file."""

    def test_from_a_sample_to_its_documents(self, tab: Callable[..., Page], server: Running) -> None:
        page = transcribed(tab(), "meeting.flac")
        config = InferenceConfig(timestamps="word")
        meeting = server.service.transcriber.transcribe(SAMPLES["meeting"].audio, config)
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
                [document.getElementById("view").dataset.state, document.querySelectorAll("#transcript .word").length]
            )).observe(document.getElementById("view"), { subtree: true, childList: true }); }"""
        )
        page.click("[data-sample='short.wav']")
        ask(page, SLOWLY)
        heard(page)
        counts = [count for state, count in page.evaluate("window.seen") if state == "working" and count]
        assert len(set(counts)) > 1, "in one piece"
        assert counts == sorted(counts)

    def test_how_far_it_is(self, tab: Callable[..., Page]) -> None:
        page = tab()
        page.evaluate(
            """() => { for (const id of ["stage", "said"]) { const texts = window[`${id}_texts`] = [];
                new MutationObserver((changes) => texts.push(...changes.map((change) => change.addedNodes[0].data)))
                    .observe(document.getElementById(id), { childList: true }); } }"""
        )
        asked = held(page, "**/ui/transcribe")
        page.click("[data-sample='short.wav']")
        with page.expect_request("**/ui/transcribe"):
            page.click("#transcribe")
        page.evaluate("() => { navigator.mediaDevices.getUserMedia = () => Promise.reject() }")
        page.click("#record")
        expect(page.get_by_role("alert")).to_contain_text("The microphone is not allowed")
        expect(page.locator("#stop")).to_be_visible()
        done = [("transcribe", 60), ("diarize", 30), ("transcribe", 120), ("diarize", 180), ("transcribe", 600)]
        asked.pop().fulfill(
            body=in_lines(
                {"audio": {"duration": 600, "peaks": [1]}},
                *({"progress": {"stage": stage, "done": seconds, "total": 600}} for stage, seconds in done),
                {"weather": "an event that this page does not know"},
                {"transcript": {"segments": [], "turns": None, "duration": 600, "warnings": [], "partial": False}},
            )
        )
        expect(heard(page).get_by_role("alert")).to_be_hidden()
        assert [text for text in page.evaluate("stage_texts") if " of 10:00" in text] == [
            "Transcribing: 60 s of 10:00",
            "Telling speakers apart: 30 s of 10:00",
            "Telling speakers apart: 30 s of 10:00",
            "Transcribing: 2:00 of 10:00",
            "Telling speakers apart: 3:00 of 10:00",
        ], "the one that is behind"
        *stages, end = page.evaluate("said_texts")
        assert stages[-2:] == ["Transcribing", "Telling speakers apart"]
        assert len(set(stages)) == len(stages), "each is read out once"
        assert end.startswith("10:00 of audio in")

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
        heard(page)
        until(lambda: bool(page.evaluate("Number.isFinite(document.getElementById('audio').duration)")), 10)

    def test_only_what_is_chosen_last_is_sent(self, tab: Callable[..., Page]) -> None:
        page = tab(permissions=["microphone"])
        page.evaluate(
            """() => { const media = navigator.mediaDevices, ask = media.getUserMedia.bind(media);
                window.streams = [];
                media.getUserMedia = async (what) => { streams.push(await ask(what)); return streams.at(-1); }; }"""
        )
        page.locator("#record").evaluate("button => { button.click(); button.click(); }")
        expect(page.locator("#record")).to_contain_text("Stop recording")
        page.click("[data-sample='short.wav']")
        expect(page.locator("#record")).to_have_text("RequestRecord")
        assert page.evaluate("streams.map((stream) => stream.active)") == [False], "the microphone is off"
        page.click("#transcribe")
        expect(heard(page).locator("#transcript")).to_contain_text("Sarah wants")
        expect(page.locator("#chosen")).to_contain_text("short.wav")

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
        heard(page)
        expect(page.locator("#speakers input")).to_have_count(2)
        wrong = page.evaluate(
            """async () => {
                const audio = document.getElementById("audio"), wrong = [];
                const marked = (word) => word.getAttribute("aria-current") || wrong.push(word.textContent);
                for (const word of document.querySelectorAll("#transcript .word")) {
                    const there = new Promise((resolve) => audio.addEventListener("seeked", resolve, { once: true }));
                    word.click();
                    marked(word);
                    audio.pause();
                    await there;
                    marked(word);
                }
                return wrong;
            }"""
        )
        assert wrong == [], "people talk at once, and the word that is clicked is marked"

    def test_silence(self, tab: Callable[..., Page]) -> None:
        page = tab()
        page.set_input_files("#file", SAMPLES["silence"].path)
        page.click("#transcribe")
        expect(page.locator("#empty")).to_be_visible()
        expect(page.locator("#tools")).to_be_hidden()

    def test_one_at_a_time(self, tab: Callable[..., Page]) -> None:
        page, sent = tab(), list[str]()
        page.on("request", lambda asked: sent.append(asked.url) if asked.method == "POST" else None)
        page.click("[data-sample='short.wav']")
        page.locator("#transcribe").evaluate("button => { button.click(); button.click(); }")
        expect(heard(page).locator("#transcript")).to_contain_text("Sarah wants")
        assert len(sent) == 1

    def test_two_tabs_at_once(self, tab: Callable[..., Page]) -> None:
        pages = {"meeting.flac": tab(), "german.ogg": tab()}
        for name, page in pages.items():
            page.click(f"[data-sample='{name}']")
        for page in pages.values():
            page.click("#transcribe")
        for name, page in pages.items():
            heard(page)
            first = SAMPLES[Path(name).stem].truth["text"].split(".")[0]
            expect(page.locator("#transcript")).to_contain_text(first)
            assert downloaded(page, "txt")[0] == f"{Path(name).stem}.txt"


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
        expect(page.locator("#status")).to_be_hidden()
        expect(page.locator("#document")).to_be_hidden()

    def test_too_large_is_said_before_it_is_sent(self, tab: Callable[..., Page]) -> None:
        page = tab()
        page.route("**/ui/about", lambda route: route.fulfill(json=route.fetch().json() | {"max_bytes": 1000}))
        page.reload()
        transcribed(page, "german.ogg")
        page.route("**/ui/transcribe", lambda route: route.abort())
        page.set_input_files("#file", SAMPLES["short"].path)
        page.click("#transcribe")
        expect(page.get_by_role("alert")).to_contain_text("larger than the 1 kB allowed here")
        expect(page.locator("#view")).to_have_attribute("data-state", "done")
        assert downloaded(page, "txt")[0] == "german.txt", "the transcript that was there stays"

    def test_what_the_page_does_not_understand(self, tab: Callable[..., Page]) -> None:
        page = tab()
        page.route("**/ui/transcribe", lambda route: route.fulfill(body="<html>\n"))
        page.click("[data-sample='short.wav']")
        page.click("#transcribe")
        expect(page.get_by_role("alert")).to_contain_text("does not understand what the server says: load it again.")

    def test_a_server_that_comes_and_goes(self, tab: Callable[..., Page]) -> None:
        page = tab()
        page.route("**/ui/about", lambda route: route.abort(), times=1)
        page.reload()
        expect(page.locator("#notice")).to_contain_text("The server cannot be reached")
        page.click("[data-sample='short.wav']")
        expect(page.locator("#notice")).to_be_hidden()
        expect(page.locator("#downloads button")).to_have_count(5)
        page.route("**/ui/samples/*", lambda route: route.abort())
        page.click("#transcribe")
        expect(page.get_by_role("alert")).to_have_text("The server cannot be reached: is it still running?")

    def test_a_key_is_asked_for(self, tab: Callable[..., Page], server: Running) -> None:
        with serving(server.service.transcriber, api_keys="first,second") as locked:
            page = tab(locked.url)
            page.click("[data-sample='short.wav']")
            page.click("#transcribe")
            expect(page.get_by_role("alert")).to_contain_text("write one of the service's API keys above")
            page.get_by_label("This service asks for a key").fill("ключ")  # which no header can hold
            page.click("#transcribe")
            expect(page.locator("#status")).to_be_hidden()
            expect(page.get_by_role("alert")).to_contain_text("The key is missing or wrong")
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
        ask(page, SLOWLY)
        page.wait_for_selector("#transcript .word")
        assert server.service.admission.running == 1

    def test_stop(self, tab: Callable[..., Page], server: Running) -> None:
        page = tab()
        self.begin(page, server)
        page.click("#stop")
        expect(page.get_by_role("alert")).to_have_text("Stopped. What was heard so far stands below.")
        assert page.locator("#transcript .word").count() > 0
        until(lambda: server.service.admission.running == 0)

    def test_stop_before_it_is_sent(self, tab: Callable[..., Page]) -> None:
        page = tab()
        sample = held(page, "**/ui/samples/*")
        page.route("**/ui/transcribe", lambda route: route.abort())
        page.click("[data-sample='short.wav']")
        with page.expect_request("**/ui/samples/*"):
            page.click("#transcribe")
        page.click("#stop")
        sample.pop().continue_()
        expect(page.get_by_role("alert")).to_have_text("Stopped.")

    def test_a_tab_that_is_closed(self, tab: Callable[..., Page], server: Running) -> None:
        page = tab()
        self.begin(page, server)
        page.close()
        until(lambda: server.service.admission.running == 0)
