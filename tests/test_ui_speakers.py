"""The page in a real browser: known speakers, and a text that is known."""

import base64
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import httpx
import numpy as np
import pytest
from playwright.sync_api import FilePayload, Page, expect

from tests.browser import CHROMIUM, PHONE, download, respond_with_events, transcribe_sample, wait_for_transcript
from tests.serving import Running, serving
from tests.voice_samples import data_uri, talk
from transcription.config import MAX_KNOWN_SPEAKERS, MAX_TEXT
from transcription.transcriber import Transcriber

pytestmark = pytest.mark.skipif(CHROMIUM is None, reason="there is no chromium: apt-get install chromium")

ADVICE = "send 2 to 30 s in which only this person talks."


def sample(samples: np.ndarray, name: str = "voice.wav") -> FilePayload:
    """Return samples as a file that a visitor chooses."""
    return {"name": name, "mimeType": "audio/wav", "buffer": base64.b64decode(data_uri(samples).split(",")[1])}


def add(page: Page, name: str, *files: FilePayload) -> None:
    """Add a known speaker, as a visitor does with the keyboard."""
    page.get_by_role("button", name="Add a speaker").press("Enter")
    page.keyboard.type(name)
    if files:
        page.get_by_label(f"Sample of {name or 'known speaker'}").set_input_files(*files)


@pytest.fixture
def page(tab: Callable[..., Page]) -> Page:
    page = tab()
    page.get_by_text("Options", exact=True).click()
    return page


class TestKnownSpeakers:
    """Names and samples of voices."""

    def test_a_known_speaker_has_the_name_and_the_score(self, page: Page) -> None:
        add(page, "Maria", sample(talk("meeting", "speaker 2", 4).samples))
        add(page, "Nobody")
        page.get_by_role("button", name="Remove Nobody").click()
        expect(page.get_by_role("button", name="Add a speaker")).to_be_focused()
        transcribe_sample(page, "meeting.flac")
        expect(page.locator("#speaker-list input").nth(1)).to_have_value("Maria")
        score = page.get_by_label("Name of Maria").get_attribute("title")
        assert score is not None
        assert score.startswith("Like Maria: 0.9")
        assert score.endswith("The name needs 0.50.")
        name = page.locator("#transcript .name").get_by_text("Maria", exact=True).first
        assert name.get_attribute("title") == score
        assert " Maria " in download(page, "rttm")[1]

    def test_without_known_speakers_there_is_no_score(self, page: Page) -> None:
        page.get_by_role("button", name="Add a speaker").click()  # a row that stays empty
        transcribe_sample(page, "meeting.flac")
        titles = page.locator("#speaker-list input").evaluate_all("inputs => inputs.map(input => input.title)")
        assert titles == ["", "", ""]

    def test_an_error_of_a_sample_names_the_field_and_the_person(self, page: Page) -> None:
        add(page, "Ada O'Hara", sample(np.zeros(48_000)))
        page.click("[data-sample='short.wav']")
        page.click("#transcribe")
        message = f'Known speakers: the sample of "Ada O\'Hara" has no speech: {ADVICE}'
        expect(page.get_by_role("alert")).to_have_text(message)
        field = page.get_by_label("Name of known speaker 1")
        assert field.get_attribute("aria-invalid") == "true"
        expect(field).to_have_accessible_description(message)
        page.get_by_label("Sample of Ada").set_input_files(sample(talk("meeting", "speaker 1", 3).samples))
        expect(field).to_have_attribute("aria-invalid", "false")

    @pytest.mark.parametrize(
        ("names", "message"),
        [
            (["Maria"], "Known speakers: choose a sample of Maria, or remove the name."),
            (["", "Maria"], "Known speakers: name the person of the sample 1.wav."),
            (["Maria", "Maria "], "Known speakers: give each person another name than Maria."),
        ],
    )
    def test_incomplete_speakers_are_not_sent(self, page: Page, names: list[str], message: str) -> None:
        page.route("**/ui/transcribe", lambda route: route.abort())
        for number, name in enumerate(names, start=1):
            page.get_by_role("button", name="Add a speaker").click()
            page.get_by_label(f"Name of known speaker {number}").fill(name)
            if len(names) > 1:
                page.locator("#known-speaker-list input[type=file]").last.set_input_files(
                    sample(np.zeros(10), f"{number}.wav")
                )
        page.click("[data-sample='short.wav']")
        page.click("#transcribe")
        expect(page.get_by_role("alert")).to_have_text(message)

    def test_known_speakers_need_diarization(self, page: Page) -> None:
        page.route("**/ui/transcribe", lambda route: route.abort())
        add(page, "Maria", sample(np.zeros(10)))
        page.get_by_label("Identify speakers").uncheck()
        page.click("[data-sample='short.wav']")
        page.click("#transcribe")
        expect(page.get_by_role("alert")).to_have_text(
            "Known speakers: identify speakers, and leave one speaker per channel out."
        )

    def test_a_row_fits_a_phone_and_has_enough_contrast(self, tab: Callable[..., Page]) -> None:
        page = tab(viewport=PHONE, has_touch=True, is_mobile=True)
        page.get_by_text("Options", exact=True).click()
        add(page, "Maria", sample(np.zeros(10), "a name that is much longer than a phone is wide, and then some.wav"))
        page.get_by_role("button", name="Add a speaker").click()
        assert page.evaluate("document.documentElement.scrollWidth") <= PHONE["width"]
        assert page.evaluate((Path(__file__).parent / "contrast.js").read_text()) == []

    def test_without_a_diarizer_nobody_can_be_added(self, tab: Callable[..., Page], transcriber: Transcriber) -> None:
        with serving(transcriber) as plain:
            page = tab(plain.url)
            page.get_by_text("Options", exact=True).click()
            expect(page.get_by_label("The text is known")).to_be_visible()
            expect(page.locator("#known-speakers")).to_be_hidden()
            assert httpx.get(f"{plain.url}/ui/about").json()["max_known_speakers"] == 0

    def test_about_has_the_limit(self, server: Running) -> None:
        assert httpx.get(f"{server.url}/ui/about").json()["max_known_speakers"] == MAX_KNOWN_SPEAKERS

    @pytest.mark.parametrize(
        ("known", "message"),
        [
            ("Maria", "known_speakers: send an object of names and samples"),
            ({"Maria": "A" * 17 * 1024**2}, "the samples of known speakers have more than 16 MiB: send shorter ones"),
        ],
    )
    def test_the_route_refuses_what_cannot_be_read(self, server: Running, known: Any, message: str) -> None:
        data = {"options": "{}", "known_speakers": json.dumps(known)}
        answer = httpx.post(f"{server.url}/ui/transcribe", files={"file": ("a", b"RIFF")}, data=data, timeout=60)
        assert answer.status_code == 400
        assert message in answer.json()["error"]["message"]


class TestKnownText:
    """The text is known: the answer has it, with times."""

    def test_words_that_are_not_said_are_struck_out(self, page: Page) -> None:
        page.get_by_label("The text is known").fill("SARAH wants to finish — at last — the budget later!")
        transcribe_sample(page, "short.wav")
        words = page.locator("#transcript .word").evaluate_all(
            "words => words.map(word => [word.textContent, word.title.split(',')[0] === 'not said'])"
        )
        assert words == [
            ["SARAH", False], ["wants", False], ["to", False], ["finish —", False], ["at", True], ["last —", True],
            ["the", False], ["budget", False], ["later!", False],
        ]  # fmt: skip
        struck = page.locator("#transcript .word.unsaid").evaluate_all(
            "words => words.map(word => getComputedStyle(word).textDecorationLine)"
        )
        assert struck == ["line-through"] * 2
        expect(page.locator("#legend")).to_contain_text("not said")
        expect(page.locator("#warnings")).to_have_text("Note: 2 of 9 words of the text were not found in the recording")
        assert "last" not in download(page, "srt")[1]

    def test_a_word_that_is_not_said_is_never_marked_as_played(self, page: Page) -> None:
        word = {"probability": None, "speaker": None, "confidence": None, "second_speaker": None, "overlap": False}
        words = [
            {"word": " said", "start": 0, "end": 1, "said": True} | word,
            {"word": " never", "start": 1, "end": 1, "said": False} | word,
        ]
        segment = {"text": " said never", "start": 0, "end": 1, "speaker": None, "words": words}
        transcript = {"segments": [segment], "turns": None, "duration": 6.771, "warnings": []}
        respond_with_events(page, {"audio": {"duration": 6.771, "peaks": [1]}}, {"transcript": transcript})
        transcribe_sample(page, "short.wav")
        page.locator("#audio").evaluate("audio => { audio.currentTime = 0.9 }")
        expect(page.locator(".word.current")).to_have_text("said")
        page.locator("#audio").evaluate("audio => { audio.currentTime = 1.1 }")
        expect(page.locator(".word.current")).to_have_count(0)

    def test_a_long_text_has_a_field_of_its_own(self, server: Running) -> None:
        data = {"options": "{}", "align": "ж" * (MAX_TEXT + 1)}
        answer = httpx.post(f"{server.url}/ui/transcribe", files={"file": ("a", b"RIFF")}, data=data, timeout=60)
        message = "align: there are more than 400000 characters: send a part of the recording and its text"
        assert (answer.status_code, answer.json()["error"]["message"]) == (400, message)

    def test_a_text_without_words_shows_the_servers_message(self, page: Page) -> None:
        page.get_by_label("The text is known").fill(" … ")
        page.click("[data-sample='short.wav']")
        page.click("#transcribe")
        expect(page.get_by_role("alert")).to_have_text(
            "The text is known: there are no words: send the text that is spoken in the recording."
        )

    def test_a_known_text_cannot_be_translated(self, page: Page) -> None:
        page.get_by_label("The text is known").fill("Hello.")
        page.get_by_label("English", exact=True).check()
        page.click("[data-sample='short.wav']")
        page.click("#transcribe")
        expect(page.get_by_role("alert")).to_have_text(
            "The text is known: this cannot be combined with English as output, or with one speaker per channel."
        )
        page.get_by_label("As spoken").check()
        page.click("#transcribe")
        wait_for_transcript(page)
