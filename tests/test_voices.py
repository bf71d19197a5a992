"""Known speakers: names by rules, samples that cannot be used, and voiceprints; and stretches of a recording."""

from itertools import pairwise
from typing import Any

import numpy as np
import pytest
import torch

from benchmarks.scores import der
from benchmarks.truth import read_truth
from tests.conftest import SAMPLES
from tests.voice_samples import data_uri, talk
from transcription.config import InferenceConfig
from transcription.context import RequestContext
from transcription.diarization import stretches
from transcription.diarization.naming import name_speakers
from transcription.diarization.pyannote import Diarizer, read_output
from transcription.diarization.result import Diarization
from transcription.errors import Cancelled, InvalidRequest
from transcription.transcriber import Transcriber
from transcription.transcript import SpeakerMatch, SpeakerTurn, Voiceprint

THRESHOLD = 0.9  # the demo's voices are synthetic, and some are alike


@pytest.fixture(scope="module")
def diarizer(diarizing_transcriber: Transcriber) -> Diarizer:
    assert isinstance(diarizing_transcriber.diarizer, Diarizer)
    return diarizing_transcriber.diarizer


def voice(*vector: float) -> Voiceprint:
    return Voiceprint.of("model", vector)


def found(*turns: tuple[str, float, float], **voices: Voiceprint) -> Diarization:
    parts = tuple(SpeakerTurn(*turn) for turn in turns)
    return Diarization(parts, parts, voiceprints=voices)


def config(**parameters: Any) -> InferenceConfig:
    return InferenceConfig.from_request({"known_speaker_threshold": THRESHOLD} | parameters)


class TestNames:
    """The rules of naming.py."""

    def test_a_stranger_stays_a_stranger(self) -> None:
        named = name_speakers(
            found(("SPEAKER_00", 0, 1), ("SPEAKER_01", 1, 2), SPEAKER_00=voice(0, 1), SPEAKER_01=voice(4, 3)),
            {"Maria": voice(1, 0)}, 0.5,
        )  # fmt: skip
        assert named == Diarization(
            turns=(SpeakerTurn("SPEAKER_00", 0, 1), SpeakerTurn("Maria", 1, 2)),
            exclusive=(SpeakerTurn("SPEAKER_00", 0, 1), SpeakerTurn("Maria", 1, 2)),
            voiceprints={"SPEAKER_00": voice(0, 1), "Maria": voice(4, 3)},
            matches=(SpeakerMatch("SPEAKER_00", "Maria", 0.0, 0.5), SpeakerMatch("Maria", "Maria", 0.8, 0.5)),
        )

    def test_without_known_speakers_and_without_turns_nothing_changes(self) -> None:
        someone = found(("SPEAKER_00", 0, 1), SPEAKER_00=voice(0, 1))
        assert name_speakers(someone, {}, 0.5) == someone
        assert name_speakers(Diarization(), {"Maria": voice(1, 0)}, 0.5) == Diarization()

    def test_two_voices_of_one_person_become_one(self) -> None:
        named = name_speakers(
            found(("SPEAKER_00", 0, 1), ("SPEAKER_01", 1, 2), SPEAKER_00=voice(4, 3), SPEAKER_01=voice(1, 0)),
            {"Maria": voice(1, 0)}, 0.5,
        )  # fmt: skip
        assert named.turns == named.exclusive == (SpeakerTurn("Maria", 0, 2),)
        assert named.voiceprints == {"Maria": voice(1, 0)}
        assert named.matches == (SpeakerMatch("Maria", "Maria", 1.0, 0.5),)

    def test_people_who_talk_at_the_same_time_are_two(self) -> None:
        named = name_speakers(
            found(("SPEAKER_00", 0, 2), ("SPEAKER_01", 1, 2), SPEAKER_00=voice(4, 3), SPEAKER_01=voice(1, 0)),
            {"Maria": voice(1, 0)}, 0.5,
        )  # fmt: skip
        assert named.turns == (SpeakerTurn("SPEAKER_00", 0, 2), SpeakerTurn("Maria", 1, 2))

    def test_the_label_of_a_stranger_is_no_name_of_a_known_speaker(self) -> None:
        named = name_speakers(
            found(("SPEAKER_00", 0, 1), ("SPEAKER_01", 1, 2), SPEAKER_01=voice(1, 0)), {"SPEAKER_00": voice(1, 0)}, 0.5
        )
        assert [turn.speaker for turn in named.turns] == ["SPEAKER_01", "SPEAKER_00"]


class TestSamples:
    """Samples of known speakers, with the demo pipeline."""

    def test_a_known_speaker_has_the_name_and_others_do_not(self, diarizer: Diarizer) -> None:
        sample = data_uri(talk("meeting", "speaker 2", 4).samples)
        named = diarizer.diarize(SAMPLES["meeting"].audio, config(known_speakers={"Maria": sample}))
        plain = diarizer.diarize(SAMPLES["meeting"].audio, InferenceConfig())
        assert {turn.speaker for turn in named.turns} == {"SPEAKER_00", "Maria", "SPEAKER_01"}
        assert [(turn.start, turn.end) for turn in named.turns] == [(turn.start, turn.end) for turn in plain.turns]
        words = [word for word in SAMPLES["meeting"].truth["words"] for turn in named.turns
                 if turn.speaker == "Maria" and turn.start + 0.2 <= word["start"] < turn.end - 0.2]  # fmt: skip
        assert {word["speaker"] for word in words} == {"speaker 2"}
        assert [match.speaker for match in named.matches if match.score >= THRESHOLD] == ["Maria"]

    def test_a_voiceprint_names_the_speaker_of_another_request(self, diarizer: Diarizer) -> None:
        first = diarizer.diarize(SAMPLES["meeting"].audio, config(voiceprints=True))
        known = {"Ada": first.voiceprints["SPEAKER_01"].to_document()}
        again = diarizer.diarize(SAMPLES["meeting"].audio, config(known_speakers=known))
        renamed = {"SPEAKER_00": "SPEAKER_00", "SPEAKER_01": "Ada", "SPEAKER_02": "SPEAKER_01"}
        assert [turn.speaker for turn in again.turns] == [renamed[turn.speaker] for turn in first.turns]

    def test_voices_are_only_compared_on_request(self, diarizer: Diarizer) -> None:
        plain = diarizer.diarize(SAMPLES["short"].audio, InferenceConfig())
        assert (plain.voiceprints, plain.matches) == ({}, ())

    @pytest.mark.parametrize(
        ("sample", "message"),
        [
            (np.zeros(48_000), "has no speech"),
            (talk("meeting", "speaker 2", 1).samples, "is too short: it has 1.0 s"),
            (np.zeros(31 * 16_000), "is too long"),
            ("bm8gYXVkaW8gYXQgYWxs", "is no audio file as base64 text or data URI"),
            ("Maria.wav", "is no audio file as base64 text or data URI"),
            (
                np.concatenate([talk("meeting", f"speaker {number}", 3.5).samples for number in (1, 2)]),
                "has several voices",
            ),
        ],
        ids=["silent", "short", "long", "text", "file name", "two people"],
    )  # fmt: skip
    def test_a_sample_that_cannot_be_used_is_named(
        self, diarizer: Diarizer, sample: np.ndarray | str, message: str
    ) -> None:
        reference = sample if isinstance(sample, str) else data_uri(sample)
        with pytest.raises(InvalidRequest) as caught:
            diarizer.diarize(SAMPLES["short"].audio, config(known_speakers={"Maria": reference}))
        advice = "send 2 to 30 s in which only this person talks"
        assert str(caught.value) == f"known_speakers: the sample of 'Maria' {message}: {advice}"
        assert caught.value.param == "known_speakers"

    def test_a_voiceprint_of_another_model_is_refused(self, diarizer: Diarizer) -> None:
        with pytest.raises(InvalidRequest, match=r"^known_speakers: the voiceprint of .Maria. is of another embedding"):
            diarizer.diarize(SAMPLES["short"].audio, config(known_speakers={"Maria": voice(1, 0)}))

    @pytest.mark.parametrize(
        "known",
        [["Maria"], "Maria", {"": "AAAA"}, {"Maria": 1}, {"Maria": {"embedding": "m", "vector": []}}, {"M" * 101: "A"},
         {f"{number}": "AAAA" for number in range(101)}, {"Maria": "AAAA", " Maria": "AAAA"}],
    )  # fmt: skip
    def test_wrong_known_speakers_name_the_parameter(self, known: Any) -> None:
        with pytest.raises(InvalidRequest, match="known_speakers"):
            config(known_speakers=known)

    @pytest.mark.parametrize("contradiction", [{"diarize": False}, {"multichannel": True}])
    def test_voices_need_diarization(self, contradiction: dict[str, bool]) -> None:
        with pytest.raises(InvalidRequest, match="need diarization"):
            config(voiceprints=True, **contradiction)

    def test_without_a_diarizer_known_speakers_are_refused(self, transcriber: Transcriber) -> None:
        with pytest.raises(InvalidRequest, match=r"^known_speakers needs speakers, and no diarization model is loaded"):
            transcriber.transcribe(SAMPLES["short"].audio, config(known_speakers={"Maria": "AAAA"}))

    def test_a_wrong_sample_is_the_error_of_the_transcription(self, diarizing_transcriber: Transcriber) -> None:
        with pytest.raises(InvalidRequest, match="is too short"):
            diarizing_transcriber.transcribe(
                SAMPLES["meeting"].audio, config(known_speakers={"Maria": data_uri(np.zeros(1000))})
            )


class TestStretches:
    """A recording in stretches has the turns of one call."""

    @pytest.mark.parametrize("counts", [{}, {"num_speakers": 2}, {"max_speakers": 1}])
    def test_the_turns_are_those_of_one_call(
        self, diarizer: Diarizer, counts: dict[str, int], monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(stretches, "STRETCH_CHUNKS", 32)
        audio = SAMPLES["conversation"].audio
        assert audio.duration > 48
        file = {"waveform": torch.from_numpy(audio.samples)[None], "sample_rate": audio.sample_rate}
        whole = read_output(diarizer.pipeline(file, **counts), counts)
        assert diarizer.diarize(audio, InferenceConfig.from_request(counts)) == whole

    def test_of_many_embeddings_some_are_clustered(self, diarizer: Diarizer, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(stretches, "MAX_CLUSTERED", 30)
        turns = diarizer.diarize(SAMPLES["conversation"].audio, InferenceConfig(num_speakers=3)).turns
        assert der(read_truth(SAMPLES["conversation"].path), turns) <= 0.15

    @pytest.mark.parametrize("length", [1, 1600, 80_000, 80_001, 96_000, 500_000, 803_200])
    @pytest.mark.parametrize("size", [1, 4, 1000])
    def test_every_chunk_is_in_one_stretch(self, length: int, size: int) -> None:
        parts = list(stretches.stretches(length, 16_000, 1.0, 5.0, size))
        assert parts[0][0] == 0
        assert parts[-1][1] == length
        assert all(start < end and start % 16_000 == 0 for start, end in parts)
        assert all(after[0] == before[0] + size * 16_000 for before, after in pairwise(parts))
        assert all(before[1] - after[0] == 64_000 for before, after in pairwise(parts[:-1]))

    def test_a_request_is_cancelled_between_stretches(
        self, diarizer: Diarizer, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(stretches, "STRETCH_CHUNKS", 32)
        done: list[float] = []

        def report(_: str, seconds: float, __: float) -> None:
            done.append(seconds)
            if seconds >= 32:
                context.cancel()

        context = RequestContext(report)
        with pytest.raises(Cancelled):
            diarizer.diarize(SAMPLES["conversation"].audio, InferenceConfig(), context)
        assert 32 <= done[-1] < SAMPLES["conversation"].audio.duration
