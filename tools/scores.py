"""Error rates of transcripts and speaker turns: DER, WER, cpWER and tcpWER."""

from collections.abc import Iterable
from typing import Any

import jiwer
import meeteval
from pyannote.core import Annotation, Segment
from pyannote.metrics.diarization import DiarizationErrorRate

from tools.samples import Truth
from tools.sentences import words_of
from transcription.transcript import SpeakerTurn, Transcript, Word

COLLAR = 5.0  # seconds by which tcpWER lets a word be off


def strict_der() -> Any:
    """Return a diarization error rate without collar that scores overlap."""
    return DiarizationErrorRate(collar=0.0, skip_overlap=False)


def annotation(turns: Iterable[SpeakerTurn]) -> Annotation:
    """Return the turns as a pyannote annotation."""
    result = Annotation(uri="audio")
    for number, turn in enumerate(turns):
        result[Segment(turn.start, turn.end), number] = turn.speaker
    return result


def true_turns(truth: Truth) -> list[SpeakerTurn]:
    """Return the reference turns; without turns in the truth, each sentence is a turn of its words' speaker."""
    if truth.turns:
        return [SpeakerTurn(*turn) for turn in truth.turns]
    return [
        SpeakerTurn(next(word.speaker for word in truth.words if start <= word.start < end), start, end)
        for start, end, _ in truth.segments
    ]


def der(truth: Truth, turns: Iterable[SpeakerTurn]) -> float:
    """Return the diarization error rate of one recording."""
    region = Segment(0, truth.duration)
    return float(strict_der()(annotation(true_turns(truth)), annotation(turns), uem=region))


def wer(truth: Truth, transcript: Transcript) -> float:
    """Return the word error rate against the sentences, sorted by start."""
    reference = " ".join(word for _, _, text in truth.segments for word in words_of(text))
    return float(jiwer.wer(reference, " ".join(words_of(transcript.text))))


def cp_wer(truth: Truth, words: Iterable[Word]) -> tuple[float, float]:
    """Return cpWER (Watanabe et al. 2020) and tcpWER (von Neumann et al. 2023).

    cpWER compares each reference speaker with one hypothesis speaker. tcpWER also requires the words' times.
    """
    reference = [_row(word.speaker, word.word, word.start, word.end) for word in truth.words]
    hypothesis = [_row(str(word.speaker), text, word.start, word.end) for word in words for text in words_of(word.word)]
    rows = [meeteval.io.SegLST(sorted(side, key=lambda row: row["start_time"])) for side in (reference, hypothesis)]
    untimed = meeteval.wer.cpwer(*rows)["audio"].error_rate
    timed = meeteval.wer.tcpwer(*rows, collar=COLLAR)["audio"].error_rate
    return float(untimed), float(timed)


def _row(speaker: str, word: str, start: float, end: float) -> dict[str, Any]:
    return {
        "session_id": "audio", "speaker": speaker, "words": word.lower(),
        "start_time": start, "end_time": max(end, start + 0.01),
    }  # fmt: skip
