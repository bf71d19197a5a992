"""How transcripts and turns are score: DER, WER, cpWER and tcpWER. For the evaluation, the benchmarks, the tests."""

from collections.abc import Iterable
from typing import Any

import jiwer
import meeteval
from pyannote.core import Annotation, Segment
from pyannote.metrics.diarization import DiarizationErrorRate

from tools.samples import Truth
from tools.sentences import words_of
from transcription.transcript import SpeakerTurn, Transcript, Word

COLLAR = 5.0  # seconds that tcpWER forgives a word


def strict_der() -> Any:
    """A diarization error rate without mercy: no collar, overlap scored."""
    return DiarizationErrorRate(collar=0.0, skip_overlap=False)


def annotation(turns: Iterable[SpeakerTurn]) -> Annotation:
    """Turns as pyannote.metrics reads them."""
    made = Annotation(uri="audio")
    for number, turn in enumerate(turns):
        made[Segment(turn.start, turn.end), number] = turn.speaker
    return made


def true_turns(truth: Truth) -> list[SpeakerTurn]:
    """Who speaks when; for a recording without overlap the sentences, by the speaker of their words."""
    if truth.turns:
        return [SpeakerTurn(*turn) for turn in truth.turns]
    return [
        SpeakerTurn(next(word.speaker for word in truth.words if start <= word.start < end), start, end)
        for start, end, _ in truth.segments
    ]


def der(truth: Truth, found: Iterable[SpeakerTurn]) -> float:
    """Diarization error rate of one recording."""
    region = Segment(0, truth.duration)
    return float(strict_der()(annotation(true_turns(truth)), annotation(found), uem=region))


def wer(truth: Truth, transcript: Transcript) -> float:
    """Word error rate, the sentences in the order in which they begin."""
    said = " ".join(word for _, _, text in truth.segments for word in words_of(text))
    return float(jiwer.wer(said, " ".join(words_of(transcript.text))))


def cp_wer(truth: Truth, heard: Iterable[Word]) -> tuple[float, float]:
    """cpWER (Watanabe et al. 2020): every speaker's words against one speaker's; and tcpWER, which also
    wants them at their time (von Neumann et al. 2023)."""
    reference = [_row(word.speaker, word.word, word.start, word.end) for word in truth.words]
    found = [_row(str(word.speaker), text, word.start, word.end) for word in heard for text in words_of(word.word)]
    sides = [meeteval.io.SegLST(sorted(side, key=lambda row: row["start_time"])) for side in (reference, found)]
    plain = meeteval.wer.cpwer(*sides)["audio"].error_rate
    timed = meeteval.wer.tcpwer(*sides, collar=COLLAR)
    return float(plain), float(timed["audio"].error_rate)


def _row(speaker: str, word: str, start: float, end: float) -> dict[str, Any]:
    return {
        "session_id": "audio", "speaker": speaker, "words": word.lower(),
        "start_time": start, "end_time": max(end, start + 0.01),
    }  # fmt: skip
