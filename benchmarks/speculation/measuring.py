"""Time with an assistant over the time without one, on real recordings."""

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

from benchmarks.timing import Clock, alternate, ratio
from transcription.audio import Audio, Samples
from transcription.config import InferenceConfig, ModelSettings
from transcription.transcriber import Transcriber

MODES: dict[str, Any] = {"false": False, "auto": "auto", "true": True}
"""Values of `assisted`; the others are compared with the first one."""


@dataclass
class Drafts:
    """What became of drafts.

    tried: drafts up to the first wrong one of each row and round. by_length: rounds of all rows by the number of their
    drafts, 0 among them.
    """

    accepted: int = 0
    tried: int = 0
    by_length: Counter[int] = field(default_factory=Counter)

    @property
    def acceptance(self) -> float | None:
        """The share of the tried drafts that were accepted; None without drafts."""
        return self.accepted / self.tried if self.tried else None

    @property
    def drafted_share(self) -> float:
        """The share of rounds with drafts."""
        rounds = self.by_length.total()
        return (rounds - self.by_length[0]) / max(rounds, 1)

    @property
    def mean_length(self) -> float:
        """Drafts of a round that has some, on average."""
        rounds = self.by_length.total() - self.by_length[0]
        return sum(length * count for length, count in self.by_length.items()) / max(rounds, 1)


@dataclass(frozen=True)
class Result:
    """What one mode of `assisted` takes for some recordings with so many slots.

    ratio: median over rounds of its time over that without drafts. different: texts that differ.
    """

    slots: int
    group: str
    mode: str
    recordings: int
    ratio: float
    different: int
    drafts: Drafts


def measure(
    model: Path, assistant: Path, groups: Mapping[str, Sequence[Samples]], slots: Sequence[int], rounds: int,
    clock: Clock,
) -> Iterator[Result]:  # fmt: skip
    """Yield the results: as many recordings are transcribed at the same time as there are slots; greedily."""
    for count in slots:
        settings = ModelSettings.from_environment(asr_model=str(model), assistant_model=str(assistant), slots=count)
        transcriber = Transcriber(settings)
        for group, recordings in groups.items():
            if recordings:
                yield from _compare(
                    transcriber, count, group, [Audio(samples) for samples in recordings], rounds, clock
                )


def _compare(
    transcriber: Transcriber, slots: int, group: str, audio: list[Audio], rounds: int, clock: Clock
) -> Iterator[Result]:
    drafts = {mode: Drafts() for mode in MODES}
    texts: dict[str, list[str]] = {}

    def run(mode: str) -> None:
        transcribe = partial(transcriber.transcribe, config=InferenceConfig(beam_size=1, assisted=MODES[mode]))
        with counting(transcriber.engine, drafts[mode]), ThreadPoolExecutor(slots) as pool:
            texts[mode] = [transcript.text for transcript in pool.map(transcribe, audio)]

    times = alternate(rounds, *(partial(run, mode) for mode in MODES), clock=clock)
    for mode, seconds in zip(MODES, times, strict=True):
        different = sum(one != other for one, other in zip(texts["false"], texts[mode], strict=True))
        yield Result(slots, group, mode, len(audio), ratio(seconds, times[0]), different, drafts[mode])


@contextmanager
def counting(engine: Any, drafts: Drafts) -> Iterator[None]:
    """Count the drafts of an engine."""
    slots = engine.loop.slots
    step, speculate = slots.step, slots.speculate

    def counted_step(rows: int, *arguments: Any) -> None:
        drafts.by_length[0] += rows * slots.steps_per_sync
        step(rows, *arguments)

    def counted_speculate(rows: int, length: int, *arguments: Any) -> list[int]:
        accepted: list[int] = speculate(rows, length, *arguments)
        drafts.by_length[length] += rows
        drafts.accepted += sum(accepted)
        drafts.tried += sum(min(count + 1, length) for count in accepted)
        return accepted

    slots.step, slots.speculate = counted_step, counted_speculate
    try:
        yield
    finally:
        slots.step, slots.speculate = step, speculate


def head() -> str:
    """Return the head of the table."""
    names = (
        "slots", "recordings", "`assisted`", "time ÷ without drafts", "rounds with drafts", "drafts of such a round",
        "acceptance", "texts that differ",
    )  # fmt: skip
    return f"| {' | '.join(names)} |\n{'|---' * len(names)}|"


def row(result: Result) -> str:
    """Return the row of a result."""
    drafts = result.drafts
    acceptance = "" if drafts.acceptance is None else f"{drafts.acceptance:.2f}"
    length = f"{drafts.mean_length:.1f}" if drafts.drafted_share else ""
    return (
        f"| {result.slots} | {result.recordings} {result.group} | {result.mode} | {result.ratio:.2f} "
        f"| {drafts.drafted_share:.0%} | {length} | {acceptance} | {result.different} |"
    )
