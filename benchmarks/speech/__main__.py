"""Accuracy on real speech: `python -m benchmarks.speech --model DIR --recordings MANIFEST.jsonl`.

Each contender transcribes each recording, in turn, so that a machine that gets slower is slower for all. Results are
kept in the output folder, a line each; what is done there is not done again. Only recordings that all contenders have
transcribed are scored.
"""

import argparse
import sys
import tempfile
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

import numpy as np

from benchmarks.speech.confidence import confidence_report
from benchmarks.speech.contenders import OURS, PEERS, Checkpoints, Transcribe
from benchmarks.speech.recordings import GROUPS, Recording, choose, read_manifest, without_speech
from benchmarks.speech.report import report
from benchmarks.speech.results import Hypothesis, Result, append_result, files_done_by_all, read_results
from benchmarks.speech.scoring import british_spellings
from transcription.audio import SAMPLE_RATE

Load = Callable[[Checkpoints], Transcribe]


def main(arguments: Sequence[str] | None = None) -> None:
    options = parser().parse_args(arguments)
    names = options.contenders or [*OURS, *(PEERS if options.peers else ())]
    contenders = {name: (OURS | PEERS)[name] for name in names}
    recordings = choose([*read_manifest(options.recordings), *without_speech()], options.groups, options.limit)
    with tempfile.TemporaryDirectory() as scratch:
        folder = options.output or Path(scratch)
        folder.mkdir(parents=True, exist_ok=True)
        checkpoints = Checkpoints(options.model, options.ct2 or folder / "ct2", folder / "original.pt")
        if not options.report_only:
            transcribe_all(recordings, contenders, checkpoints, folder / "results.jsonl", options.word_times)
        results = read_results(folder / "results.jsonl")
    files = files_done_by_all(results.values(), contenders)
    scored = [recording for recording in recordings if recording.file in files]
    print(
        f"{len(scored)} of {len(recordings)} recordings.", "" if british_spellings() else "Spellings are not unified."
    )
    print(report(scored, results, list(contenders)))
    if options.word_times:
        print("\n" + confidence_report(scored, results, list(contenders)))


def parser() -> argparse.ArgumentParser:
    """Return the command's options."""
    options = argparse.ArgumentParser("python -m benchmarks.speech", description=__doc__)
    options.add_argument("--model", type=Path, required=True, help="folder of a Whisper checkpoint (transformers)")
    options.add_argument("--recordings", type=Path, required=True, help="manifest, a JSON line for each recording")
    options.add_argument("--peers", action="store_true", help="faster-whisper, openai-whisper and transformers, too")
    options.add_argument("--contenders", nargs="+", choices=[*OURS, *PEERS], help="only these")
    options.add_argument("--ct2", type=Path, help="the model converted for faster-whisper; absent: convert it")
    options.add_argument("--limit", type=int, help="so many recordings of each group")
    options.add_argument("--groups", nargs="+", choices=list(GROUPS), default=list(GROUPS), help="absent: all")
    options.add_argument("--output", type=Path, help="folder of the results; absent: they are not kept")
    options.add_argument("--word-times", action="store_true", help="of all recordings: needed for the confidence table")
    options.add_argument("--report-only", action="store_true", help="transcribe nothing: score what is in the output")
    return options


def transcribe_all(
    recordings: Sequence[Recording], contenders: Mapping[str, Load], checkpoints: Checkpoints, path: Path,
    word_times: bool = False,
) -> None:  # fmt: skip
    """Add what is missing to a file of results. A contender that fails on a recording is reported and left out."""
    done = set(read_results(path))
    loaded: dict[str, Transcribe] = {}
    for recording in recordings:
        for name, load in contenders.items():
            if (name, recording.file) in done:
                continue
            if name not in loaded:
                loaded[name] = _load(load, checkpoints)
            try:
                append_result(path, transcribe(name, loaded[name], recording, word_times))
            except Exception as error:
                print(f"{name} failed on {recording.file}: {error!r}", file=sys.stderr)


def _load(load: Load, checkpoints: Checkpoints) -> Transcribe:
    """Load a contender and warm it up with one second of faint noise."""
    contender = load(checkpoints)
    contender(np.random.default_rng(0).normal(0, 1e-3, SAMPLE_RATE).astype(np.float32), True)
    return contender


def transcribe(name: str, contender: Transcribe, recording: Recording, word_times: bool = False) -> Result:
    """Transcribe one recording, with word times if they are wanted or starts of turns are known."""
    samples = recording.load()
    start = time.perf_counter()
    hypothesis: Hypothesis = contender(samples, word_times or bool(recording.turns))
    return Result(name, recording.file, time.perf_counter() - start, len(samples) / SAMPLE_RATE, hypothesis)


if __name__ == "__main__":
    main()
