"""The openai client against a running server."""

import base64
import contextlib
import http.server
import json
import threading
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import openai
import pytest
from openai.types.audio import (
    Transcription,
    TranscriptionDiarized,
    TranscriptionTextDeltaEvent,
    TranscriptionTextDoneEvent,
    TranscriptionVerbose,
)

from benchmarks.encoding import encoded
from tests.conftest import SAMPLES
from tests.serving import Running, until
from tests.voice_samples import data_uri, talk
from transcription.audio import decode_audio
from transcription.config import InferenceConfig
from transcription.context import RequestContext
from transcription.formats import FORMATS, formats_of
from transcription.server.fetching import Fetcher
from transcription.transcriber import Transcriber
from transcription.transcript import Transcript

SHORT, MEETING, LONG, GERMAN = (SAMPLES[name].path for name in ("short", "meeting", "long", "german"))


@pytest.fixture
def client(server: Running) -> Iterator[openai.OpenAI]:
    """Yield OpenAI's client with the base URL of the server."""
    with openai.OpenAI(base_url=f"{server.url}/v1", api_key="none", max_retries=0) as client:
        yield client


class _QuietHandler(http.server.SimpleHTTPRequestHandler):
    def log_message(self, *_: object) -> None:
        pass


@contextlib.contextmanager
def folder_served(folder: Path) -> Iterator[str]:
    """Serve the files of a folder over HTTP."""
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), partial(_QuietHandler, directory=folder)) as files:
        thread = threading.Thread(target=files.serve_forever)
        thread.start()
        yield f"http://127.0.0.1:{files.server_port}"
        files.shutdown()
        thread.join()


def transcribed(server: Running, path: Any = SHORT, **config: Any) -> Transcript:
    """Return the transcript of the same service without HTTP."""
    transcriber: Transcriber = server.service.transcriber
    return transcriber.transcribe(decode_audio(path.read_bytes()), InferenceConfig(**config))


def test_json_has_text_languages_and_usage(server: Running, client: openai.OpenAI) -> None:
    answer = client.audio.transcriptions.create(model="whisper-1", file=SHORT)
    transcript = transcribed(server, diarize=False)
    assert isinstance(answer, Transcription)
    assert answer.to_dict() == {
        "text": transcript.text,
        "languages": [{"code": "en"}],
        "usage": {"type": "duration", "seconds": round(transcript.duration, 3)},
    }


@pytest.mark.parametrize("form", [name for name, row in formats_of("openai").items() if row.document is str])
def test_text_formats_are_sent_as_they_are(server: Running, client: openai.OpenAI, form: Any) -> None:
    raw = client.audio.transcriptions.with_raw_response.create(model="whisper-1", file=SHORT, response_format=form)
    assert raw.headers["content-type"] == FORMATS[form].media_type
    row = FORMATS[form]
    timestamps, diarize = "word" if row.needs_words else "segment", None if row.shows_speakers else False
    transcript = transcribed(server, timestamps=timestamps, diarize=diarize)
    assert raw.text == FORMATS[form].render(transcript)


@pytest.mark.parametrize(
    ("granularities", "keys"),
    [
        ([], {"segments"}),
        (["segment"], {"segments"}),
        (["word"], {"words"}),
        (["word", "segment"], {"words", "segments"}),
    ],
)
def test_verbose_json_has_the_requested_granularities(
    client: openai.OpenAI, granularities: Any, keys: set[str]
) -> None:
    answer = client.audio.transcriptions.create(
        model="whisper-1", file=SHORT, response_format="verbose_json", timestamp_granularities=granularities
    )
    assert isinstance(answer, TranscriptionVerbose)
    TranscriptionVerbose.model_validate(answer.to_dict())
    assert {"segments", "words"} & answer.to_dict().keys() == keys
    assert (answer.language, round(answer.duration, 2)) == ("english", 6.77)
    if answer.words:
        assert " ".join(word.word for word in answer.words) == answer.text
        assert all(word.speaker == "SPEAKER_00" for word in answer.words)  # type: ignore[attr-defined]


def test_diarized_json_names_the_speakers(client: openai.OpenAI) -> None:
    answer = client.audio.transcriptions.create(
        model="whisper-1", file=MEETING, response_format="diarized_json", chunking_strategy="auto"
    )
    assert isinstance(answer, TranscriptionDiarized)
    TranscriptionDiarized.model_validate(answer.to_dict())
    assert [segment.speaker for segment in answer.segments] == ["A", "B", "C", "A", "B", "C"]
    assert "".join(segment.text for segment in answer.segments).strip() == answer.text


def test_num_speakers_limits_the_speakers(client: openai.OpenAI) -> None:
    answer = client.audio.transcriptions.create(
        model="whisper-1", file=MEETING, response_format="diarized_json", extra_body={"num_speakers": 1}
    )
    assert {segment.speaker for segment in answer.segments} == {"A"}


def test_logprobs_join_to_the_text(client: openai.OpenAI) -> None:
    answer = client.audio.transcriptions.create(model="whisper-1", file=SHORT, include=["logprobs"])
    tokens = answer.logprobs or []
    assert b"".join(bytes(map(int, token.bytes or ())) for token in tokens).decode().strip() == answer.text
    assert all(token.logprob is not None and token.logprob <= 0 for token in tokens)


def test_languages_limit_the_detection(client: openai.OpenAI) -> None:
    answer = client.audio.transcriptions.create(
        model="whisper-1", file=GERMAN, languages=["en"], keywords=["Peter"], prompt=""
    )
    assert [language.code for language in answer.languages or ()] == ["en"]


def test_server_vad_sets_the_vad_filter(server: Running, client: openai.OpenAI) -> None:
    answer = client.audio.transcriptions.create(
        model="whisper-1", file=LONG, chunking_strategy={"type": "server_vad", "silence_duration_ms": 500}
    )
    config = {"vad_filter": True, "vad_threshold": 0.5, "vad_silence_ms": 500, "vad_padding_ms": 300}
    assert answer.text == transcribed(server, LONG, diarize=False, **config).text


@pytest.mark.parametrize("form", [name for name, row in formats_of("openai").items() if row.streams])
def test_deltas_of_a_stream_join_to_the_text(client: openai.OpenAI, form: Any) -> None:
    events = list(client.audio.transcriptions.create(model="whisper-1", file=LONG, response_format=form, stream=True))
    deltas = [event.delta for event in events if isinstance(event, TranscriptionTextDeltaEvent)]
    done = events[-1]
    assert isinstance(done, TranscriptionTextDoneEvent)
    TranscriptionTextDoneEvent.model_validate(done.to_dict())
    whole = client.audio.transcriptions.create(
        model="whisper-1", file=LONG, **({"response_format": form} if form == "diarized_json" else {})
    )
    assert len(deltas) > 1
    assert "".join(deltas) == done.text == whole.text
    if form == "diarized_json":
        segments = [event.to_dict() for event in events if event.type == "transcript.text.segment"]
        assert segments == whole.to_dict()["segments"]


def test_stream_begins_before_the_transcript_is_finished(client: openai.OpenAI, server: Running) -> None:
    file = ("a.flac", encoded(np.tile(SAMPLES["long"].audio.samples, 6), "flac"))
    with client.audio.transcriptions.create(model="whisper-1", file=file, stream=True) as stream:
        assert next(iter(stream)).type == "transcript.text.delta"
        assert server.service.admission.running == 1
    until(lambda: bool(server.service.admission.running == 0))


@pytest.mark.parametrize("stream", [True, False])
def test_only_a_stream_has_a_streaming_context(
    client: openai.OpenAI, server: Running, stream: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    contexts: list[RequestContext] = []
    begin = server.service.begin

    def record(request: Any, work: Any, context: RequestContext) -> Any:
        contexts.append(context)
        return begin(request, work, context)

    monkeypatch.setattr(server.service, "begin", record)
    answer = client.audio.transcriptions.create(model="whisper-1", file=SHORT, stream=stream)
    if stream:
        list(answer)
    assert [context.is_streaming for context in contexts] == [stream]


def test_stream_has_logprobs(client: openai.OpenAI) -> None:
    events = list(client.audio.transcriptions.create(model="whisper-1", file=LONG, stream=True, include=["logprobs"]))
    tokens = [token.to_dict() for event in events[:-1] for token in event.logprobs or ()]  # type: ignore[union-attr]
    assert tokens == [token.to_dict() for token in events[-1].logprobs or ()]  # type: ignore[union-attr]
    assert "".join(token["token"] for token in tokens).strip() == events[-1].text  # type: ignore[misc,union-attr]


def test_every_format_accepts_segment_granularity(client: openai.OpenAI) -> None:
    create = client.audio.transcriptions.create
    assert create(model="whisper-1", file=SHORT, timestamp_granularities=["segment"]).text


def test_silence_gives_an_empty_document(client: openai.OpenAI) -> None:
    silence = SAMPLES["silence"].path
    create = client.audio.transcriptions.create
    assert create(model="whisper-1", file=silence).text == ""
    assert create(model="whisper-1", file=silence, response_format="text") == ""
    assert create(model="whisper-1", file=silence, response_format="srt") == ""
    assert create(model="whisper-1", file=silence, response_format="vtt") == "WEBVTT\n"
    [done] = list(create(model="whisper-1", file=silence, stream=True))
    assert (done.type, done.text) == ("transcript.text.done", "")  # type: ignore[union-attr]


def test_ignored_parameters_are_named(client: openai.OpenAI) -> None:
    extra = {"user": "me", "top_p": 1, "max_completion_tokens": 5, "hotwords": "Sarah", "seed": -1}
    answer = client.audio.transcriptions.create(model="whisper-1", file=SHORT, extra_body=extra)
    assert answer.to_dict()["warnings"] == [
        "ignored parameters without effect here: max_completion_tokens, top_p, user"
    ]
    [*_, done] = client.audio.transcriptions.create(model="whisper-1", file=SHORT, stream=True, extra_query={"a": 1})
    assert done.to_dict()["warnings"] == ["the query string is ignored: send form fields"]


@pytest.mark.filterwarnings("ignore:deprecated:DeprecationWarning")  # the client calls all translations so
def test_translation_is_in_english(server: Running, client: openai.OpenAI) -> None:
    answer = client.audio.translations.create(model="whisper-1", file=GERMAN)
    assert answer.text == transcribed(server, GERMAN, task="translate", diarize=False).text
    verbose = client.audio.translations.create(model="whisper-1", file=GERMAN, response_format="verbose_json")
    assert verbose.language == "english"
    srt = client.audio.translations.create(model="whisper-1", file=GERMAN, response_format="srt")
    assert str(srt).startswith("1\n00:00:0")


class TestKnownSpeakers:
    """known_speaker_names and known_speaker_references, as OpenAI's client sends them."""

    def create(self, client: openai.OpenAI, names: list[str], references: list[str], **parameters: Any) -> Any:
        return client.audio.transcriptions.create(
            model="gpt-4o-transcribe-diarize", file=MEETING, known_speaker_names=names,
            known_speaker_references=references,
            **{"response_format": "diarized_json", "extra_body": {"known_speaker_threshold": 0.9}} | parameters,
        )  # fmt: skip

    def test_known_speakers_have_their_names(self, client: openai.OpenAI) -> None:
        samples = [data_uri(talk("meeting", f"speaker {number}", 4).samples) for number in (2, 3)]
        answer = self.create(client, ["Lee, Maria", "B"], samples)
        assert isinstance(answer, TranscriptionDiarized)
        assert {segment.speaker for segment in answer.segments} == {"Lee, Maria", "B", "A"}
        matches = answer.to_dict()["known_speakers"]
        assert isinstance(matches, list)
        assert {one["speaker"]: one["score"] >= one["threshold"] == 0.9 for one in matches} == {
            "B": True, "Lee, Maria": True, "A": False,
        }  # fmt: skip
        assert "voiceprints" not in answer.to_dict()

    def test_a_stranger_stays_a_stranger(self, client: openai.OpenAI) -> None:
        sample = data_uri(talk("short", "speaker 1", 5).samples)
        answer = self.create(client, ["Maria"], [sample], response_format="verbose_json")
        assert {segment["speaker"] for segment in answer.to_dict()["segments"]} == {
            "SPEAKER_00", "SPEAKER_01", "SPEAKER_02",
        }  # fmt: skip

    def test_a_stream_ends_with_the_names(self, client: openai.OpenAI) -> None:
        events = list(self.create(client, ["Maria"], [data_uri(talk("meeting", "speaker 3", 4).samples)], stream=True))
        segments = [event for event in events if event.type == "transcript.text.segment"]
        assert {segment.speaker for segment in segments} == {"Maria", "A", "B"}
        assert events[-1].to_dict()["known_speakers"][0]["speaker"] == "Maria"

    @pytest.mark.parametrize(
        ("names", "references", "param", "message"),
        [
            (["Maria"], [], "known_speaker_names", "known_speaker_names has 1 names and known_speaker_references 0"),
            ([], ["AAAA"], "known_speaker_names", "known_speaker_names has 0 names and known_speaker_references 1"),
            (["Ada", "Ada"], ["AAAA", "AAAA"], "known_speaker_names", "known_speaker_names has a name twice"),
            (list("ABCDE"), ["AAAA"] * 5, "known_speaker_names", "known_speaker_names: send at most 4, not 5"),
            (["Maria"], ["data:audio/wav;base64,AAAA"], "known_speaker_references",
             "known_speaker_references: the sample of 'Maria' is no audio file"),
            (["Maria"], [data_uri(np.zeros(32_000))], "known_speaker_references",
             "known_speaker_references: the sample of 'Maria' has no speech"),
            (["Maria"], [data_uri(np.zeros(500_000))], "known_speaker_references",
             "known_speaker_references: the sample of 'Maria' is too long"),
        ],
        ids=["no sample", "no name", "one name twice", "five", "no audio", "silent", "long"],
    )  # fmt: skip
    def test_wrong_known_speakers_are_named(
        self, client: openai.OpenAI, names: list[str], references: list[str], param: str, message: str
    ) -> None:
        with pytest.raises(openai.BadRequestError) as caught:
            self.create(client, names, references)
        assert caught.value.param == param
        assert str(caught.value.body["message"]).startswith(message)  # type: ignore[index]


class TestErrors:
    """Errors have the shape of OpenAI's and name the wrong parameter."""

    @pytest.mark.parametrize(
        ("parameters", "param", "message"),
        [
            ({"language": "xx"}, "language", "the model does not know the language 'xx': choose one of de, en"),
            ({"response_format": "mp3"}, "response_format", "response_format: must be json, text"),
            (
                {"response_format": "json", "timestamp_granularities": ["word"]},
                None,
                "timestamp_granularities word needs response_format",
            ),
            ({"include": ["logprobs"], "response_format": "text"}, None, "include logprobs needs"),
            ({"stream": True, "response_format": "srt"}, None, "stream needs response_format json, text"),
            ({"temperature": 3}, "temperature", "temperature: Input should be less than or equal to 1"),
            ({"chunking_strategy": {"type": "mine"}}, "chunking_strategy", "chunking_strategy.type: Input should be"),
            ({"extra_body": {"known_speakers": "{}"}}, "known_speakers", "known_speakers has no effect here"),
            ({"extra_body": {"voiceprints": True}}, None, "voiceprints need response_format verbose_json or diarized"),
            ({"extra_body": {"vad": True}}, "vad", "unknown parameter 'vad': leave it out"),
            ({"extra_body": {"task": "translate"}}, "task", "task has no effect here"),
            ({"extra_body": {"num_speakers": 2}}, None, "speakers need response_format srt, vtt"),
            ({"extra_body": {"batch_size": 0}}, "batch_size", "batch_size: Input should be greater"),
        ],
    )
    def test_wrong_parameter_is_named(
        self, client: openai.OpenAI, parameters: dict[str, Any], param: str, message: str
    ) -> None:
        with pytest.raises(openai.BadRequestError) as caught:
            client.audio.transcriptions.create(model="whisper-1", file=SHORT, **parameters)
        body = caught.value.body
        assert isinstance(body, dict)
        assert (body["type"], body["param"]) == ("invalid_request_error", param)
        assert body["message"].startswith(message)

    @pytest.mark.parametrize("data", [b"", b"no audio", SHORT.read_bytes()[:44], b"#EXTM3U\n/etc/passwd\n"])
    def test_unreadable_audio_is_refused(self, client: openai.OpenAI, data: bytes) -> None:
        with pytest.raises(openai.BadRequestError) as caught:
            client.audio.transcriptions.create(model="whisper-1", file=("a.wav", data))
        assert (caught.value.param, caught.value.code) == ("file", "invalid_audio")
        assert caught.value.response.headers["x-should-retry"] == "false"

    def test_error_before_the_first_event_of_a_stream_has_a_status(self, client: openai.OpenAI) -> None:
        with pytest.raises(openai.BadRequestError):
            client.audio.transcriptions.create(model="whisper-1", file=("a.wav", b"no audio"), stream=True)


def test_model_is_listed(client: openai.OpenAI) -> None:
    [model] = client.models.list().data
    assert (model.id, model.object, model.owned_by) == ("demo-whisper", "model", "demo-whisper")
    assert client.models.retrieve("demo-whisper") == model
    with pytest.raises(openai.NotFoundError, match="this service has demo-whisper"):
        client.models.retrieve("gpt-4")


class TestChat:
    """Chat completions with audio as a part of a message."""

    @staticmethod
    def message(**part: Any) -> list[Any]:
        return [{"role": "user", "content": [part]}]

    @staticmethod
    def base64_of_short() -> str:
        return base64.b64encode(SHORT.read_bytes()).decode()

    def test_input_audio_is_transcribed(self, server: Running, client: openai.OpenAI) -> None:
        audio = {"data": self.base64_of_short(), "format": "wav"}
        answer = client.chat.completions.create(
            model="whisper-1", messages=self.message(type="input_audio", input_audio=audio)
        )
        assert answer.choices[0].message.content == transcribed(server, diarize=False).text
        assert answer.usage is not None
        assert answer.usage.total_tokens == answer.usage.prompt_tokens + answer.usage.completion_tokens

    def test_data_url_is_transcribed_as_a_stream(self, server: Running, client: openai.OpenAI) -> None:
        url = f"data:audio/wav;base64,{self.base64_of_short()}"
        chunks = list(
            client.chat.completions.create(
                model="whisper-1", messages=self.message(type="audio_url", audio_url={"url": url}),
                stream=True, stream_options={"include_usage": True},
            )
        )  # fmt: skip
        text = "".join(chunk.choices[0].delta.content or "" for chunk in chunks if chunk.choices)
        assert text == transcribed(server, diarize=False).text
        assert chunks[-2].choices[0].finish_reason == "stop"
        assert chunks[-1].usage is not None

    def test_url_of_an_allowed_host_is_downloaded(
        self, server: Running, client: openai.OpenAI, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        (tmp_path / "short.wav").write_bytes(SHORT.read_bytes())
        monkeypatch.setattr(server.service, "fetcher", Fetcher(("127.0.0.1",), lambda _: True))
        with folder_served(tmp_path) as url:
            answer = client.chat.completions.create(
                model="whisper-1", messages=self.message(type="audio_url", audio_url={"url": f"{url}/short.wav"})
            )
        assert answer.choices[0].message.content == transcribed(server, diarize=False).text

    @pytest.mark.parametrize("stream", [False, True])
    def test_audio_that_cannot_be_decoded_is_in_the_messages(self, client: openai.OpenAI, stream: Any) -> None:
        audio = {"data": base64.b64encode(b"no audio" * 1000).decode(), "format": "wav"}
        messages: Any = self.message(type="input_audio", input_audio=audio)
        with pytest.raises(openai.BadRequestError) as caught:
            client.chat.completions.create(model="whisper-1", messages=messages, stream=stream)
        assert (caught.value.param, caught.value.code) == ("messages", "invalid_audio")

    def test_parameters_of_the_transcription_are_accepted(self, client: openai.OpenAI) -> None:
        audio = {"data": base64.b64encode(GERMAN.read_bytes()).decode(), "format": "ogg"}
        answer = client.chat.completions.create(
            model="whisper-1", messages=self.message(type="input_audio", input_audio=audio),
            extra_body={"task": "translate"},
        )  # fmt: skip
        assert "Good morning Julia" in (answer.choices[0].message.content or "")

    def test_text_part_gives_a_warning(self, client: openai.OpenAI) -> None:
        parts = [
            {"type": "text", "text": "What is said?"},
            {"type": "input_audio", "input_audio": {"data": self.base64_of_short(), "format": "wav"}},
        ]
        messages: Any = [{"role": "user", "content": parts}]
        answer = client.chat.completions.create(model="whisper-1", messages=messages)
        assert answer.to_dict()["warnings"] == ["text parts are ignored: send prompt beside messages"]

    @pytest.mark.parametrize(
        ("messages", "message"),
        [
            ([], "send one input_audio or audio_url part, not 0"),
            ([{"role": "user", "content": "hello"}], "send one input_audio or audio_url part, not 0"),
            ([{"role": "user", "content": 5}], "content must be text or a list of parts"),
            ("hello", "messages must be a list of messages"),
            (message(type="input_audio", input_audio={}), "input_audio.data is missing"),
            (message(type="audio_url", audio_url={"url": "file:///etc/passwd"}), "audio_url must be a data: or http"),
            (message(type="audio_url", audio_url={"url": "http://example.org/a.wav"}), "this host is not allowed"),
            (message(type="input_audio", input_audio={"data": "!!"}), "the audio is neither an audio file nor base64"),
        ],
    )
    def test_messages_without_readable_audio_are_refused(
        self, client: openai.OpenAI, messages: Any, message: str
    ) -> None:
        with pytest.raises(openai.BadRequestError) as caught:
            client.chat.completions.create(model="whisper-1", messages=messages)
        assert caught.value.body["message"].startswith(message)  # type: ignore[index]

    @pytest.mark.parametrize("wrong", [{"n": 2}, {"response_format": {"type": "json_object"}}, {"logprobs": True}])
    def test_parameters_without_effect_are_refused(self, client: openai.OpenAI, wrong: dict[str, Any]) -> None:
        audio = {"data": self.base64_of_short(), "format": "wav"}
        messages = self.message(type="input_audio", input_audio=audio)
        with pytest.raises(openai.BadRequestError) as caught:
            client.chat.completions.create(model="whisper-1", messages=messages, **wrong)
        assert caught.value.param == next(iter(wrong))


def test_client_retries_only_if_the_server_says_so(server: Running) -> None:
    decisions: list[tuple[int, str]] = []

    class RecordingClient(openai.OpenAI):
        def _should_retry(self, response: Any) -> bool:
            retries = super()._should_retry(response)
            decisions.append((response.status_code, json.dumps(retries)))
            return retries

    with RecordingClient(base_url=f"{server.url}/v1", api_key="none", max_retries=1) as client:
        with pytest.raises(openai.BadRequestError):
            client.audio.transcriptions.create(model="whisper-1", file=("a.wav", b"no audio"))
        admission = server.service.admission
        settings, admission.settings = admission.settings, admission.settings.model_copy(update={"max_uploads": 0})
        try:
            with pytest.raises(openai.RateLimitError) as caught:
                client.audio.transcriptions.create(model="whisper-1", file=SHORT)
        finally:
            admission.settings = settings
    assert int(caught.value.response.headers["retry-after"]) >= 1
    assert decisions == [(400, "false"), (429, "true")]
