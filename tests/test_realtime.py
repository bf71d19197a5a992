"""Live sessions over WebSocket, with OpenAI's client."""

import base64
import json
from collections.abc import Iterator
from typing import Any

import numpy as np
import openai
import pytest
import websockets.exceptions
from websockets.sync.client import connect

from tests.conftest import SAMPLES
from tests.serving import Running, serving
from tests.serving import until as wait_until
from transcription.audio import SAMPLE_RATE, Samples
from transcription.config import InferenceConfig
from transcription.transcriber import Transcriber

# The openai client opens its connection in a way that websockets calls old.
pytestmark = pytest.mark.filterwarnings("ignore:connect\\(\\) must be used:DeprecationWarning")
PCM16 = {"type": "audio/pcm", "rate": 16000}
PAUSE = np.zeros(SAMPLE_RATE, np.float32)
END = "conversation.item.input_audio_transcription.completed"


@pytest.fixture(scope="module")
def live(transcriber: Transcriber) -> Iterator[Running]:
    """Yield a server with an API key and at most two sessions."""
    with serving(transcriber, api_keys="right", max_sessions=2) as server:
        yield server


@pytest.fixture
def client(live: Running) -> Iterator[openai.OpenAI]:
    with openai.OpenAI(base_url=f"{live.url}/v1", api_key="right") as client:
        yield client


def append(connection: Any, samples: Samples) -> None:
    """Send samples at 16 kHz in pieces of a tenth of a second."""
    data = (samples * 32767).astype("<i2").tobytes()
    for start in range(0, len(data), 3200):
        connection.input_audio_buffer.append(audio=base64.b64encode(data[start : start + 3200]).decode())


def session(**fields: Any) -> Any:
    return {"type": "transcription", "audio": {"input": {"format": PCM16, **fields}}}


def until(connection: Any, kind: str) -> list[dict[str, Any]]:
    """Return the events up to the first one of a kind."""
    events = []
    for event in connection:
        events.append(event.to_dict(warnings=False))
        if event.type == kind:
            break
    return events


def test_a_turn_is_told_from_its_start_to_its_transcript(client: openai.OpenAI) -> None:
    samples = SAMPLES["short"].audio.samples
    with client.realtime.connect(extra_query={"intent": "transcription"}) as connection:
        connection.session.update(session=session(turn_detection={"type": "server_vad", "silence_duration_ms": 900}))
        assert [event["type"] for event in until(connection, "session.updated")] == [
            "session.created",
            "session.updated",
        ]
        append(connection, np.concatenate([samples, PAUSE]))
        events = until(connection, END)
    kinds = [event["type"].rpartition(".")[2] for event in events]
    assert [kind for kind in kinds if kind != "delta"] == ["speech_started", "speech_stopped", "committed", "completed"]
    assert len({event["item_id"] for event in events}) == 1
    assert events[-1]["usage"]["type"] == "duration"
    assert events[-1]["transcript"]
    assert [word["word"] for word in events[-1]["words"]] == events[-1]["transcript"].split()


def test_a_commit_gives_the_text_of_the_file(client: openai.OpenAI, transcriber: Transcriber) -> None:
    audio = SAMPLES["short"].audio
    with client.realtime.connect() as connection:
        connection.session.update(session=session(turn_detection=None))
        append(connection, audio.samples)
        connection.input_audio_buffer.commit()
        events = until(connection, END)
    assert events[-1]["transcript"] == transcriber.transcribe(audio, InferenceConfig()).text
    assert "input_audio_buffer.speech_started" not in {event["type"] for event in events}


def test_silence_has_no_text(client: openai.OpenAI) -> None:
    with client.realtime.connect() as connection:
        connection.session.update(session=session(turn_detection=None))
        append(connection, PAUSE)
        connection.input_audio_buffer.commit()
        events = until(connection, END)
    assert (events[-1]["transcript"], events[-1]["words"]) == ("", [])


@pytest.mark.parametrize(
    ("event", "code"),
    [
        ({"type": "response.create"}, "unknown_event"),
        ({"type": "input_audio_buffer.commit"}, "input_audio_buffer_commit_empty"),
        ({"type": "input_audio_buffer.append", "audio": "!"}, "invalid_audio"),
        ({"type": "session.update", "session": {"type": "realtime"}}, "invalid_value"),
        ({"type": "session.update", "session": session(format={"type": "audio/mp3"})}, "invalid_value"),
        ({"type": "session.update", "session": session(transcription={"vad": True})}, "invalid_value"),
    ],
)
def test_an_error_names_the_event_and_the_session_goes_on(client: openai.OpenAI, event: Any, code: str) -> None:
    with client.realtime.connect() as connection:
        message: Any = {**event, "event_id": "mine"}
        connection.send(message)
        error = until(connection, "error")[-1]["error"]
        assert (error["code"], error["event_id"]) == (code, "mine")
        connection.input_audio_buffer.clear()
        assert until(connection, "input_audio_buffer.cleared")[-1]["type"] == "input_audio_buffer.cleared"


def test_ignored_parameters_are_named(client: openai.OpenAI) -> None:
    with client.realtime.connect() as connection:
        connection.session.update(session=session(noise_reduction={"type": "near_field"}))
        updated = until(connection, "session.updated")[-1]
    assert updated["session"]["warnings"] == ["ignored parameters without effect here: noise_reduction"]


def test_text_that_is_no_event_ends_the_session_at_last(live: Running) -> None:
    url = live.url.replace("http", "ws") + "/v1/realtime"
    with connect(url, subprotocols=["realtime", "openai-insecure-api-key.right"]) as socket:  # type: ignore[list-item]
        for _ in range(20):
            socket.send("rubbish")
        with pytest.raises(websockets.exceptions.ConnectionClosed):
            list(socket)
        assert socket.close_code == 1008


@pytest.mark.parametrize(("query", "key", "status"), [("", "wrong", 401), ("?a=1", "right", 400)])
def test_a_refused_connection_has_a_status(live: Running, query: str, key: str, status: int) -> None:
    url = live.url.replace("http", "ws") + "/v1/realtime" + query
    with pytest.raises(websockets.exceptions.InvalidStatus) as caught:
        connect(url, additional_headers={"Authorization": f"Bearer {key}"})
    assert caught.value.response.status_code == status


def test_too_many_sessions_are_refused(live: Running, client: openai.OpenAI) -> None:
    with (
        client.realtime.connect(),
        client.realtime.connect(),
        pytest.raises(websockets.exceptions.InvalidStatus) as caught,
    ):
        client.realtime.connect().enter()
    assert caught.value.response.status_code == 429


def test_a_client_that_vanishes_leaves_no_session(live: Running) -> None:
    url = live.url.replace("http", "ws") + "/v1/realtime"
    socket = connect(url, additional_headers={"Authorization": "Bearer right"})
    audio = base64.b64encode((SAMPLES["short"].audio.samples * 32767).astype("<i2").tobytes()).decode()
    socket.send(json.dumps({"type": "input_audio_buffer.append", "audio": audio}))
    assert live.service.sessions.count >= 1
    socket.socket.close()
    wait_until(lambda: live.service.sessions.count == 0)


def test_what_was_heard_is_completed_when_the_server_shuts_down(transcriber: Transcriber) -> None:
    with (
        serving(transcriber) as server,
        openai.OpenAI(base_url=f"{server.url}/v1", api_key="none") as client,
        client.realtime.connect() as connection,
    ):
        connection.session.update(session=session())
        append(connection, SAMPLES["short"].audio.samples)
        until(connection, "conversation.item.input_audio_transcription.delta")
        server.service.admission.draining = True
        events = until(connection, "error")
    assert events[-1]["error"]["code"] == "shutting_down"
    assert END in {event["type"] for event in events}
