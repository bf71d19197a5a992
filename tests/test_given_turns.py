"""Turns that a client knows: in each interface, without a diarization model."""

import json
from pathlib import Path
from typing import Any

import httpx
import pytest

from tests.conftest import DEMO, SAMPLES
from tests.serving import Running
from transcription.cli import transcribe as cli
from transcription.config import InferenceConfig, parse_request
from transcription.config.speaker_turns import read_turns
from transcription.endpoint import EndpointHandler
from transcription.errors import InvalidRequest
from transcription.rttm import write_rttm
from transcription.transcript import SpeakerTurn

SHORT = SAMPLES["short"].path
TURNS = [SpeakerTurn("Ada", 0.0, 3.0), SpeakerTurn("Bo", 3.0, 7.0)]
OBJECTS = [{"speaker": turn.speaker, "start": turn.start, "end": turn.end} for turn in TURNS]


@pytest.mark.parametrize("value", [OBJECTS, OBJECTS[::-1], json.dumps(OBJECTS), write_rttm(TURNS), tuple(TURNS)])
def test_turns_have_several_forms(value: object) -> None:
    assert read_turns(value) == tuple(TURNS)


@pytest.mark.parametrize("value", [[], "[]", ()])
def test_no_turns_are_turns_too(value: object) -> None:
    assert read_turns(value) == ()


@pytest.mark.parametrize(
    ("value", "message"),
    [
        (3, 'send a list of {"start", "end", "speaker"}, or RTTM'),
        ({}, 'send a list of {"start", "end", "speaker"}, or RTTM'),
        ("[{", 'is not JSON: send a list of {"start", "end", "speaker"}, or RTTM'),
        ("Ada speaks", "line 1 is not RTTM: it must begin with SPEAKER"),
        ([OBJECTS[0], {"start": 0, "end": 1}], "turn 2 must have start, end and speaker, and nothing else"),
        ([OBJECTS[0] | {"text": "Hi"}], "turn 1 must have start, end and speaker, and nothing else"),
        ([OBJECTS[0] | {"end": -1}], "turn 1: start and end must be seconds, and end not before start"),
        ([OBJECTS[0] | {"start": float("nan")}], "turn 1: start and end must be seconds, and end not before start"),
        ([OBJECTS[0] | {"start": "0"}], "turn 1: start and end must be seconds, and end not before start"),
        ([OBJECTS[0] | {"speaker": " "}], "turn 1: speaker must be a name of 1 to 200 characters"),
        ("SPEAKER a 1 0 1 x x A\nSPEAKER b 1 0 1 x x A", "the RTTM has turns of 2 files: send those of one"),
    ],
)
def test_bad_turns_are_an_error_that_names_the_turn(value: object, message: str) -> None:
    with pytest.raises(InvalidRequest) as caught:
        InferenceConfig.from_request({"turns": value})
    assert (str(caught.value), caught.value.param) == (f"turns: {message}", "turns")


@pytest.mark.parametrize("other", [{"diarize": False}, {"multichannel": True}, {"num_speakers": 2}])
def test_turns_contradict_other_sources_of_speakers(other: dict[str, Any]) -> None:
    with pytest.raises(InvalidRequest, match="turns cannot be combined with multichannel, diarize false or"):
        parse_request({"turns": OBJECTS, **other}, InferenceConfig)


@pytest.mark.parametrize("response_format", ["chunks", "diarized_json", "rttm"])
def test_the_endpoint_uses_them_without_a_diarization_model(handler: EndpointHandler, response_format: str) -> None:
    parameters = {"turns": OBJECTS, "timestamps": "word", "response_format": response_format}
    answer = handler({"inputs": SHORT.read_bytes(), "parameters": parameters})
    assert {chunk["speaker"] for chunk in answer["chunks"]} == {"Ada", "Bo"}
    assert all(chunk["speaker"] == "Ada" for chunk in answer["chunks"] if chunk["timestamp"][1] < 3.0)
    assert (answer["num_speakers"], "warnings" in answer) == (2, False)
    assert answer.get("rttm") == (write_rttm(TURNS) if response_format == "rttm" else None)


def test_turns_after_the_end_are_a_warning(handler: EndpointHandler) -> None:
    late = [*OBJECTS, {"speaker": "Cy", "start": 60.0, "end": 61.0}]
    answer = handler({"inputs": SHORT.read_bytes(), "parameters": {"turns": late}})
    assert answer["warnings"] == ["1 of 3 turns start after the end of the recording"]


def test_no_turns_mean_no_speakers(handler: EndpointHandler) -> None:
    answer = handler({"inputs": SHORT.read_bytes(), "parameters": {"turns": []}})
    assert ({chunk["speaker"] for chunk in answer["chunks"]}, answer["num_speakers"]) == ({None}, 0)


@pytest.mark.parametrize("turns", [json.dumps(OBJECTS), write_rttm(TURNS)])
def test_the_routes_of_openai_take_them_as_text(server: Running, turns: str) -> None:
    form = {"turns": turns, "response_format": "diarized_json"}
    answer = httpx.post(
        f"{server.url}/v1/audio/transcriptions", data=form, files={"file": SHORT.read_bytes()}, timeout=60
    )
    assert [segment["speaker"] for segment in answer.json()["segments"]] == ["A", "B"]
    form["response_format"] = "json"
    refused = httpx.post(f"{server.url}/v1/audio/transcriptions", data=form, files={"file": SHORT.read_bytes()})
    assert refused.status_code == 400
    assert refused.json()["error"]["message"].startswith("speakers need response_format")


def test_a_form_holds_the_turns_of_an_hour(server: Running) -> None:
    text = write_rttm(SpeakerTurn("SPEAKER_00", 3.0 * n, 3.0 * n + 2) for n in range(1200))
    answer = httpx.post(
        f"{server.url}/v1/audio/transcriptions", data={"turns": text, "response_format": "verbose_json"},
        files={"file": SHORT.read_bytes()}, timeout=60,
    )  # fmt: skip
    assert len(text) > 64 * 1024
    assert answer.json()["warnings"] == ["1197 of 1200 turns start after the end of the recording"]


class TestCommand:
    """transcribe --turns FILE."""

    def transcribe(self, *arguments: object) -> int:
        return cli.main([*map(str, arguments), "--model", str(DEMO), "--quiet"])

    def test_uses_the_turns_and_writes_the_name_of_the_file(
        self, tmp_path: Path, capsys: pytest.CaptureFixture[str]
    ) -> None:
        path = tmp_path / "turns.rttm"
        path.write_text(write_rttm(TURNS, "another"))
        assert self.transcribe(SHORT, "--turns", path, "--format", "rttm") == 0
        assert capsys.readouterr().out == write_rttm(TURNS, "short")

    def test_each_recording_has_the_turns_of_its_name(self, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
        path, silence = tmp_path / "turns.rttm", SAMPLES["silence"].path
        path.write_text(joined := write_rttm(TURNS, "short") + write_rttm(TURNS[:1], "silence"))
        assert self.transcribe(SHORT, silence, "--turns", path, "--format", "rttm") == 0
        assert capsys.readouterr().out == joined
        path.write_text(write_rttm(TURNS, "short"))
        assert self.transcribe(SHORT, silence, "--turns", path, "--format", "rttm") == 1
        assert capsys.readouterr().err == f"error: {silence}: --turns has no turns of the file silence\n"

    @pytest.mark.parametrize(
        ("text", "arguments", "message"),
        [
            ("no RTTM", [], "line 1 is not RTTM"),
            ("", [], "the RTTM has no SPEAKER line"),
            (None, [], "--turns nowhere.rttm cannot be read: No such file"),
            (write_rttm(TURNS), ["--num-speakers", "2"], "turns cannot be combined with"),
            (write_rttm(TURNS), ["--multichannel"], "turns cannot be combined with"),
        ],
    )
    def test_wrong_turns_are_an_error(
        self, text: str | None, arguments: list[str], message: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
    ) -> None:
        path = Path("nowhere.rttm") if text is None else tmp_path / "turns.rttm"
        if text is not None:
            path.write_text(text)
        assert self.transcribe(SHORT, "--turns", path, *arguments) == 2
        assert capsys.readouterr().err.startswith(f"error: {message}")
