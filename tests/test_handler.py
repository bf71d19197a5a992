"""The API of the endpoint, and a regression test for every bug of the original handler."""

import base64
import json
from itertools import pairwise
from typing import Any

import numpy as np
import pytest

from benchmarks.encoding import encoded
from tests.conftest import DEMO, DIARIZATION, SAMPLES, endpoint
from transcription.config import InferenceConfig, Timestamps
from transcription.endpoint import EndpointHandler
from transcription.errors import EngineFailure, InvalidAudio, InvalidRequest, InvalidSettings, TranscriptionError
from transcription.formats import FORMATS, formats_of

SHORT = SAMPLES["short"].path.read_bytes()
MEETING = SAMPLES["meeting"].path.read_bytes()
SHORT_TEXT = base64.b64encode(SHORT).decode()


def test_answer_has_text_chunks_and_speakers(handler: EndpointHandler) -> None:
    answer = handler({"inputs": SHORT})
    assert list(answer)[:3] == ["text", "chunks", "speakers"]
    assert answer["speakers"] == []
    assert answer["text"] == "".join(chunk["text"] for chunk in answer["chunks"]).strip()
    for chunk in answer["chunks"]:
        start, end = chunk["timestamp"]
        assert 0 <= start <= end <= answer["duration"]


def test_bytes_and_base64_text_give_the_same_answer(handler: EndpointHandler) -> None:
    """Regression: raw audio bytes were base64-decoded to garbage."""
    whole = handler({"inputs": SHORT})
    assert whole == handler({"inputs": SHORT_TEXT})
    assert whole == handler({"inputs": f"data:audio/wav;base64,{SHORT_TEXT}", "parameters": None})
    assert whole == handler({"inputs": memoryview(SHORT), "parameters": {}})


@pytest.mark.parametrize("kind", ["flac", "mp3", "ogg", "m4a"])
def test_every_audio_container_gives_the_same_text(handler: EndpointHandler, kind: str) -> None:
    audio = SAMPLES["short"].audio
    assert handler({"inputs": encoded(audio.samples, kind)})["text"] == handler({"inputs": SHORT})["text"]


@pytest.mark.parametrize("rate", [8_000, 24_000])
def test_sampling_rate_does_not_change_timestamps(handler: EndpointHandler, rate: int) -> None:
    """Regression: sampling_rate 24000 or 8000 gave wrong timestamps."""
    answer = handler({"inputs": SHORT, "parameters": {"sampling_rate": rate}})
    assert answer == handler({"inputs": SHORT}) | {
        "warnings": ["ignored parameters without effect here: sampling_rate"]
    }


def test_silence_gives_an_empty_answer(handler: EndpointHandler) -> None:
    """Regression: no chunks were an IndexError."""
    answer = handler({"inputs": SAMPLES["silence"].path.read_bytes()})
    assert (answer["text"], answer["chunks"], answer["speakers"]) == ("", [], [])


def test_assistant_model_is_optional(monkeypatch: pytest.MonkeyPatch) -> None:
    """Regression: only ASR_MODEL set, and every unassisted call, failed."""
    bare = EndpointHandler(str(DEMO))
    assert bare({"inputs": SHORT})["text"]
    with pytest.raises(InvalidRequest, match="set ASSISTANT_MODEL"):
        bare({"inputs": SHORT, "parameters": {"assisted": True}})


def test_assisted_gives_the_same_text(handler: EndpointHandler) -> None:
    assert handler({"inputs": SHORT, "parameters": {"assisted": True}})["text"] == handler({"inputs": SHORT})["text"]


OTHER_FORMATS = [name for name, row in formats_of("endpoint").items() if name != "chunks" and not row.needs_speakers]


@pytest.mark.parametrize("name", OTHER_FORMATS)
def test_response_format_adds_a_key_of_its_name(handler: EndpointHandler, name: str) -> None:
    answer = handler({"inputs": SHORT, "parameters": {"response_format": name}})
    assert set(answer) == {"text", "chunks", "speakers", "language", "duration", "coverage", name}
    assert answer[name]


def test_null_response_format_is_the_default(handler: EndpointHandler) -> None:
    assert handler({"inputs": SHORT, "parameters": {"response_format": None}}) == handler({"inputs": SHORT})


def test_subclass_changes_the_defaults_of_requests(handler: EndpointHandler) -> None:
    class Config(InferenceConfig):
        timestamps: Timestamps | None = "word"

    class Handler(EndpointHandler):
        config_class = Config
        response_format = "srt"

    changed = Handler(transcriber=handler.transcriber)
    answer = changed({"inputs": SHORT})
    assert answer == handler({"inputs": SHORT, "parameters": {"timestamps": "word", "response_format": "srt"}})
    assert changed({"inputs": SHORT, "parameters": {"timestamps": "segment", "response_format": "chunks"}}) == handler(
        {"inputs": SHORT}
    )


def test_truncated_file_is_marked_partial(handler: EndpointHandler) -> None:
    answer = handler({"inputs": SHORT[: len(SHORT) // 2]})
    assert answer["partial"] is True


def test_extra_keys_and_unknown_parameters_are_ignored_and_named(handler: EndpointHandler) -> None:
    data = {"inputs": SHORT, "parameters": {"beams": 5, "max_new_tokens": 9}, "options": {"wait_for_model": True}}
    assert handler(data) == handler({"inputs": SHORT}) | {
        "warnings": [
            "ignored parameters without effect here: max_new_tokens",
            "ignored unknown parameters: beams",
            "ignored keys beside inputs and parameters: options",
        ]
    }


@pytest.fixture(scope="module")
def diarizing() -> EndpointHandler:
    """Return a handler with a diarization model."""
    return endpoint(ASR_MODEL=DEMO, DIARIZATION_MODEL=DIARIZATION)


def test_speakers_have_one_entry_per_turn(diarizing: EndpointHandler) -> None:
    """The entries have the keys of the original handler."""
    answer = diarizing({"inputs": MEETING, "parameters": {"num_speakers": 3, "timestamps": "word"}})
    assert {tuple(entry) for entry in answer["speakers"]} == {("speaker", "text", "timestamp")}
    assert "".join(entry["text"] for entry in answer["speakers"]).strip() == answer["text"]
    speakers = [entry["speaker"] for entry in answer["speakers"]]
    assert speakers[0] == "SPEAKER_00"
    assert set(speakers) == {"SPEAKER_00", "SPEAKER_01", "SPEAKER_02"}
    assert all(speaker != following for speaker, following in pairwise(speakers))
    assert all({"text", "timestamp", "speaker", "confidence"} <= set(chunk) for chunk in answer["chunks"])
    assert answer["num_speakers"] == 3
    json.dumps(answer, allow_nan=False)


def test_diarize_false_skips_the_diarizer(
    diarizing: EndpointHandler, handler: EndpointHandler, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(diarizing.transcriber.diarizer, "diarize", None)  # a call would fail
    data = {"inputs": SHORT, "parameters": {"diarize": False}}
    assert diarizing(data) == handler({"inputs": SHORT})


@pytest.mark.parametrize("rate", [8_000, 24_000])
def test_sampling_rate_does_not_change_turns(diarizing: EndpointHandler, rate: int) -> None:
    """Regression: the turns of sampling_rate 24000 or 8000 were at wrong times."""
    answer = diarizing({"inputs": SHORT, "parameters": {"sampling_rate": rate}})
    assert answer["speakers"] == diarizing({"inputs": SHORT})["speakers"]


def test_silence_has_no_speakers(diarizing: EndpointHandler) -> None:
    """Regression: nobody speaking was a ValueError."""
    answer = diarizing({"inputs": SAMPLES["silence"].path.read_bytes()})
    assert (answer["text"], answer["chunks"], answer["speakers"], answer["num_speakers"]) == ("", [], [], 0)


@pytest.mark.parametrize("name", formats_of("endpoint"))
def test_every_format_works_with_speakers(diarizing: EndpointHandler, name: str) -> None:
    answer = diarizing({"inputs": SHORT, "parameters": {"response_format": name}})
    assert answer["speakers"]
    assert name == "chunks" or answer[name]


def test_each_channel_is_a_speaker(handler: EndpointHandler) -> None:
    answer = handler({"inputs": SAMPLES["call"].path.read_bytes(), "parameters": {"multichannel": True}})
    assert {entry["speaker"] for entry in answer["speakers"]} == {"SPEAKER_00", "SPEAKER_01"}


NEED_SPEAKERS = [{"response_format": name} for name, row in FORMATS.items() if row.needs_speakers]


@pytest.mark.parametrize("parameters", [{"diarize": True}, *NEED_SPEAKERS])
def test_request_for_speakers_without_a_model_is_refused(handler: EndpointHandler, parameters: dict[str, Any]) -> None:
    with pytest.raises(InvalidRequest, match="set DIARIZATION_MODEL"):
        handler({"inputs": SHORT, "parameters": parameters})


@pytest.mark.parametrize("parameters", NEED_SPEAKERS)
def test_diarize_false_gives_documents_without_speakers(handler: EndpointHandler, parameters: dict[str, str]) -> None:
    answer = handler({"inputs": SHORT, "parameters": parameters | {"diarize": False}})
    assert answer["speakers"] == []
    assert parameters["response_format"] in answer


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
def test_bad_input_gives_a_message_of_one_short_line(handler: EndpointHandler, name: str) -> None:
    with pytest.raises((InvalidAudio, InvalidRequest)) as caught:
        handler(BAD[name])
    message = str(caught.value)
    assert 10 < len(message) < 200
    assert not any(part in message for part in ("\n", "Traceback", "http", "site-packages", "pydantic"))


def test_message_of_a_library_is_hidden(handler: EndpointHandler, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*_: object) -> None:
        raise RuntimeError("/repository/secret: CUDA out of memory")

    monkeypatch.setattr(handler.transcriber, "transcribe", fail)
    with pytest.raises(EngineFailure, match=r"^the model ran out of memory: send a smaller batch_size"):
        handler({"inputs": SHORT})


def test_start_without_a_model_names_the_variable_to_set() -> None:
    with pytest.raises(InvalidSettings, match=r"^ASR_MODEL is not set"):
        EndpointHandler("")


def test_audio_above_the_limit_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MAX_AUDIO_SECONDS", "2")
    small = EndpointHandler(str(DEMO))
    with pytest.raises(TranscriptionError, match="longer than the 2 s allowed here"):
        small({"inputs": encoded(np.zeros(5 * 16_000, np.float32), "flac")})
