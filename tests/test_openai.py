"""The openai client against a running server: transcriptions, translations, streams and models."""

from collections.abc import Iterator
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
from tests.openai_clients import GERMAN, LONG, MEETING, SHORT, openai_client, transcribed
from tests.serving import Running, until
from transcription.context import RequestContext
from transcription.formats import FORMATS, formats_of


@pytest.fixture
def client(server: Running) -> Iterator[openai.OpenAI]:
    """Yield OpenAI's client with the base URL of the server."""
    with openai_client(server.url) as client:
        yield client


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
    file = ("a.flac", encoded(np.tile(SAMPLES["long"].audio.samples, 3), "flac"))
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


def test_model_is_listed(client: openai.OpenAI) -> None:
    [model] = client.models.list().data
    assert (model.id, model.object, model.owned_by) == ("demo-whisper", "model", "demo-whisper")
    assert client.models.retrieve("demo-whisper") == model
    with pytest.raises(openai.NotFoundError, match="this service has demo-whisper"):
        client.models.retrieve("gpt-4")
