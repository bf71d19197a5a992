"""Scores of conversations as Markdown tables."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from benchmarks.speakers.assignments import ASSIGNMENTS
from benchmarks.speakers.cache import Cost
from benchmarks.speakers.conversations import Conversation
from benchmarks.speakers.scoring import TurnScore, WordScore, score_turns, score_words
from benchmarks.speech.report import table
from transcription.diarization.result import Diarization
from transcription.transcript import Transcript

OURS = next(iter(ASSIGNMENTS))


@dataclass(frozen=True)
class Outcome:
    """The words of one conversation, and its turns with the number of speakers not told and told."""

    conversation: Conversation
    transcript: Transcript
    untold: Diarization
    told: Diarization
    costs: Mapping[str, Cost]


@dataclass(frozen=True)
class Scores:
    """The scores of one conversation. words: by whether the number of speakers is told, and the assignment."""

    conversation: Conversation
    found: int
    turns: TurnScore
    words: Mapping[tuple[bool, str], WordScore]


def score(outcome: Outcome) -> Scores:
    """Return the scores of all assignments of one conversation, and those of its turns with the number untold."""
    conversation, transcript = outcome.conversation, outcome.transcript
    words = {
        (is_told, name): score_words(conversation, assign(transcript, diarization, conversation))
        for is_told, diarization in ((False, outcome.untold), (True, outcome.told))
        for name, assign in ASSIGNMENTS.items()
    }
    turns = score_turns(conversation.turns, outcome.untold.turns, transcript.duration)
    return Scores(conversation, len({turn.speaker for turn in outcome.untold.turns}), turns, words)


def report(outcomes: Sequence[Outcome]) -> str:
    """Return three tables: the recordings, the assignments over all recordings, and the costs."""
    scores = [score(outcome) for outcome in outcomes]
    tables = (_recordings(scores), _assignments(scores), _costs([outcome.costs for outcome in outcomes]))
    return "\n\n".join(tables)


def _recordings(scores: Sequence[Scores]) -> str:
    """Return a row for each recording and one for all, with the number of speakers untold."""
    titles = ["recording", "speakers found", "DER", "missed", "false alarm", "confused", "JER", "WER", "cpWER"]
    rows = {
        one.conversation.name: [
            f"{one.found} of {one.conversation.speakers}",
            *_turn_columns(one.turns), *_word_columns(one.words[False, OURS]),
        ]
        for one in scores
    }  # fmt: skip
    right = sum(one.found == one.conversation.speakers for one in scores)
    turns = sum((one.turns for one in scores), TurnScore())
    words = sum((one.words[False, OURS] for one in scores), WordScore())
    rows["all"] = [f"right in {right} of {len(scores)}", *_turn_columns(turns), *_word_columns(words)]
    return table(titles, rows)


def _turn_columns(turns: TurnScore) -> list[str]:
    seconds = (turns.missed, turns.false_alarm, turns.confused)
    return [f"{turns.der.rate:.1%}", *(f"{value:.1f} s" for value in seconds), f"{turns.jer.rate:.1%}"]


def _word_columns(words: WordScore) -> list[str]:
    return [f"{words.wer.rate:.1%}", f"{words.cp.rate:.1%}"]


def _assignments(scores: Sequence[Scores]) -> str:
    """Return a row for each assignment, with the number of speakers untold and told."""
    titles = ["assignment", "count", "WER", "cpWER", "cpWER − WER", "tcpWER", "words without speaker"]
    rows: dict[str, list[str]] = {}
    for name in ASSIGNMENTS:
        for is_told in (False, True):
            total = sum((one.words[is_told, name] for one in scores), WordScore())
            count = "told" if is_told else "untold"
            rows[f"{name} | {count}"] = [  # two columns
                f"{total.wer.rate:.2%}", f"{total.cp.rate:.2%}", f"{100 * (total.cp.rate - total.wer.rate):.2f} points",
                f"{total.tcp.rate:.2%}", str(total.without_speaker),
            ]  # fmt: skip
    return table(titles, rows)


def _costs(costs: Iterable[Mapping[str, Cost]]) -> str:
    """Return a row for each step: its time over all recordings, and the largest memory of the process."""
    by_step: dict[str, list[Cost]] = {}
    for one in costs:
        for step, cost in one.items():
            by_step.setdefault(step, []).append(cost)
    rows = {
        step: [
            f"{sum(cost.seconds for cost in some):.0f} s", f"{sum(cost.cpu_seconds for cost in some):.0f} s",
            f"{max(cost.peak_bytes for cost in some) / 2**30:.1f} GiB",
        ]
        for step, some in by_step.items()
    }  # fmt: skip
    return table(["step", "time", "time of all cores", "peak memory of the process"], rows)
