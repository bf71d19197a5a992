"""The contract of the endpoint, and every fault of the original handler that concerns transcription."""

import base64
import json
from collections.abc import Iterator
from itertools import pairwise
from typing import Any

import numpy as np
import pytest

from tests.conftest import DEMO, DIARIZATION, SAMPLES, endpoint
from tools.encoding import encoded
from transcription.endpoint import EndpointHandler
from transcription.errors import EngineFailure, InvalidAudio, InvalidRequest, InvalidSettings, TranscriptionError
from transcription.formats import FORMATS

SHORT = SAMPLES["short"].path.read_bytes()
MEETING = SAMPLES["meeting"].path.read_bytes()
SHORT_TEXT = base64.b64encode(SHORT).decode()


def test_the_answer_has_its_three_keys_always(handler: EndpointHandler) -> None:
    answer = handler({"inputs": SHORT})
    assert list(answer)[:3] == ["text", "chunks", "speakers"]
    assert answer["speakers"] == []
    assert answer["text"] == "".join(chunk["text"] for chunk in answer["chunks"]).strip()
    for chunk in answer["chunks"]:
        start, end = chunk["timestamp"]
        assert 0 <= start <= end <= answer["duration"]


def test_bytes_are_base64(handler: EndpointHandler) -> None:
    """Regression: raw audio bytes were base64-decoded to garbage."""
    whole = handler({"inputs": SHORT})
    assert whole == handler({"inputs": SHORT_TEXT})
    assert whole == handler({"inputs": f"data:audio/wav;base64,{SHORT_TEXT}", "parameters": None})
    assert whole == handler({"inputs": memoryview(SHORT), "parameters": {}})


@pytest.mark.parametrize("kind", ["flac", "mp3", "ogg", "m4a"])
def test_every_container_says_the_same(handler: EndpointHandler, kind: str) -> None:
    audio = SAMPLES["short"].audio
    assert handler({"inputs": encoded(audio.samples, kind)})["text"] == handler({"inputs": SHORT})["text"]


@pytest.mark.parametrize("rate", [8_000, 24_000])
def test_sampling_rate_does_not_bend_time(handler: EndpointHandler, rate: int) -> None:
    """Regression: sampling_rate 24000 or 8000 gave wrong timestamps."""
    assert handler({"inputs": SHORT, "parameters": {"sampling_rate": rate}}) == handler({"inputs": SHORT})


def test_silence_answers_empty(handler: EndpointHandler) -> None:
    """Regression: no chunks were an IndexError."""
    answer = handler({"inputs": SAMPLES["silence"].path.read_bytes()})
    assert (answer["text"], answer["chunks"], answer["speakers"]) == ("", [], [])


def test_no_assistant_is_passed_on_when_none_is_set(monkeypatch: pytest.MonkeyPatch) -> None:
    """Regression: only ASR_MODEL set, and every unassisted call, failed."""
    bare = EndpointHandler(str(DEMO))
    assert bare({"inputs": SHORT})["text"]
    with pytest.raises(InvalidRequest, match="set ASSISTANT_MODEL"):
        bare({"inputs": SHORT, "parameters": {"assisted": True}})


def test_assisted_says_the_same(handler: EndpointHandler) -> None:
    assert handler({"inputs": SHORT, "parameters": {"assisted": True}})["text"] == handler({"inputs": SHORT})["text"]


@pytest.mark.parametrize("form", ["json", "text", "verbose_json", "srt", "vtt", "tsv"])
def test_another_format_is_a_key_beside_the_three(handler: EndpointHandler, form: str) -> None:
    answer = handler({"inputs": SHORT, "parameters": {"response_format": form}})
    assert set(answer) == {"text", "chunks", "speakers", "language", "duration", form}
    assert answer[form]


def test_a_cut_file_is_flagged(handler: EndpointHandler) -> None:
    answer = handler({"inputs": SHORT[: len(SHORT) // 2]})
    assert answer["partial"] is True


def test_extra_keys_and_unknown_parameters_pass(handler: EndpointHandler) -> None:
    asked = {"inputs": SHORT, "parameters": {"num_beams": 5}, "options": {"wait_for_model": True}}
    assert handler(asked) == handler({"inputs": SHORT})


@pytest.fixture(scope="module")
def hearing() -> Iterator[EndpointHandler]:
    """The handler with a diarization model."""
    with endpoint(ASR_MODEL=DEMO, DIARIZATION_MODEL=DIARIZATION) as found:
        yield found


def test_speakers_are_turns_of_talk(hearing: EndpointHandler) -> None:
    """As the original's users know it: speaker, text, timestamp, one entry per turn of talk."""
    answer = hearing({"inputs": MEETING, "parameters": {"num_speakers": 3, "timestamps": "word"}})
    assert {tuple(entry) for entry in answer["speakers"]} == {("speaker", "text", "timestamp")}
    assert "".join(entry["text"] for entry in answer["speakers"]).strip() == answer["text"]
    named = [entry["speaker"] for entry in answer["speakers"]]
    assert named[0] == "SPEAKER_00"
    assert set(named) == {"SPEAKER_00", "SPEAKER_01", "SPEAKER_02"}
    assert all(one != other for one, other in pairwise(named))
    assert all({"text", "timestamp", "speaker", "confidence"} <= set(chunk) for chunk in answer["chunks"])
    assert answer["num_speakers"] == 3
    json.dumps(answer, allow_nan=False)


def test_diarize_false_skips_the_diarizer(
    hearing: EndpointHandler, handler: EndpointHandler, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(hearing.transcriber.diarizer, "diarize", None)  # calling it would fail
    asked = {"inputs": SHORT, "parameters": {"diarize": False}}
    assert hearing(asked) == handler({"inputs": SHORT})


@pytest.mark.parametrize("rate", [8_000, 24_000])
def test_sampling_rate_does_not_bend_the_turns(hearing: EndpointHandler, rate: int) -> None:
    """Regression: the turns of sampling_rate 24000 or 8000 were at wrong times."""
    assert hearing({"inputs": SHORT, "parameters": {"sampling_rate": rate}}) == hearing({"inputs": SHORT})


def test_silence_has_no_speakers(hearing: EndpointHandler) -> None:
    """Regression: nobody speaking was a ValueError."""
    answer = hearing({"inputs": SAMPLES["silence"].path.read_bytes()})
    assert (answer["text"], answer["chunks"], answer["speakers"], answer["num_speakers"]) == ("", [], [], 0)


@pytest.mark.parametrize("form", FORMATS)
def test_every_format_works_with_speakers(hearing: EndpointHandler, form: str) -> None:
    answer = hearing({"inputs": SHORT, "parameters": {"response_format": form}})
    assert answer["speakers"]
    assert form == "chunks" or answer[form]


def test_channels_are_speakers(handler: EndpointHandler) -> None:
    answer = handler({"inputs": SAMPLES["call"].path.read_bytes(), "parameters": {"multichannel": True}})
    assert {entry["speaker"] for entry in answer["speakers"]} == {"SPEAKER_00", "SPEAKER_01"}


def test_who_asks_for_speakers_without_a_model_is_told(handler: EndpointHandler) -> None:
    with pytest.raises(InvalidRequest, match="set DIARIZATION_MODEL"):
        handler({"inputs": SHORT, "parameters": {"diarize": True}})


BAD: dict[str, Any] = {
    "no inputs": {},
    "null inputs": {"inputs": None},
    "a number": {"inputs": 5},
    "empty text": {"inputs": ""},
    "empty bytes": {"inputs": b""},
    "not base64": {"inputs": "Hello, is this thing on?"},
    "base64 of text": {"inputs": base64.b64encode(b"hello" * 50).decode()},
    "parameters is a list": {"inputs": SHORT, "parameters": []},
    "wrong parameter": {"inputs": SHORT, "parameters": {"task": "sing"}},
    "wrong format": {"inputs": SHORT, "parameters": {"response_format": "docx"}},
    "unknown language": {"inputs": SHORT, "parameters": {"language": "klingon"}},
    "two at once": {"inputs": "", "parameters": {"batch_size": -1}},
    "not an object": [SHORT_TEXT],
}


@pytest.mark.parametrize("name", BAD)
def test_bad_input_is_answered_in_one_short_line(handler: EndpointHandler, name: str) -> None:
    with pytest.raises((InvalidAudio, InvalidRequest)) as caught:
        handler(BAD[name])
    message = str(caught.value)
    assert 10 < len(message) < 200
    assert not any(part in message for part in ("\n", "Traceback", "http", "site-packages", "pydantic"))


def test_a_librarys_message_is_not_shown(handler: EndpointHandler, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*_: object) -> None:
        raise RuntimeError("/repository/secret: CUDA out of memory")

    monkeypatch.setattr(handler.transcriber, "transcribe", fail)
    with pytest.raises(EngineFailure, match=r"^the model ran out of memory: send a smaller batch_size"):
        handler({"inputs": SHORT})


def test_start_without_a_model_says_what_to_set() -> None:
    with pytest.raises(InvalidSettings, match=r"^ASR_MODEL is not set"):
        EndpointHandler("")


def test_too_long_audio_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MAX_AUDIO_SECONDS", "2")
    small = EndpointHandler(str(DEMO))
    with pytest.raises(TranscriptionError, match="longer than the 2 s allowed here"):
        small({"inputs": encoded(np.zeros(5 * 16_000, np.float32), "flac")})
