"""Error rates of turns and of words with speakers."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import groupby
from typing import Any

import meeteval
from meeteval.wer.wer.mimo import mimo_word_error_rate
from pyannote.core import Segment
from pyannote.metrics.diarization import JaccardErrorRate

from benchmarks.scores import COLLAR, annotation, strict_der
from benchmarks.speakers.conversations import Conversation, Utterance
from benchmarks.speech.scoring import edit_errors, normalize
from transcription.transcript import SpeakerTurn, Word

MAX_PAUSE = 1.0  # seconds between two words of one utterance of a hypothesis


@dataclass(frozen=True)
class Counts:
    """Errors, and what they are counted in: words, or seconds of talk."""

    errors: float = 0.0
    length: float = 0.0

    def __add__(self, other: "Counts") -> "Counts":
        return Counts(self.errors + other.errors, self.length + other.length)

    @property
    def rate(self) -> float:
        """Errors per unit of the truth; 0 for an empty truth."""
        return self.errors / self.length if self.length else 0.0


@dataclass(frozen=True)
class WordScore:
    """The errors of words with speakers.

    wer: without speakers; utterances of different people may come in any order (MIMO-WER, von Neumann et al. 2023).
    cp: the same with the best mapping of speakers (cpWER, Watanabe et al. 2020).
    tcp: cp, where a word only counts within COLLAR seconds of its place (tcpWER, von Neumann et al. 2023).
    without_speaker: number of words without a speaker.
    """

    wer: Counts = Counts()
    cp: Counts = Counts()
    tcp: Counts = Counts()
    without_speaker: int = 0

    def __add__(self, other: "WordScore") -> "WordScore":
        return WordScore(
            self.wer + other.wer, self.cp + other.cp, self.tcp + other.tcp,
            self.without_speaker + other.without_speaker,
        )  # fmt: skip


@dataclass(frozen=True)
class TurnScore:
    """DER, without collar and with overlap, and JER of speaker turns.

    missed, false_alarm, confused: seconds; they add up to the errors of the DER.
    """

    der: Counts = Counts()
    jer: Counts = Counts()
    missed: float = 0.0
    false_alarm: float = 0.0
    confused: float = 0.0

    def __add__(self, other: "TurnScore") -> "TurnScore":
        return TurnScore(
            self.der + other.der, self.jer + other.jer, self.missed + other.missed,
            self.false_alarm + other.false_alarm, self.confused + other.confused,
        )  # fmt: skip


def score_turns(truth: Sequence[SpeakerTurn], turns: Sequence[SpeakerTurn], duration: float) -> TurnScore:
    """Return the errors of turns in a recording of `duration` seconds."""
    region, sides = Segment(0, duration), (annotation(truth), annotation(turns))
    found = strict_der()(*sides, uem=region, detailed=True)
    jaccard = JaccardErrorRate(collar=0.0, skip_overlap=False)(*sides, uem=region, detailed=True)
    missed, false_alarm, confused = (float(found[name]) for name in ("missed detection", "false alarm", "confusion"))
    return TurnScore(
        Counts(missed + false_alarm + confused, float(found["total"])),
        Counts(float(jaccard["speaker error"]), float(jaccard["speaker count"])),
        missed, false_alarm, confused,
    )  # fmt: skip


def score_words(conversation: Conversation, words: Sequence[Word]) -> WordScore:
    """Return the errors of words with speakers."""
    language = conversation.language
    truth, hypothesis = _rows(conversation.utterances, language), _rows(_utterances(words), language)
    text = normalize("".join(word.word for word in words), language)
    return WordScore(
        _wer(truth, text), *_cp_errors(truth, hypothesis), sum(word.speaker is None for word in words)
    )  # fmt: skip


def _utterances(words: Iterable[Word]) -> list[Utterance]:
    """Join words of one speaker without a long pause between them: numbers and names are normalised together."""
    groups: list[list[Word]] = []
    for _, run in groupby(words, key=lambda word: word.speaker):
        groups.append([])
        for word in run:
            if groups[-1] and word.start - groups[-1][-1].end > MAX_PAUSE:
                groups.append([])
            groups[-1].append(word)
    return [
        Utterance(str(group[0].speaker), group[0].start, group[-1].end, "".join(word.word for word in group))
        for group in groups
    ]


def _rows(utterances: Iterable[Utterance], language: str) -> list[dict[str, Any]]:
    """Return rows for meeteval, sorted by start; an utterance has some duration."""
    rows = [
        {"session_id": "audio", "speaker": one.speaker, "words": normalize(one.text, language),
         "start_time": one.start, "end_time": max(one.end, one.start + 0.01)}
        for one in utterances
    ]  # fmt: skip
    return sorted((row for row in rows if row["words"]), key=lambda row: float(row["start_time"]))


def _wer(truth: Sequence[dict[str, Any]], text: str) -> Counts:
    by_speaker: dict[str, list[str]] = {}
    for row in truth:
        by_speaker.setdefault(row["speaker"], []).append(row["words"])
    if not by_speaker or not text:
        return _edits(" ".join(row["words"] for row in truth), text)
    counts = mimo_word_error_rate(list(by_speaker.values()), [text])
    return Counts(counts.errors, counts.length)


def _cp_errors(truth: list[dict[str, Any]], hypothesis: list[dict[str, Any]]) -> tuple[Counts, Counts]:
    if not truth or not hypothesis:
        counts = _edits(*(" ".join(row["words"] for row in side) for side in (truth, hypothesis)))
        return counts, counts
    sides = [meeteval.io.SegLST(side) for side in (truth, hypothesis)]
    results = meeteval.wer.cpwer(*sides)["audio"], meeteval.wer.tcpwer(*sides, collar=COLLAR)["audio"]
    cp, tcp = (Counts(result.errors, result.length) for result in results)
    return cp, tcp


def _edits(truth: str, hypothesis: str) -> Counts:
    errors = edit_errors(truth.split(), hypothesis.split())
    return Counts(errors.substitutions + errors.insertions + errors.deletions, errors.length)
