"""The page without a browser: its routes, what Gradio may do, names, colours, and the entry of a Space."""

import io
import json
import os
import re
import subprocess
import sys
import wave
from collections.abc import Mapping
from typing import Any

import httpx
import numpy as np
import pytest
import yaml

from tests.comparing import differences
from tests.conftest import DEMO, DIARIZATION, ROOT, SAMPLES
from tests.serving import Running, serving
from transcription.audio import Audio, load_audio
from transcription.config import InferenceConfig
from transcription.formats import formats_of
from transcription.transcriber import Transcriber
from transcription.transcript import Segment, SpeakerTurn, Transcript, Word
from transcription.ui import app
from transcription.ui.events import PEAKS, TRANSCRIPT, peaks
from transcription.ui.names import LONGEST, cleaned, renamed
from transcription.ui.palette import DARK, LIGHT, SPEAKERS_DARK, SPEAKERS_LIGHT

SHORT = SAMPLES["short"].path.read_bytes()


def transcribe(url: str, **form: str) -> httpx.Response:
    return httpx.post(f"{url}/ui/transcribe", files={"file": ("recording", SHORT)}, data=form, timeout=60)


def events(answer: httpx.Response) -> list[dict[str, Any]]:
    return [json.loads(line) for line in answer.text.splitlines() if line]


class TestRoutes:
    """The routes that the page calls."""

    def test_transcribe_streams_audio_progress_segments_and_transcript(self, server: Running) -> None:
        answer = transcribe(server.url, options=json.dumps({"language": "", "num_speakers": "1", "diarize": True}))
        received = events(answer)
        kinds = [next(iter(event)) for event in received]
        assert (kinds[0], kinds[-1]) == ("audio", "transcript")
        assert {"segments", "progress"} <= set(kinds)
        assert received[0]["audio"]["duration"] == pytest.approx(6.771)
        texts = [segment["text"] for event in received for segment in event.get("segments", [])]
        audio = load_audio(SHORT)
        whole: Transcript = server.service.transcriber.transcribe(
            audio, InferenceConfig(timestamps="word", num_speakers=1)
        )
        assert list(differences(received[-1]["transcript"], TRANSCRIPT.dump_python(whole, mode="json"))) == []
        assert "".join(texts).strip() == whole.text

    @pytest.mark.parametrize(
        ("form", "message"),
        [
            ({"options": "no JSON"}, "the options are not JSON"),
            ({"options": "[]"}, "the options are not a JSON object"),
            ({"options": '{"num_speakers": "many"}'}, "num_speakers: "),
        ],
    )
    def test_invalid_options_are_refused(self, server: Running, form: dict[str, str], message: str) -> None:
        answer = transcribe(server.url, **form)
        assert answer.status_code == 400
        assert message in answer.json()["error"]["message"]

    def test_about_has_status_samples_and_documents(self, server: Running) -> None:
        about = httpx.get(f"{server.url}/ui/about").json()
        assert (about["status"], about["needs_key"], about["max_bytes"]) == ("ok", False, 1024**3)
        assert about["demo"] is True
        for name in about["samples"]:
            assert httpx.get(f"{server.url}/ui/samples/{name}").content == (ROOT / "samples" / name).read_bytes()
        assert about["documents"] == {name: row.extension for name, row in formats_of("page").items()}

    @pytest.mark.parametrize("path", ["samples/../server.py", "samples/%2e%2e%2fserver.py", "samples/nothing.wav"])
    def test_other_files_are_no_samples(self, server: Running, path: str) -> None:
        assert httpx.get(f"{server.url}/ui/{path}").status_code == 404

    def test_document_has_the_names_of_the_speakers(self, server: Running) -> None:
        transcript = Transcript(
            (Segment(" Hello.", 0, 1, speaker="SPEAKER_00"),), turns=(SpeakerTurn("SPEAKER_00", 0, 1),), duration=1
        )
        body = {"transcript": TRANSCRIPT.dump_python(transcript, mode="json"), "names": {"SPEAKER_00": "Ada B <3"}}
        texts = {name: httpx.post(f"{server.url}/ui/document/{name}", json=body).text for name in formats_of("page")}
        assert texts["text"] == "Hello.\n"
        assert texts["srt"] == "1\n00:00:00,000 --> 00:00:01,000\nAda B <3: Hello.\n"
        assert texts["vtt"].endswith("<v Ada B &lt;3>Hello.</v>\n")
        assert json.loads(texts["verbose_json"])["segments"][0]["speaker"] == "Ada B <3"
        assert texts["rttm"] == "SPEAKER audio 1 0.000 1.000 <NA> <NA> Ada_B_<3 <NA> <NA>\n"

    def test_malformed_transcript_is_refused(self, server: Running) -> None:
        answers = [
            httpx.post(f"{server.url}/ui/document/srt", content=body)
            for body in (b"", b"[]", b'{"transcript": {"segments": 3}}', b'{"transcript": {}, "names": {"A": 1}}')
        ]
        assert [answer.status_code for answer in answers] == [400] * 4
        assert httpx.post(f"{server.url}/ui/document/tsv", content=b"{}").status_code == 404

    def test_sound_is_the_recording_as_wav(self, server: Running) -> None:
        answer = httpx.post(f"{server.url}/ui/sound", content=SAMPLES["german"].path.read_bytes(), timeout=60)
        with wave.open(io.BytesIO(answer.content)) as sound:
            assert sound.getparams()[:3] == (1, 2, 16_000)
            samples = np.frombuffer(sound.readframes(sound.getnframes()), "<i2") / 32767
        assert np.abs(samples - SAMPLES["german"].audio.samples).max() < 1e-3
        assert httpx.post(f"{server.url}/ui/sound", content=b"nothing").status_code == 400

    def test_routes_need_a_key(self, transcriber: Transcriber) -> None:
        with serving(transcriber, api_keys="first,second") as server:
            refused = [
                httpx.post(f"{server.url}/ui/{path}", content=b"") for path in ("transcribe", "document/srt", "sound")
            ]
            about = httpx.get(f"{server.url}/ui/about").json()
        assert [answer.status_code for answer in refused] == [401] * 3
        assert about["needs_key"]


class TestShell:
    """Gradio's part."""

    def test_the_page_names_no_other_address_and_no_path(self, server: Running) -> None:
        answer = httpx.get(f"{server.url}/ui", follow_redirects=True, timeout=60)  # it imports Gradio
        assert (answer.status_code, str(answer.url)) == (200, f"{server.url}/ui/")
        # Where the configuration names addresses they are its documentation's, and no element's.
        assert re.findall(r"<(?:link|script|img|iframe|meta)[^>]*?(?:https?:)?//[^>]*>", answer.text) == []
        assert str(ROOT) not in answer.text
        assert "default-src 'self'" in answer.headers["content-security-policy"]
        assert "http" not in answer.headers["content-security-policy"]

    def test_gradio_takes_nothing(self, server: Running) -> None:
        answers = [
            httpx.post(f"{server.url}/ui/gradio_api/upload", files={"files": ("a.wav", SHORT)}),
            httpx.post(f"{server.url}/ui/gradio_api/queue/join", json={}),
            httpx.get(f"{server.url}/ui/gradio_api/file=README.md"),
            httpx.get(f"{server.url}/ui/gradio_api/info"),
            httpx.get(f"{server.url}/ui/config"),
            httpx.get(f"{server.url}/ui/monitoring"),
            httpx.post(f"{server.url}/ui/"),
        ]
        assert [answer.status_code for answer in answers] == [404] * len(answers)

    def test_gradio_asks_nobody(self) -> None:
        script = """if True:
            import asyncio, socket, time, httpx
            asked, found = [], socket.getaddrinfo
            socket.getaddrinfo = lambda *where, **how: asked.append(where[0]) or found(*where, **how)
            from transcription.ui.shell import Shell
            async def visit():
                async with httpx.AsyncClient(transport=httpx.ASGITransport(Shell()), base_url="http://here") as client:
                    return (await client.get("/")).status_code
            print(asyncio.run(visit()))
            time.sleep(1)  # for threads that would
            print(asked)
        """
        done = subprocess.run([sys.executable, "-c", script], cwd=ROOT, capture_output=True, text=True, check=True)
        assert done.stdout.splitlines() == ["200", "[]"]

    def test_the_page_can_be_left_out(self, transcriber: Transcriber, monkeypatch: pytest.MonkeyPatch) -> None:
        with serving(transcriber, ui=False) as server:
            assert httpx.get(f"{server.url}/ui/").status_code == 404
        monkeypatch.setattr("importlib.util.find_spec", lambda name: None)  # as where gradio is not installed
        with serving(transcriber) as server:
            assert httpx.get(f"{server.url}/ui/about").status_code == 404
            assert httpx.get(f"{server.url}/health").status_code == 200


class TestNames:
    """Of speakers."""

    def test_they_are_given_everywhere(self) -> None:
        word = Word(" Hello.", 0, 1, 0.9, "A", 0.5, "B", True)
        whole = Transcript((Segment(" Hello.", 0, 1, (word,), "A"),), turns=(SpeakerTurn("A", 0, 1),))
        called = Word(" Hello.", 0, 1, 0.9, "Ada", 0.5, "Bo", True)
        assert renamed(whole, {"A": "Ada", "B": "Bo", "C": "nobody"}) == Transcript(
            (Segment(" Hello.", 0, 1, (called,), "Ada"),), turns=(SpeakerTurn("Ada", 0, 1),)
        )

    def test_without_speakers_there_is_nothing_to_name(self) -> None:
        whole = Transcript((Segment(" Hello.", 0, 1),))
        assert renamed(whole, {"A": "Ada"}) == whole

    @pytest.mark.parametrize(
        ("given", "kept"),
        [("Zoë 李", "Zoë 李"), (" Ada\n1\t2 ", "Ada 1 2"), ("\x00\u202e \u2028", ""), ("a" * 99, "a" * LONGEST)],
    )  # fmt: skip
    def test_they_stand_in_one_line(self, given: str, kept: str) -> None:
        assert cleaned(given) == kept

    def test_an_empty_one_is_none(self) -> None:
        whole = Transcript(turns=(SpeakerTurn("A", 0, 1),))
        assert renamed(whole, {"A": " \n"}) == whole


def test_the_waveform() -> None:
    samples = np.zeros(16_000, np.float32)
    samples[4_000], samples[12_000] = -0.5, 0.25
    found = peaks(Audio(samples))
    assert len(found) == PEAKS
    assert {at: value for at, value in enumerate(found) if value} == {PEAKS // 4: 100, 3 * PEAKS // 4: 50}
    assert peaks(Audio(np.zeros(3, np.float32))) == [0, 0, 0]


def light(colour: str) -> float:
    """Relative luminance, as WCAG 2 defines it."""
    parts = [int(colour[at : at + 2], 16) / 255 for at in (1, 3, 5)]
    red, green, blue = (part / 12.92 if part <= 0.03928 else ((part + 0.055) / 1.055) ** 2.4 for part in parts)
    return 0.2126 * red + 0.7152 * green + 0.0722 * blue


def contrast(one: str, other: str) -> float:
    low, high = sorted((light(one), light(other)))
    return (high + 0.05) / (low + 0.05)


@pytest.mark.parametrize(
    ("colours", "speakers"), [(LIGHT, SPEAKERS_LIGHT), (DARK, SPEAKERS_DARK)], ids=["light", "dark"]
)
def test_contrast(colours: Mapping[str, str], speakers: tuple[str, ...]) -> None:
    grounds = [colours[name] for name in ("paper", "card", "sunken")]
    text = [colours["ink"], colours["muted"], colours["accent"], *speakers]
    pairs = [(one, ground) for one in text for ground in grounds]
    pairs += [(colours["ink"], colours[name]) for name in ("now", "found")]
    pairs += [(colours["on-accent"], colours["accent"]), (colours["danger"], colours["danger-paper"])]
    assert [pair for pair in pairs if contrast(*pair) < 4.5] == []
    assert [ground for ground in grounds if contrast(colours["edge"], ground) < 3] == []


class TestEntry:
    """`python app.py`."""

    def test_it_shows_the_demo_models_where_none_is_named(self, monkeypatch: pytest.MonkeyPatch) -> None:
        assert app.models().asr_model == str(DEMO)
        assert app.models().diarization_model == str(DIARIZATION)
        monkeypatch.setitem(sys.modules, "pyannote", None)  # as where it is not installed
        assert (app.models().asr_model, app.models().diarization_model) == (str(DEMO), None)
        monkeypatch.setenv("ASR_MODEL", "openai/whisper-tiny")
        assert (app.models().asr_model, app.models().diarization_model) == ("openai/whisper-tiny", None)

    @pytest.mark.parametrize(
        ("environment", "address"),
        [
            ({}, ("127.0.0.1", 7860)),
            ({"SPACE_ID": "you/space"}, ("0.0.0.0", 7860)),
            ({"SPACE_ID": "you/space", "PORT": "80", "HOST": "10.0.0.1"}, ("10.0.0.1", 80)),
        ],
    )
    def test_it_answers_where_a_space_is_expected_to(
        self, environment: dict[str, str], address: tuple[str, int], monkeypatch: pytest.MonkeyPatch
    ) -> None:
        for name, value in environment.items():
            monkeypatch.setenv(name, value)
        assert (app.settings().host, app.settings().port, app.settings().ui) == (*address, True)

    def test_its_front_is_the_page(self, transcriber: Transcriber) -> None:
        with Running(app.application(app.settings(), lambda: transcriber)).running() as server:
            assert httpx.get(f"{server.url}/").headers["location"] == "ui/"
            assert httpx.post(f"{server.url}/", content=SHORT, timeout=60).json()["text"]

    def test_the_spaces_head_names_what_is_there(self) -> None:
        text = (ROOT / "deploy" / "README.md").read_text().split("```yaml\n---\n")[1].split("---")[0]
        head = yaml.safe_load(text)
        assert (ROOT / head["app_file"]).is_file()
        assert f"gradio=={head['sdk_version']}" in (ROOT / "constraints-cpu.txt").read_text().splitlines()

    def test_what_is_wrong_is_said(self) -> None:
        environment = {**os.environ, "PORT": "many"}
        done = subprocess.run(
            [sys.executable, "app.py"], cwd=ROOT, env=environment, capture_output=True, text=True, check=False
        )
        assert (done.returncode, json.loads(done.stderr.splitlines()[-1])["message"][:6]) == (2, "PORT: ")
