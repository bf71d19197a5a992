"""The page's button Live, in a real browser whose microphone hears a sample."""

import wave
from pathlib import Path

import numpy as np
import pytest
from playwright.sync_api import expect

from tests.browser import CHROMIUM, tabs, visiting, wait_for_transcript
from tests.conftest import SAMPLES
from tests.serving import Running
from transcription.audio import SAMPLE_RATE

pytestmark = pytest.mark.skipif(CHROMIUM is None, reason="there is no chromium: apt-get install chromium")


def test_words_appear_live_and_the_recording_is_transcribed_at_the_end(server: Running, tmp_path: Path) -> None:
    speech = tmp_path / "speech.wav"
    pause = np.zeros(SAMPLE_RATE, np.float32)
    samples = np.concatenate([pause, SAMPLES["short"].audio.samples, pause])
    with wave.open(str(speech), "wb") as file:
        file.setnchannels(1)
        file.setsampwidth(2)
        file.setframerate(SAMPLE_RATE)
        file.writeframes((samples * 32767).astype("<i2").tobytes())
    with visiting(speech) as visitors, tabs(visitors, server.url) as tab:
        page = tab(permissions=["microphone"])
        page.click("#live")
        expect(page.locator("#live-text p:not(.unfinished)").first).not_to_be_empty()
        page.click("#live")
        expect(page.locator("#live")).to_have_text("Live")
        assert wait_for_transcript(page).locator("#transcript .word").count() > 0
        expect(page.locator("#live-text")).to_be_hidden()
