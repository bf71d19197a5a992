"""The page's routes, without a browser."""

import io
import json
import wave
from dataclasses import replace
from typing import Any

import httpx
import numpy as np
import pytest

from tests.comparing import differences
from tests.conftest import ROOT, SAMPLES
from tests.serving import Running, serving
from transcription.audio import Audio, load_audio
from transcription.config import InferenceConfig
from transcription.formats import formats_of
from transcription.transcriber import Transcriber
from transcription.transcript import Segment, SpeakerTurn, Transcript
from transcription.ui.events import PEAKS, TRANSCRIPT, peaks

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
        named = replace(whole, name="recording")
        assert list(differences(received[-1]["transcript"], TRANSCRIPT.dump_python(named, mode="json"))) == []
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


def test_the_waveform() -> None:
    samples = np.zeros(16_000, np.float32)
    samples[4_000], samples[12_000] = -0.5, 0.25
    found = peaks(Audio(samples))
    assert len(found) == PEAKS
    assert {at: value for at, value in enumerate(found) if value} == {PEAKS // 4: 100, 3 * PEAKS // 4: 50}
    assert peaks(Audio(np.zeros(3, np.float32))) == [0, 0, 0]
