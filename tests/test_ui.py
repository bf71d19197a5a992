"""The page in a real browser: from a recording to a file, its options, and its security policy."""

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
from playwright.sync_api import BrowserContext, ConsoleMessage, Page, expect

from tests.browser import (
    CHROMIUM,
    SLOW,
    add_options,
    download,
    hold_requests,
    ndjson,
    open_page,
    policy_violations,
    sent_options,
    transcribe_sample,
    wait_for_transcript,
)
from tests.comparing import differences
from tests.conftest import SAMPLES
from tests.serving import Running, until
from transcription.config import InferenceConfig
from transcription.formats import FORMATS

pytestmark = pytest.mark.skipif(CHROMIUM is None, reason="there is no chromium: apt-get install chromium")

DEFAULT_OPTIONS = {
    "language": "", "task": "transcribe", "num_speakers": "", "keywords": "", "prompt": "",
    "vad_filter": False, "multichannel": False, "diarize": True,
}  # fmt: skip


class TestTranscription:
    """From a recording to its documents."""

    def test_downloads_are_the_formats_of_the_transcript(self, tab: Callable[..., Page], server: Running) -> None:
        page = transcribe_sample(tab(), "meeting.flac")
        config = InferenceConfig(timestamps="word")
        meeting = replace(server.service.transcriber.transcribe(SAMPLES["meeting"].audio, config), name="meeting")
        assert page.locator("#transcript .word").all_text_contents() == [word.word.strip() for word in meeting.words]
        for name, extension in (("srt", "srt"), ("text", "txt"), ("vtt", "vtt"), ("rttm", "rttm")):
            assert download(page, extension) == (f"meeting.{extension}", FORMATS[name].render(meeting))
        name, text = download(page, "json")
        assert name == "meeting.json"
        assert list(differences(json.loads(text), FORMATS["verbose_json"].render(meeting))) == []

    def test_words_appear_during_the_transcription(self, tab: Callable[..., Page]) -> None:
        page = tab()
        page.evaluate(
            """() => { window.counts = []; new MutationObserver(() => window.counts.push([
                document.getElementById("result").dataset.state, document.querySelectorAll("#transcript .word").length
            ])).observe(document.getElementById("result"), { subtree: true, childList: true }); }"""
        )
        add_options(page, SLOW)
        transcribe_sample(page, "short.wav")
        counts = [count for state, count in page.evaluate("window.counts") if state == "working" and count]
        assert len(set(counts)) > 1, "all words at once"
        assert counts == sorted(counts)

    def test_status_shows_the_slowest_stage_and_announces_each_once(self, tab: Callable[..., Page]) -> None:
        page = tab()
        page.evaluate(
            """() => { for (const id of ["stage", "announcement"]) { const texts = window[`${id}_texts`] = [];
                new MutationObserver((changes) => texts.push(...changes.map((change) => change.addedNodes[0].data)))
                    .observe(document.getElementById(id), { childList: true }); } }"""
        )
        requests = hold_requests(page, "**/ui/transcribe")
        page.click("[data-sample='short.wav']")
        with page.expect_request("**/ui/transcribe"):
            page.click("#transcribe")
        page.evaluate("() => { navigator.mediaDevices.getUserMedia = () => Promise.reject() }")
        page.click("#record")
        expect(page.get_by_role("alert")).to_contain_text("The microphone is denied or absent")
        expect(page.locator("#stop")).to_be_visible()
        done = [("transcribe", 60), ("diarize", 30), ("transcribe", 120), ("diarize", 180), ("transcribe", 600)]
        requests.pop().fulfill(
            body=ndjson(
                {"audio": {"duration": 600, "peaks": [1]}},
                *({"progress": {"stage": stage, "done": seconds, "total": 600}} for stage, seconds in done),
                {"weather": "an event that this page does not know"},
                {"transcript": {"segments": [], "turns": None, "duration": 600, "warnings": [], "partial": False}},
            )
        )
        expect(wait_for_transcript(page).get_by_role("alert")).to_be_hidden()
        assert [text for text in page.evaluate("stage_texts") if " of 10:00" in text] == [
            "Transcribing: 60 s of 10:00",
            "Identifying speakers: 30 s of 10:00",
            "Identifying speakers: 30 s of 10:00",
            "Transcribing: 2:00 of 10:00",
            "Identifying speakers: 3:00 of 10:00",
        ]
        *stages, summary = page.evaluate("announcement_texts")
        assert stages[-2:] == ["Transcribing", "Identifying speakers"]
        assert len(set(stages)) == len(stages)
        assert summary.startswith("10:00 of audio in")

    def test_transcribes_a_chosen_file(self, tab: Callable[..., Page]) -> None:
        page = tab()
        page.set_input_files("#file", SAMPLES["short"].path)
        expect(page.locator("#chosen")).to_contain_text("short.wav")
        page.click("#transcribe")
        expect(page.locator("#transcript")).to_contain_text("Sarah wants to finish the budget later.")

    def test_transcribes_a_dropped_file(self, tab: Callable[..., Page]) -> None:
        page = tab()
        page.evaluate(
            """bytes => { const dataTransfer = new DataTransfer();
                dataTransfer.items.add(new File([new Uint8Array(bytes)], "dropped.wav"));
                document.getElementById("drop-zone").dispatchEvent(new DragEvent("drop", { dataTransfer })); }""",
            list(SAMPLES["short"].path.read_bytes()),
        )
        expect(page.locator("#chosen")).to_contain_text("dropped.wav")
        page.click("#transcribe")
        expect(page.locator("#transcript")).to_contain_text("Sarah wants to finish the budget later.")

    def test_transcribes_the_microphone(self, tab: Callable[..., Page]) -> None:
        page = tab(permissions=["microphone"])
        page.click("#record")
        expect(page.locator("#record")).to_contain_text("Stop recording, 0:01")
        page.click("#record")
        expect(page.locator("#chosen")).to_contain_text("recording.webm")
        page.click("#transcribe")
        wait_for_transcript(page)
        until(lambda: bool(page.evaluate("Number.isFinite(document.getElementById('audio').duration)")), 10)

    def test_transcribe_ends_a_recording_from_the_microphone(self, tab: Callable[..., Page]) -> None:
        page = tab(permissions=["microphone"])
        page.click("#record")
        expect(page.locator("#record")).to_contain_text("Stop recording, 0:01")
        page.click("#transcribe")
        expect(wait_for_transcript(page).locator("#chosen")).to_contain_text("recording.webm")
        expect(page.locator("#record")).to_have_text("Record")

    def test_sends_only_the_recording_that_was_chosen_last(self, tab: Callable[..., Page]) -> None:
        page = tab(permissions=["microphone"])
        page.evaluate(
            """() => { const media = navigator.mediaDevices, open = media.getUserMedia.bind(media);
                window.streams = [];
                media.getUserMedia = async (what) => { streams.push(await open(what)); return streams.at(-1); }; }"""
        )
        page.locator("#record").evaluate("button => { button.click(); button.click(); }")
        expect(page.locator("#record")).to_contain_text("Stop recording")
        page.click("[data-sample='short.wav']")
        expect(page.locator("#record")).to_have_text("Record")
        assert page.evaluate("streams.map((stream) => stream.active)") == [False], "the microphone is off"
        page.click("#transcribe")
        expect(wait_for_transcript(page).locator("#transcript")).to_contain_text("Sarah wants")
        expect(page.locator("#chosen")).to_contain_text("short.wav")

    def test_marks_the_clicked_word_of_simultaneous_speakers(self, tab: Callable[..., Page]) -> None:
        page = tab()
        page.get_by_text("Options", exact=True).click()
        page.get_by_label("One speaker per channel").check()
        page.set_input_files("#file", SAMPLES["call"].path)
        page.click("#transcribe")
        wait_for_transcript(page)
        expect(page.locator("#speaker-list input")).to_have_count(2)
        unmarked = page.evaluate(
            """async () => {
                const audio = document.getElementById("audio"), unmarked = [];
                const check = (word) => word.getAttribute("aria-current") || unmarked.push(word.textContent);
                for (const word of document.querySelectorAll("#transcript .word")) {
                    const sought = new Promise((resolve) => audio.addEventListener("seeked", resolve, { once: true }));
                    word.click();
                    check(word);
                    audio.pause();
                    await sought;
                    check(word);
                }
                return unmarked;
            }"""
        )
        assert unmarked == [], "a clicked word is marked, also when several people talk"

    def test_silence_shows_that_nobody_speaks(self, tab: Callable[..., Page]) -> None:
        page = tab()
        page.set_input_files("#file", SAMPLES["silence"].path)
        page.click("#transcribe")
        expect(page.locator("#empty")).to_be_visible()
        expect(page.locator("#tools")).to_be_hidden()

    def test_sends_one_request_at_a_time(self, tab: Callable[..., Page]) -> None:
        page, sent = tab(), list[str]()
        page.on("request", lambda request: sent.append(request.url) if request.method == "POST" else None)
        page.click("[data-sample='short.wav']")
        page.locator("#transcribe").evaluate("button => { button.click(); button.click(); }")
        expect(wait_for_transcript(page).locator("#transcript")).to_contain_text("Sarah wants")
        assert len(sent) == 1

    def test_two_tabs_work_at_the_same_time(self, tab: Callable[..., Page]) -> None:
        pages = {"meeting.flac": tab(), "german.ogg": tab()}
        for name, page in pages.items():
            page.click(f"[data-sample='{name}']")
        for page in pages.values():
            page.click("#transcribe")
        for name, page in pages.items():
            wait_for_transcript(page)
            first = SAMPLES[Path(name).stem].truth["text"].split(".")[0]
            expect(page.locator("#transcript")).to_contain_text(first)
            assert download(page, "txt")[0] == f"{Path(name).stem}.txt"


class TestOptions:
    """The controls and the parameters that they send."""

    def test_untouched_controls_send_the_defaults(self, tab: Callable[..., Page]) -> None:
        page = tab()
        add_options(page, {})
        transcribe_sample(page, "short.wav")
        assert sent_options(page) == DEFAULT_OPTIONS

    def test_every_control_sends_its_value(self, tab: Callable[..., Page]) -> None:
        page = tab()
        add_options(page, {})
        page.route("**/ui/transcribe", lambda route: route.abort())
        page.get_by_text("Options", exact=True).click()
        page.get_by_label("Language").select_option("Haitian Creole")
        page.get_by_label("English").check()
        page.get_by_label("Number of speakers").select_option("20")
        page.get_by_label("Keywords").fill("Ada, Zoë")
        page.get_by_label("Prompt").fill("One line\nand another")
        page.get_by_label("Skip long pauses").check()
        page.get_by_label("One speaker per channel").check()
        page.get_by_label("Identify speakers").uncheck()
        page.click("[data-sample='short.wav']")
        page.click("#transcribe")
        expect(page.get_by_role("alert")).to_contain_text("The connection was lost")
        assert sent_options(page) == {
            "language": "ht", "task": "translate", "num_speakers": "20", "keywords": "Ada, Zoë",
            "prompt": "One line\nand another", "vad_filter": True, "multichannel": True, "diarize": False,
        }  # fmt: skip

    def test_options_change_the_transcript(self, tab: Callable[..., Page]) -> None:
        page = tab()
        page.get_by_text("Options", exact=True).click()
        page.get_by_label("Identify speakers").uncheck()
        page.get_by_label("Language").select_option("German")
        transcribe_sample(page, "short.wav")
        document = json.loads(download(page, "json")[1])
        assert (document["language"], "speaker" in document["segments"][0]) == ("de", False)
        expect(page.locator("#speakers")).to_be_hidden()
        expect(page.locator("[data-format=rttm]")).to_be_hidden()
        expect(page.locator("[data-format=srt]")).to_be_visible()


class TestSecurityPolicy:
    """The Content-Security-Policy in the browser. All tests of tabs check that the page itself does not violate it."""

    def test_browser_blocks_inline_scripts_inline_styles_and_eval(
        self, visitors: BrowserContext, server: Running
    ) -> None:
        violations = list[str]()

        def collect(message: ConsoleMessage) -> None:
            violations.extend(policy_violations(message))

        with visitors.new_page() as page:
            page.on("console", collect)
            open_page(page, server.url)
            assert violations == []
            page.evaluate(
                """() => {
                    const add = (tag, properties) => document.body.append(
                        Object.assign(document.createElement(tag), properties));
                    add("script", { textContent: "document.title = 'inline'" });
                    add("style", { textContent: "body { color: rgb(1, 2, 3) }" });
                    document.body.setAttribute("style", "color: rgb(1, 2, 3)");
                    add("img", { src: "https://example.org/image.png" });
                    setTimeout("document.title = 'eval'");
                }"""
            )
            until(lambda: page.evaluate("1") == 1 and len(violations) == 5, 10)
            assert page.title() == "Transcription"
            assert page.evaluate("getComputedStyle(document.body).color") != "rgb(1, 2, 3)"

    def test_another_site_can_show_the_page_in_a_frame(self, visitors: BrowserContext, server: Running) -> None:
        with visitors.new_page() as page:
            page.set_content(f'<iframe src="{server.url}/ui/"></iframe>')
            expect(page.frame_locator("iframe").get_by_role("button", name="Transcribe")).to_be_visible()
