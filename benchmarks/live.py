"""Live sessions on real speech: `python -m benchmarks.live --model DIR --recordings MANIFEST.jsonl`.

Recordings are fed at their own speed into sessions in this process. The delay of a word is the time from its end, as
the transcript of the whole file has it, until it is shown and not taken back.
"""

import argparse
import resource
import statistics
import time
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from benchmarks.speech.recordings import GROUPS, Recording, choose, read_manifest
from benchmarks.speech.scoring import Errors, edit_errors, equal_positions, recording_errors, split_units
from transcription.audio import SAMPLE_RATE, Audio, Samples
from transcription.config import InferenceConfig, ModelSettings
from transcription.live.events import LiveEvent, TurnCompleted, WordsAdded
from transcription.live.session import LiveSession
from transcription.live.turns import TurnSettings
from transcription.transcriber import Transcriber
from transcription.transcript import Transcript, Word

_PIECE = SAMPLE_RATE // 10


@dataclass
class Heard:
    """What one session reported of a recording. shown: each stable word, and the second at which it was shown."""

    recording: Recording
    file: Transcript
    began: float = field(default_factory=time.perf_counter)
    shown: list[tuple[Word, float]] = field(default_factory=list)
    first: list[tuple[Word, float]] = field(default_factory=list)
    completed: list[Transcript] = field(default_factory=list)
    _items: set[str] = field(default_factory=set)

    def add(self, event: LiveEvent) -> None:
        """Take an event at the time at which it comes."""
        now = time.perf_counter() - self.began
        if isinstance(event, WordsAdded):
            self.first += [(event.words[0], now)] if event.item not in self._items else []
            self._items.add(event.item)
            self.shown += [(word, now) for word in event.words]
        elif isinstance(event, TurnCompleted):
            self.completed.append(event.transcript)

    def delays(self, words: Sequence[tuple[Word, float]]) -> list[float]:
        """Return the seconds from the end of each of these words in the file until it was shown."""
        file = list(self.file.words)
        matches = equal_positions(self.units(word for word, _ in words), self.units(file))
        return [words[live][1] - file[whole].end for live, whole in matches]

    def units(self, words: object) -> list[str]:
        """Return each word as it is compared."""
        return ["".join(split_units(word.word, self.recording.language, "words")) or "-" for word in words]  # type: ignore[attr-defined]

    @property
    def stable_text(self) -> str:
        return "".join(word.word for word, _ in self.shown)

    @property
    def completed_text(self) -> str:
        return " ".join(transcript.text for transcript in self.completed)


def main() -> None:
    options = parser().parse_args()
    transcriber = Transcriber(ModelSettings.from_environment(asr_model=str(options.model)))
    transcriber.engine.warm_up()
    if options.noise:
        print_noise(transcriber, options.noise)
    recordings = choose(read_manifest(options.recordings), options.groups, options.limit)
    if options.files:
        recordings = [one for one in read_manifest(options.recordings) if one.file in options.files]
    files = [transcriber.transcribe(Audio(one.load()), InferenceConfig(timestamps="word")) for one in recordings]
    print(f"{len(recordings)} recordings, {sum(file.duration for file in files):.0f} s")
    print("| sessions | delay of a word p50 / p95 | of a turn's first word p50 / p95 | WER file | stable | completed"
          " | shown words that completed has not |\n|---|---|---|---|---|---|---|")  # fmt: skip
    for count in options.sessions:
        print_row(str(count), run(transcriber, recordings, files, count))
    if options.beside_file:
        with ThreadPoolExecutor(1) as thread:
            audio = Audio(np.concatenate([one.load() for one in recordings] * 4))
            began = time.perf_counter()
            request = thread.submit(
                lambda: (transcriber.transcribe(audio, InferenceConfig()), time.perf_counter() - began)
            )
            print_row(
                f"{max(options.sessions)}, beside a file", run(transcriber, recordings, files, max(options.sessions))
            )
            print(f"\nThe file of {audio.duration:.0f} s took {request.result()[1]:.0f} s.")


def parser() -> argparse.ArgumentParser:
    """Return the command's options."""
    options = argparse.ArgumentParser("python -m benchmarks.live", description=__doc__)
    options.add_argument("--model", type=Path, required=True, help="folder of a Whisper checkpoint (transformers)")
    options.add_argument("--recordings", type=Path, required=True, help="manifest, a JSON line for each recording")
    options.add_argument("--groups", nargs="+", choices=list(GROUPS), default=["clean", "long"])
    options.add_argument("--limit", type=int, default=5, help="so many recordings of each group (default: %(default)s)")
    options.add_argument("--files", nargs="+", help="these recordings of the manifest instead")
    options.add_argument("--sessions", nargs="+", type=int, default=[1, 2, 4], help="sessions at the same time")
    options.add_argument("--beside-file", action="store_true", help="the most sessions again, beside a long request")
    options.add_argument(
        "--noise", type=int, default=0, metavar="SECONDS", help="first feed noise, as fast as possible"
    )
    return options


def run(
    transcriber: Transcriber, recordings: Sequence[Recording], files: Sequence[Transcript], sessions: int
) -> list[Heard]:
    """Feed the recordings one after the other into each of some sessions, each of which starts at another one."""

    def one_session(number: int) -> list[Heard]:
        time.sleep(number * 0.37)
        order = [(index + number) % len(recordings) for index in range(len(recordings))]
        return [listen(transcriber, recordings[index], files[index]) for index in order]

    with ThreadPoolExecutor(sessions) as threads:
        return [heard for result in threads.map(one_session, range(sessions)) for heard in result]


def listen(transcriber: Transcriber, recording: Recording, file: Transcript) -> Heard:
    """Feed one recording at its own speed into a session."""
    samples = recording.load()
    with ThreadPoolExecutor(1) as thread:
        heard = Heard(recording, file)
        session = LiveSession(transcriber, InferenceConfig(), TurnSettings(), thread, heard.add)
        for start in range(0, len(samples), _PIECE):
            time.sleep(max(heard.began + (start + _PIECE) / SAMPLE_RATE - time.perf_counter(), 0.0))
            session.feed(samples[start : start + _PIECE])
        session.finish()
        session.cancel()
    return heard


def print_row(name: str, results: Sequence[Heard]) -> None:
    words = [delay for heard in results for delay in heard.delays(heard.shown)]
    first = [delay for heard in results for delay in heard.delays(heard.first)]
    rates = [
        _rate([(heard.recording, text) for heard, text in zip(results, texts, strict=True)])
        for texts in (
            [heard.file.text for heard in results],
            [heard.stable_text for heard in results],
            [heard.completed_text for heard in results],
        )
    ]
    changed = [
        edit_errors(*(split_units(text, heard.recording.language, "words") or ["-"] for text in
                      (heard.completed_text, heard.stable_text)))
        for heard in results
    ]  # fmt: skip
    count = sum(errors.invented for errors in changed)
    shown = sum(len(heard.shown) for heard in results)
    print(
        f"| {name} | {_quantiles(words)} | {_quantiles(first)} | {' | '.join(rates)} | {count} of {shown} |", flush=True
    )


def print_noise(transcriber: Transcriber, seconds: int) -> None:
    """Feed noise faster than real time, and print the words and the memory."""
    words, random = list[LiveEvent](), np.random.default_rng(0)
    with ThreadPoolExecutor(1) as thread:
        session = LiveSession(transcriber, InferenceConfig(), TurnSettings(), thread, words.append)
        memory = []
        for second in range(seconds):
            decibels = -60 + 40 * (second % 60) / 60
            samples: Samples = random.normal(0, 10 ** (decibels / 20), SAMPLE_RATE).astype(np.float32)
            session.feed(samples)
            if second % max(seconds // 10, 1) == 0:
                memory.append(resource_memory())
        session.finish()
        session.cancel()
    print(f"{seconds} s of noise: {sum(isinstance(event, WordsAdded) for event in words)} words,")
    print("resident memory in MiB, ten times:", ", ".join(f"{value:.0f}" for value in memory))


def resource_memory() -> float:
    """Return the resident memory of this process in MiB."""
    pages = int(Path("/proc/self/statm").read_text().split()[1])
    return pages * resource.getpagesize() / 2**20


def _rate(texts: Sequence[tuple[Recording, str]]) -> str:
    errors = sum((recording_errors(recording, text) or Errors() for recording, text in texts), Errors())
    return "–" if errors.rate is None else f"{100 * errors.rate:.1f} %"


def _quantiles(values: Sequence[float]) -> str:
    if len(values) < 2:
        return "–"
    parts = statistics.quantiles(values, n=20, method="inclusive")
    return f"{parts[9]:.2f} / {parts[18]:.2f} s"


if __name__ == "__main__":
    main()
