"""The page in a real browser: how its visitors read a transcript, by mouse and by keyboard."""

from collections.abc import Callable, Iterator
from dataclasses import replace
from typing import Any

import pytest
from playwright.sync_api import BrowserContext, Page, expect

from tests.browser import (
    CHROMIUM,
    download,
    open_page,
    respond_with_events,
    transcribe_sample,
    wait_for_transcript,
)
from tests.conftest import SAMPLES
from tests.serving import Running, until
from transcription.config import InferenceConfig
from transcription.formats import FORMATS, merge_by_speaker
from transcription.transcript import Transcript
from transcription.ui.speaker_names import rename_speakers

pytestmark = pytest.mark.skipif(CHROMIUM is None, reason="there is no chromium: apt-get install chromium")

HOSTILE = "<img src=x onerror=\"document.title='taken'\"><script>document.title='taken'</script>"


@pytest.fixture(scope="module")
def meeting(server: Running) -> Transcript:
    """Return the service's transcript of the sample, with the words' times."""
    config = InferenceConfig(timestamps="word")
    transcript: Transcript = server.service.transcriber.transcribe(SAMPLES["meeting"].audio, config)
    return replace(transcript, name="meeting")


@pytest.fixture(scope="module")
def page(visitors: BrowserContext, server: Running) -> Iterator[Page]:
    """Return one page with a transcript for all tests of TestTranscriptView."""
    with visitors.new_page() as tab:
        yield transcribe_sample(open_page(tab, server.url), "meeting.flac")


class TestTranscriptView:
    """The transcript on the page: sound, search, names."""

    def test_click_on_a_word_plays_it_and_marks_it(self, page: Page, meeting: Transcript) -> None:
        word = page.locator(".word").nth(20)
        word.click()
        expect(page.locator(".word.current")).to_have_count(1)
        until(lambda: not page.evaluate("document.getElementById('audio').paused"), 10)
        assert page.evaluate("document.getElementById('audio').currentTime") >= meeting.words[20].start
        page.get_by_role("button", name="Pause").click()
        page.locator(".word").nth(20).evaluate(
            "word => document.getElementById('audio').currentTime = word.dataset.start"
        )
        expect(word).to_have_attribute("aria-current", "true")

    def test_click_on_the_waveform_seeks(self, page: Page, meeting: Transcript) -> None:
        width = page.locator("#waveform").evaluate("slider => slider.clientWidth")
        page.locator("#waveform").click(position={"x": width / 2, "y": 10})
        time = page.evaluate("document.getElementById('audio').currentTime")
        assert time == pytest.approx(meeting.duration / 2, abs=0.2)

    def test_scrolls_to_the_played_word_unless_the_visitor_reads_elsewhere_or_types(self, page: Page) -> None:
        page.set_viewport_size({"width": 900, "height": 480})
        audio, now, word = page.locator("#audio"), page.locator(".word.current"), page.locator(".word").nth(1)

        def wait_until_after(at: int) -> None:
            page.wait_for_function("at => document.querySelector('.word.current')?.dataset.index > at", arg=at)

        def play_near_the_end() -> None:
            audio.evaluate("audio => { audio.currentTime = audio.duration - 5 }")
            wait_until_after(20)
            wait_until_after(int(page.evaluate("document.querySelector('.word.current')?.dataset.index ?? 20")))

        word.click()
        play_near_the_end()
        expect(now).to_be_in_viewport()
        word.click()
        page.evaluate("scrollTo({ top: document.body.scrollHeight, behavior: 'instant' })")
        position = page.evaluate("scrollY")
        wait_until_after(4)
        assert page.evaluate("scrollY") == position, "the visitor reads elsewhere"
        page.locator("#waveform").click(position={"x": 20, "y": 10})
        expect(now).to_be_in_viewport()
        word.click()
        page.evaluate("document.getElementById('search').focus({ preventScroll: true })")
        word.evaluate("word => word.scrollIntoView({ block: 'center', behavior: 'instant' })")
        position = page.evaluate("scrollY")
        play_near_the_end()
        assert page.evaluate("scrollY") == position, "the visitor types"
        page.get_by_role("button", name="Pause").click()
        page.set_viewport_size({"width": 1280, "height": 720})

    def test_turns_have_their_speakers_colours(self, page: Page, meeting: Transcript) -> None:
        order = list(meeting.speakers)
        turns = page.locator(".turn").evaluate_all(
            "turns => turns.map(turn => [turn.querySelector('.name').textContent, turn.className])"
        )
        assert [name for name, _ in turns] == [turn.speaker for turn in merge_by_speaker(meeting)]
        assert [classes for _, classes in turns] == [f"turn speaker-{order.index(name)}" for name, _ in turns]
        colours = page.locator(".turn .name").evaluate_all("names => names.map(name => getComputedStyle(name).color)")
        assert len(set(colours)) == len(order)

    def test_search_finds_phrases_regardless_of_case(self, page: Page) -> None:
        field = page.get_by_role("searchbox")
        field.fill("THE CON")
        expect(page.locator("#match-count")).to_have_text("1 of 2")
        assert page.locator(".word.match").all_text_contents() == ["the", "contract", "the", "contract"]
        field.press("Enter")
        expect(page.locator("#match-count")).to_have_text("2 of 2")
        page.get_by_role("button", name="Previous match").click()
        expect(page.locator("#match-count")).to_have_text("1 of 2")
        field.fill("elephant")
        expect(page.locator("#match-count")).to_have_text("no match")
        field.fill("")
        expect(page.locator(".word.match")).to_have_count(0)

    def test_keyboard_moves_between_words_plays_and_seeks(self, page: Page) -> None:
        page.locator(".word").first.focus()
        page.keyboard.press("ArrowRight")
        page.keyboard.press("ArrowDown")
        expect(page.locator(".turn").nth(1).locator(".word").first).to_be_focused()
        page.keyboard.press("Enter")
        until(lambda: not page.evaluate("document.getElementById('audio').paused"), 10)
        page.locator("#waveform").focus()
        page.keyboard.press(" ")
        assert page.evaluate("document.getElementById('audio').paused")
        page.keyboard.press("Home")
        expect(page.locator("#waveform")).to_have_attribute("aria-valuenow", "0.0")
        page.keyboard.press("ArrowRight")
        expect(page.locator("#waveform")).to_have_attribute("aria-valuenow", "5.0")

    def test_new_names_are_in_the_transcript_and_all_downloads(self, page: Page, meeting: Transcript) -> None:
        names = {"SPEAKER_00": "Ada  Lovelace", "SPEAKER_01": HOSTILE}
        for speaker, name in names.items():
            page.get_by_label(f"Name of {speaker}").fill(name)
        labels = page.locator(".turn .name").all_text_contents()
        assert labels[:2] == ["Ada  Lovelace", HOSTILE[:80]]
        renamed = rename_speakers(meeting, names)
        assert download(page, "srt")[1] == FORMATS["srt"].render(renamed)
        rttm = download(page, "rttm")[1]
        assert rttm == FORMATS["rttm"].render(renamed)
        assert {len(line.split()) for line in rttm.splitlines()} == {10}
        assert page.title() == "Transcription"


class TestWords:
    """Uncertainty is visible, and not by colour alone. The models' text is never markup."""

    def word(self, text: str, at: float, **fields: Any) -> dict[str, Any]:
        certain = {"probability": 0.9, "speaker": "A", "confidence": 1.0, "second_speaker": None, "overlap": False}
        return {"word": f" {text}", "start": at, "end": at + 0.5, **certain, **fields}

    def test_uncertainty_is_marked_and_hostile_text_stays_text(self, tab: Callable[..., Page]) -> None:
        page = tab()
        words = [
            self.word("sure", 0), self.word("guess", 1, probability=0.2),
            self.word("whose", 2, confidence=0.5, second_speaker="B"), self.word("both", 3, overlap=True),
            self.word(HOSTILE, 4),
        ]  # fmt: skip
        segment = {"text": "", "start": 0, "end": 5, "speaker": "A", "words": words}
        turns = [{"speaker": HOSTILE, "start": 0, "end": 5}, {"speaker": "A", "start": 0, "end": 5}]
        respond_with_events(
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
        wait_for_transcript(page)
        classes = page.locator("#transcript .word").evaluate_all("words => words.map(word => word.className)")
        assert classes == ["word", "word uncertain", "word uncertain-speaker", "word overlap", "word"]
        titles = page.locator("#transcript .word").evaluate_all("words => words.map(word => word.title)")
        assert titles[1:4] == [
            "1.00 s, A, uncertain: probability 20 %", "2.00 s, A, uncertain speaker: may be B",
            "3.00 s, A, several people talk",
        ]  # fmt: skip
        expect(page.locator("#legend")).to_be_visible()
        expect(page.locator("#transcript")).to_contain_text(HOSTILE)
        expect(page.locator("#warnings")).to_contain_text(HOSTILE)
        expect(page.locator("#chosen")).to_contain_text(HOSTILE)
        assert page.locator("#result img, #result script, #chosen img").count() == 0
        assert page.title() == "Transcription"

    def test_text_without_spaces_is_split_by_minutes_and_searchable(self, tab: Callable[..., Page]) -> None:
        page = tab()
        segments = [
            {"text": text, "start": at, "end": at + 30, "speaker": "A"}
            | {"words": [self.word("", at + index, word=character) for index, character in enumerate(text)]}
            for text, at in (("你们好", 0), ("我们是", 30), ("学生", 60))
        ]
        turns = [{"speaker": "A", "start": 0, "end": 90}]
        transcript = {"segments": segments, "turns": turns, "duration": 90, "language": "zh", "warnings": []}
        respond_with_events(page, {"audio": {"duration": 90, "peaks": [1]}}, {"transcript": transcript})
        transcribe_sample(page, "short.wav")
        lines = page.locator("#transcript .text")
        assert lines.all_text_contents() == ["你们好我们是", "学生"], "a minute at a time"
        assert page.locator("#transcript time").all_text_contents() == ["0:00", "1:00"]
        assert [lines.first.get_attribute(name) for name in ("lang", "dir")] == ["zh", "auto"]
        page.get_by_role("searchbox").fill("好我们")
        expect(page.locator("#match-count")).to_have_text("1 of 1")
        assert page.locator(".word.match").all_text_contents() == ["好", "我", "们"]
        page.get_by_label("Name of A").fill("Ada")
        page.keyboard.press("Tab")
        assert page.locator("#transcript .word").first.get_attribute("title") == "0.00 s, Ada"
