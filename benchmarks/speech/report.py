"""Results as Markdown tables."""

import statistics
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field

from benchmarks.speech.recordings import GROUPS, Recording
from benchmarks.speech.results import Result
from benchmarks.speech.scoring import Errors, recording_errors, turn_start_errors

CLOSE = 0.25
"""Seconds within which a word's start is right."""


@dataclass
class Summary:
    """All scores of one contender.

    errors: by group. start_errors: seconds by which the first words of turns are off, None for words not found.
    """

    errors: dict[str, Errors] = field(default_factory=dict)
    start_errors: list[float | None] = field(default_factory=list)
    languages_right: int = 0
    languages_told: int = 0
    seconds: float = 0.0
    audio_seconds: float = 0.0

    def add(self, recording: Recording, result: Result) -> None:
        """Score one result."""
        hypothesis = result.hypothesis
        self.seconds += result.seconds
        self.audio_seconds += result.audio_seconds
        errors = recording_errors(recording, hypothesis.text)
        if errors is not None:
            self.errors[recording.group] = self.errors.get(recording.group, Errors()) + errors
        if recording.turns:
            self.start_errors += turn_start_errors(recording.turns, hypothesis.words, recording.language)
        if recording.group != "no-speech" and hypothesis.language is not None:
            self.languages_told += 1
            self.languages_right += hypothesis.language == recording.language

    @property
    def words_lost(self) -> Errors:
        """Errors of all groups that are counted in words and have speech."""
        groups = (group for group in self.errors if GROUPS[group][1] == "words" and group != "no-speech")
        return sum((self.errors[group] for group in groups), Errors())


def summarize(recordings: Iterable[Recording], results: Mapping[tuple[str, str], Result], name: str) -> Summary:
    """Score what one contender made of the recordings."""
    summary = Summary()
    for recording in recordings:
        summary.add(recording, results[name, recording.file])
    return summary


def report(recordings: Sequence[Recording], results: Mapping[tuple[str, str], Result], names: Sequence[str]) -> str:
    """Return two Markdown tables: error rates by group, and everything else."""
    summaries = {name: summarize(recordings, results, name) for name in names}
    groups = [group for group in GROUPS if group != "no-speech" and any(r.group == group for r in recordings)]
    counts = {group: sum(r.group == group and r.text is not None for r in recordings) for group in groups}
    titles = [f"{GROUPS[group][0]} ({counts[group]})" for group in groups]
    rates = {name: [_rate(summary.errors.get(group)) for group in groups] for name, summary in summaries.items()}
    others = {name: _other_columns(summary) for name, summary in summaries.items()}
    return table(["WER (recordings)", *titles], rates) + "\n\n" + table(["", *_OTHERS], others)


_OTHERS = [
    "words invented without speech", "words lost", "language right", "turns whose first word is found",
    "its start is off by (median)", f"within {CLOSE} s", "seconds", "× real time",
]  # fmt: skip


def _other_columns(summary: Summary) -> list[str]:
    found = [abs(error) for error in summary.start_errors if error is not None]
    silent, lost = summary.errors.get("no-speech"), summary.words_lost
    return [
        str(silent.invented) if silent else "–",
        f"{lost.deletions} of {lost.length}",
        f"{summary.languages_right} of {summary.languages_told}" if summary.languages_told else "–",
        f"{len(found)} of {len(summary.start_errors)}",
        f"{statistics.median(found):.2f} s" if found else "–",
        f"{sum(error <= CLOSE for error in found) / len(found):.0%}" if found else "–",
        f"{summary.seconds:.0f}",
        f"{summary.audio_seconds / summary.seconds:.1f}" if summary.seconds else "–",
    ]


def _rate(errors: Errors | None) -> str:
    return "–" if errors is None or errors.rate is None else f"{errors.rate:.1%}"


def table(titles: Sequence[str], rows: Mapping[str, Sequence[str]]) -> str:
    """Return a Markdown table; the keys of the rows are its first column."""
    lines = [titles, ["---"] * len(titles), *([name, *cells] for name, cells in rows.items())]
    return "\n".join("| " + " | ".join(line) + " |" for line in lines)
