"""Error rates of transcripts and speaker turns: DER, WER, cpWER and tcpWER."""

import re
from collections.abc import Iterable
from typing import Any

import jiwer
import meeteval
from pyannote.core import Annotation, Segment
from pyannote.metrics.diarization import DiarizationErrorRate

from benchmarks.truth import Truth
from transcription.transcript import SpeakerTurn, Transcript, Word

COLLAR = 5.0  # seconds by which tcpWER lets a word be off


def words_of(text: str) -> list[str]:
    """Return the words in lower case without punctuation, as WER compares them."""
    return re.findall(r"[a-zäöüß]+", text.lower())


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


def word_start_errors(truth: Truth, transcript: Transcript) -> list[float]:
    """Return |start − true start| of every word that is transcribed correctly, in seconds."""
    words = [word for word in transcript.words if words_of(word.word)]
    if not words:
        return []
    chunks = jiwer.process_words(
        " ".join(word.word for word in truth.words), " ".join(words_of(word.word)[0] for word in words)
    ).alignments[0]
    errors = []
    for chunk in chunks:
        if chunk.type == "equal":
            references = truth.words[chunk.ref_start_idx : chunk.ref_end_idx]
            hypotheses = words[chunk.hyp_start_idx : chunk.hyp_end_idx]
            errors += [abs(true.start - word.start) for true, word in zip(references, hypotheses, strict=True)]
    return errors
