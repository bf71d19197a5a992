"""The benchmark of speakers on real conversations: its truth, its scores, its tables, and a run on the demo models."""

import json
import shutil
from pathlib import Path

import pytest

from benchmarks.scores import true_turns
from benchmarks.speakers.__main__ import collect
from benchmarks.speakers.assignments import ASSIGNMENTS
from benchmarks.speakers.conversations import Conversation, Utterance, choose, read_conversations
from benchmarks.speakers.report import report
from benchmarks.speakers.scoring import Counts, TurnScore, score_turns, score_words
from benchmarks.truth import read_truth
from tests.conftest import SAMPLES
from transcription.diarization.result import Diarization
from transcription.rttm import write_rttm
from transcription.transcriber import Transcriber
from transcription.transcript import Segment, SpeakerTurn, Transcript, Word

TURNS = (SpeakerTurn("Ada", 0.0, 2.0), SpeakerTurn("Bo", 2.0, 4.0))
TALK = Conversation(
    Path("talk.wav"), "en", TURNS, (Utterance("Ada", 0.0, 2.0, "Are you ready?"), Utterance("Bo", 2.0, 4.0, "I am.")),
)  # fmt: skip
WORDS = (
    Word(" Are", 0.0, 0.5), Word(" you", 0.5, 1.0), Word(" ready?", 1.0, 2.0), Word(" I", 2.0, 3.0),
    Word(" am.", 3.0, 4.0),
)  # fmt: skip
TRANSCRIPT = Transcript((Segment(" Are you ready? I am.", 0.0, 4.0, WORDS),), "en", 4.0)


def test_scores_of_turns() -> None:
    assert score_turns(TURNS, TURNS, 4.0) == TurnScore(Counts(0.0, 4.0), Counts(0.0, 2.0))
    one = score_turns(TURNS, (SpeakerTurn("A", 0.0, 4.0),), 4.0)
    assert (one.der, one.confused, one.missed) == (Counts(2.0, 4.0), 2.0, 0.0)
    assert score_turns((), (), 4.0).der.rate == 0.0


@pytest.mark.parametrize(
    ("turns", "expected"),
    [
        (TURNS, {"ours": 0, "most overlap (WhisperX)": 0, "nearest end (original handler)": 0}),
        # Bo's words go to Ada: they are inserted there, and missing at Bo.
        ((SpeakerTurn("A", 0.0, 4.0),), {"ours": 4, "most overlap (WhisperX)": 4}),
        ((), {"ours": 4, "most overlap (WhisperX)": 4, "nearest end (original handler)": 5}),
    ],
)
def test_scores_of_assignments(turns: tuple[SpeakerTurn, ...], expected: dict[str, int]) -> None:
    diarization = Diarization(turns, turns)
    for name, errors in expected.items():
        found = score_words(TALK, ASSIGNMENTS[name](TRANSCRIPT, diarization, TALK))
        assert (name, found.cp) == (name, Counts(errors, 5))
    assert score_words(TALK, ASSIGNMENTS["ours, true turns"](TRANSCRIPT, diarization, TALK)).cp == Counts(0, 5)


def test_words_without_speakers_are_counted() -> None:
    assert score_words(TALK, WORDS).without_speaker == 5
    assert score_words(TALK, WORDS).wer == Counts(0, 5)


def test_a_run_on_the_demo_models_is_kept_and_reported(tmp_path: Path, diarizing_transcriber: Transcriber) -> None:
    truth = read_truth(SAMPLES["meeting"].path)
    shutil.copy(SAMPLES["meeting"].path, tmp_path)
    (tmp_path / "meeting.rttm").write_text(write_rttm(true_turns(truth), "meeting"))
    words = [{"speaker": w.speaker, "start": w.start, "end": w.end, "text": w.word} for w in truth.words]
    (tmp_path / "meeting.json").write_text(json.dumps(words))
    line = {"file": "meeting.flac", "language": "en", "rttm": "meeting.rttm", "turns": "meeting.json"}
    (tmp_path / "manifest.jsonl").write_text(f"{json.dumps(line)}\n" + json.dumps({"file": "x", "language": "en"}))
    conversations = read_conversations(tmp_path / "manifest.jsonl")
    assert (choose(conversations, ["other"], None), choose(conversations, ["meet"], 1)) == ([], conversations)
    diarizer = diarizing_transcriber.diarizer
    assert diarizer is not None
    outcomes = [collect(one, diarizing_transcriber, diarizer, tmp_path / "out") for one in conversations]
    text = report(outcomes)
    assert "| meeting | 3 of 3 |" in text
    assert all(f"| {name} | told |" in text for name in ASSIGNMENTS)
    kept = collect(conversations[0], diarizing_transcriber, diarizer, tmp_path / "out")
    assert report([kept]) == text
