"""The openai client against a running server: speakers that it knows by their voices."""

from collections.abc import Iterator
from typing import Any

import numpy as np
import openai
import pytest
from openai.types.audio import (
    TranscriptionDiarized,
)

from tests.openai_clients import MEETING, openai_client
from tests.serving import Running
from tests.voice_samples import data_uri, talk


@pytest.fixture
def client(server: Running) -> Iterator[openai.OpenAI]:
    """Yield OpenAI's client with the base URL of the server."""
    with openai_client(server.url) as client:
        yield client


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
