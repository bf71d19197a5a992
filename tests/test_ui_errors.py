"""The page in a real browser: errors with what to do about them, and cancelled requests."""

import threading
from collections.abc import Callable
from typing import Any

import pytest
from playwright.sync_api import Page, expect

from tests.browser import (
    CHROMIUM,
    SLOW,
    add_options,
    download,
    hold_requests,
    ndjson,
    transcribe_sample,
)
from tests.conftest import SAMPLES
from tests.serving import Running, serving, until
from transcription.server.app import create_app
from transcription.server.settings import ServerSettings
from transcription.ui.mounting import mount

pytestmark = pytest.mark.skipif(CHROMIUM is None, reason="there is no chromium: apt-get install chromium")


class TestErrors:
    """Errors are shown with what to do about them."""

    @pytest.mark.parametrize(
        ("content", "message"),
        [
            (b"", "The audio is empty: send an audio file."),
            (b"no audio at all\n" * 50, "The audio cannot be decoded: send wav, flac, mp3, ogg, m4a or webm."),
        ],
        ids=["empty", "text"],
    )
    def test_bad_file_shows_the_servers_message(self, tab: Callable[..., Page], content: bytes, message: str) -> None:
        page = tab()
        page.set_input_files("#file", {"name": "talk.wav", "mimeType": "audio/wav", "buffer": content})
        page.click("#transcribe")
        expect(page.get_by_role("alert")).to_have_text(message)
        expect(page.locator("#status")).to_be_hidden()
        expect(page.locator("#document")).to_be_hidden()
        transcribe_sample(page, "short.wav")  # the page still works
        expect(page.get_by_role("alert")).to_be_hidden()

    def test_error_during_the_transcription_keeps_its_words(self, tab: Callable[..., Page]) -> None:
        page = tab()
        segment = {"text": " Hello.", "start": 0, "end": 1, "speaker": None, "words": []}
        events = ({"audio": {"duration": 9, "peaks": [1]}}, {"segments": [segment]}, {"error": "the model failed"})
        page.route("**/ui/transcribe", lambda route: route.fulfill(body=ndjson(*events)))
        page.click("[data-sample='short.wav']")
        page.click("#transcribe")
        expect(page.get_by_role("alert")).to_have_text("The model failed. The transcript so far is below.")
        expect(page.locator("#transcript .word")).to_have_text("Hello.")

    def test_says_what_the_demo_models_cannot_do(self, tab: Callable[..., Page]) -> None:
        expect(tab().locator("#demo")).to_contain_text("do not understand people")

    def test_asks_for_a_recording_if_there_is_none(self, tab: Callable[..., Page]) -> None:
        page = tab()
        page.click("#transcribe")
        expect(page.get_by_role("alert")).to_contain_text("choose a file, record one or try a sample")
        expect(page.locator("#status")).to_be_hidden()
        expect(page.locator("#document")).to_be_hidden()

    def test_refuses_a_file_over_the_limit_before_it_sends_it(self, tab: Callable[..., Page]) -> None:
        page = tab()
        page.route("**/ui/about", lambda route: route.fulfill(json=route.fetch().json() | {"max_bytes": 1000}))
        page.reload()
        transcribe_sample(page, "german.ogg")
        page.route("**/ui/transcribe", lambda route: route.abort())
        page.set_input_files("#file", SAMPLES["short"].path)
        page.click("#transcribe")
        expect(page.get_by_role("alert")).to_contain_text("larger than 1 kB, the limit here")
        expect(page.locator("#result")).to_have_attribute("data-state", "done")
        assert download(page, "txt")[0] == "german.txt", "the previous transcript stays"

    def test_asks_to_reload_after_a_response_that_it_does_not_understand(self, tab: Callable[..., Page]) -> None:
        page = tab()
        page.route("**/ui/transcribe", lambda route: route.fulfill(body="<html>\n"))
        page.click("[data-sample='short.wav']")
        page.click("#transcribe")
        expect(page.get_by_role("alert")).to_contain_text("does not understand the server's response: reload the page.")

    def test_truncated_response_is_an_error(self, tab: Callable[..., Page]) -> None:
        page = tab()
        events = ndjson({"audio": {"duration": 9, "peaks": [1]}})
        page.route("**/ui/transcribe", lambda route: route.fulfill(body=events))
        page.click("[data-sample='short.wav']")
        page.click("#transcribe")
        expect(page.get_by_role("alert")).to_contain_text("closed before the transcript was complete: try again.")

    def test_recovers_when_the_server_does(self, tab: Callable[..., Page]) -> None:
        page = tab()
        page.route("**/ui/about", lambda route: route.abort(), times=1)
        page.reload()
        expect(page.locator("#notice")).to_contain_text("The server cannot be reached")
        page.click("[data-sample='short.wav']")
        expect(page.locator("#notice")).to_be_hidden()
        expect(page.locator("#downloads button")).to_have_count(6)
        page.route("**/ui/samples/*", lambda route: route.abort())
        page.click("#transcribe")
        expect(page.get_by_role("alert")).to_have_text("The server cannot be reached: is it still running?")

    def test_asks_for_an_api_key_if_the_service_needs_one(self, tab: Callable[..., Page], server: Running) -> None:
        with serving(server.service.transcriber, api_keys="first,second") as locked:
            page = tab(locked.url)
            page.click("[data-sample='short.wav']")
            page.click("#transcribe")
            expect(page.get_by_role("alert")).to_contain_text("enter one of the service's API keys above")
            page.get_by_label("API key", exact=True).fill("ключ")  # no header can hold it
            page.click("#transcribe")
            expect(page.locator("#status")).to_be_hidden()
            expect(page.get_by_role("alert")).to_contain_text("The API key is missing or wrong")
            page.get_by_label("API key", exact=True).fill("second")
            page.click("#transcribe")
            expect(page.locator("#transcript")).to_contain_text("Sarah wants")
            assert download(page, "srt")[1].startswith("1\n00:00:00,")

    def test_api_key_works_where_the_browser_denies_storage(self, tab: Callable[..., Page], server: Running) -> None:
        with serving(server.service.transcriber, api_keys="first") as locked:
            page = tab(locked.url)
            page.add_init_script(
                "Object.defineProperty(window, 'sessionStorage', { get() { throw new DOMException('denied') } })"
            )
            page.reload()
            page.get_by_label("API key", exact=True).fill("first")
            transcribe_sample(page, "short.wav")

    def test_says_that_the_models_are_loading(self, tab: Callable[..., Page], server: Running) -> None:
        loaded = threading.Event()

        def load() -> Any:
            loaded.wait(60)
            return server.service.transcriber

        running = Running(create_app(ServerSettings(), load, mounts=[mount]))
        with running.running(wait=False):
            until(lambda: running.server.started)
            page = tab(running.url)
            expect(page.locator("#notice")).to_contain_text("The models are loading")
            page.click("[data-sample='short.wav']")
            page.click("#transcribe")
            expect(page.get_by_role("alert")).to_contain_text("The models are loading: send the request again.")
            loaded.set()
            expect(page.locator("#notice")).to_be_hidden()
            transcribe_sample(page, "short.wav")


class TestCancellation:
    """The server stops its work when the tab no longer waits for it."""

    def begin(self, page: Page, server: Running) -> None:
        add_options(page, SLOW)
        page.set_input_files("#file", SAMPLES["long"].path)
        page.click("#transcribe")
        page.wait_for_selector("#transcript .word")
        assert server.service.admission.running == 1

    def test_stop_cancels_the_request_and_keeps_its_words(self, tab: Callable[..., Page], server: Running) -> None:
        page = tab()
        self.begin(page, server)
        page.click("#stop")
        expect(page.get_by_role("alert")).to_have_text("Stopped. The transcript so far is below.")
        assert page.locator("#transcript .word").count() > 0
        until(lambda: server.service.admission.running == 0)

    def test_stop_before_the_upload_sends_nothing(self, tab: Callable[..., Page]) -> None:
        page = tab()
        samples = hold_requests(page, "**/ui/samples/*")
        page.route("**/ui/transcribe", lambda route: route.abort())
        page.click("[data-sample='short.wav']")
        with page.expect_request("**/ui/samples/*"):
            page.click("#transcribe")
        page.click("#stop")
        samples.pop().continue_()
        expect(page.get_by_role("alert")).to_have_text("Stopped.")

    def test_closing_the_tab_cancels_the_request(self, tab: Callable[..., Page], server: Running) -> None:
        page = tab()
        self.begin(page, server)
        page.close()
        until(lambda: server.service.admission.running == 0)
