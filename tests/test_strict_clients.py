"""Clients whose schemas are strict about types, and requests that are malformed."""

import base64
import json
from typing import Annotated, Any

import httpx
import pytest
from pydantic import BaseModel, ConfigDict, Field
from websockets.sync.client import connect
from websockets.typing import Subprotocol

from tests.conftest import DEMO, SAMPLES
from tests.serving import Running, serving
from transcription.config import ModelSettings
from transcription.formats import FORMATS
from transcription.transcriber import Transcriber
from transcription.transcript import Segment, SpeakerTurn, Transcript

AUDIO = "/v1/audio/transcriptions"
Number = Annotated[float, Field(allow_inf_nan=False)]


class _Strict(BaseModel):
    model_config = ConfigDict(strict=True)


class AiSdkSegment(_Strict):
    """A segment in the schema of Vercel's AI SDK (@ai-sdk/openai 3 and 4)."""

    id: Number
    seek: Number
    start: Number
    end: Number
    text: str
    tokens: list[Number]
    temperature: Number
    avg_logprob: Number
    compression_ratio: Number
    no_speech_prob: Number


class AiSdkWord(_Strict):
    """A word in the same schema."""

    word: str
    start: Number
    end: Number


class AiSdkTranscription(_Strict):
    """The answer in the same schema."""

    text: str
    language: str | None = None
    duration: Number | None = None
    words: list[AiSdkWord] | None = None
    segments: list[AiSdkSegment] | None = None


def read(server: Running, sample: str, **fields: Any) -> AiSdkTranscription:
    """Return the answer to the form that the SDK sends."""
    files = {"file": ("audio.wav", SAMPLES[sample].path.read_bytes(), "audio/wav")}
    answer = httpx.post(server.url + AUDIO, files=files, data={"model": "whisper-1", **fields}, timeout=60)
    return AiSdkTranscription.model_validate_json(answer.content)


@pytest.mark.parametrize(
    "fields",
    [
        {"response_format": "verbose_json"},
        {"response_format": "verbose_json", "temperature": "0", "timestamp_granularities[]": "segment"},
        {"temperature": "0", "timestamp_granularities": "segment"},  # the first version has no response_format
    ],
)
def test_the_ai_sdk_reads_segments_and_language(server: Running, fields: dict[str, str]) -> None:
    """Regression: a request for times without a format had neither."""
    answer = read(server, "short", **fields)
    assert (answer.language, len(answer.segments or ())) == ("english", 2)


def test_the_ai_sdk_reads_words(server: Running) -> None:
    assert len(read(server, "short", timestamp_granularities="word,segment").words or ()) == 14


def test_the_ai_sdk_reads_silence(server: Running) -> None:
    answer = read(server, "silence", response_format="verbose_json")
    assert (answer.text, answer.segments, type(answer.language)) == ("", [], str)


def test_the_ai_sdk_streams_a_recording(server: Running) -> None:
    """The messages of its streaming transcription, which ends with the first item."""
    audio = {
        "format": {"type": "audio/pcm", "rate": 16_000},
        "transcription": {"model": "gpt-realtime-whisper", "language": "en", "delay": "low"},
        "turn_detection": None,
    }
    samples = (SAMPLES["short"].audio.samples * 32767).astype("<i2").tobytes()
    url = server.url.replace("http", "ws") + "/v1/realtime?intent=transcription"
    with connect(url, subprotocols=[Subprotocol("realtime"), Subprotocol("openai-insecure-api-key.none")]) as socket:
        socket.send(
            json.dumps({"type": "session.update", "session": {"type": "transcription", "audio": {"input": audio}}})
        )
        socket.send(json.dumps({"type": "input_audio_buffer.append", "audio": base64.b64encode(samples).decode()}))
        socket.send(json.dumps({"type": "input_audio_buffer.commit"}))
        events: list[dict[str, Any]] = []
        while not events or not events[-1]["type"].endswith((".completed", "error")):
            events.append(json.loads(socket.recv(60)))
    deltas = "".join(event["delta"] for event in events if event["type"].endswith("transcription.delta"))
    assert deltas.split()[:2] == ["Sarah", "wants"]
    assert events[-1]["transcript"].startswith("Sarah wants to finish the budget later.")


def test_a_segment_without_scores_has_numbers() -> None:
    document = FORMATS["verbose_json"].render(Transcript((Segment(" Yes.", 0, 1),)))
    assert isinstance(document, dict)
    AiSdkSegment.model_validate(document["segments"][0])


@pytest.mark.parametrize("turns", [None, (), (SpeakerTurn("SPEAKER_00", 0, 1),)])
def test_the_speaker_of_diarized_json_is_always_text(turns: Any) -> None:
    document = FORMATS["diarized_json"].render(Transcript((Segment(" Yes.", 0, 1),), turns=turns))
    assert isinstance(document, dict)
    assert [segment["speaker"] for segment in document["segments"]] == ["unknown"]


@pytest.mark.parametrize("size", [10, 100_000])
def test_a_file_without_a_name_is_said_as_such(server: Running, size: int) -> None:
    """Regression: a long one was "Part exceeded maximum size of 64KB"."""
    head = b'--x\r\nContent-Disposition: form-data; name="file"\r\nContent-Type: audio/wav\r\n\r\n'
    answer = httpx.post(
        server.url + AUDIO,
        content=head + bytes(size) + b"\r\n--x--\r\n",
        headers={"content-type": "multipart/form-data; boundary=x"},
    )
    assert (answer.status_code, answer.json()["error"]["message"]) == (
        400,
        'the multipart body cannot be read: the part "file" has no file name: add filename="…" to its'
        " Content-Disposition",
    )


def test_a_refused_audio_url_names_messages(server: Running) -> None:
    part = {"type": "audio_url", "audio_url": {"url": "http://example.org/a.wav"}}
    answer = httpx.post(f"{server.url}/v1/chat/completions", json={"messages": [{"role": "user", "content": [part]}]})
    assert (answer.status_code, answer.json()["error"]["param"]) == (400, "messages")


def test_a_missing_key_has_a_challenge() -> None:
    transcriber = Transcriber(ModelSettings.from_environment(asr_model=str(DEMO)))
    with serving(transcriber, api_keys="secret") as server:
        answers = [httpx.post(server.url + path) for path in (AUDIO, "/")]
    assert [(answer.status_code, answer.headers["www-authenticate"]) for answer in answers] == [(401, "Bearer")] * 2
