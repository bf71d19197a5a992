"""Who said what on the shipped conversations: `python -m benchmarks.diarization`.

DER (collar 0, overlap scored), WER, cpWER and tcpWER (collar 5 s; meeteval) with the count of speakers given
and without, each beside the original handler's merge of the same words and turns; then the pipeline's time by
batch size, and transcription and diarization one after the other and at the same time.
"""

import argparse
import statistics
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

from benchmarks.merge import argmin
from tools.samples import read_truth
from tools.scores import cp_wer, der, wer
from transcription.audio import Audio, read_file
from transcription.config import InferenceConfig, ModelSettings
from transcription.diarization.assign import assign_speakers
from transcription.transcriber import Transcriber

ROOT = Path(__file__).parent.parent
FILES = {"meeting.flac": 3, "conversation.flac": 3, "discussion.ogg": 4}
BATCHES = (1, 8, 32, 128)


def transcriber(batch: int = 32) -> Transcriber:
    """The demo models."""
    models = ROOT / "models"
    return Transcriber(
        ModelSettings.from_environment(
            asr_model=str(models / "demo-whisper"), diarization_model=str(models / "demo-diarization"),
            diarization_batch_size=batch,
        )
    )  # fmt: skip


def quality() -> None:
    """The table of error rates."""
    service = transcriber()
    assert service.diarizer is not None
    print("| file | count | found | DER | WER | cpWER | tcpWER | cpWER of the argmin merge |\n" + "|---" * 8 + "|")
    for name, speakers in FILES.items():
        audio, truth = read_file(ROOT / "samples" / name), read_truth(ROOT / "samples" / name)
        plain = service.engine.transcribe(audio, InferenceConfig(timestamps="word"))
        for count in (speakers, None):
            found = service.diarizer.diarize(audio, InferenceConfig(num_speakers=count))
            cp, timed = cp_wer(truth, assign_speakers(plain, found.turns, found.exclusive).words)
            old, _ = cp_wer(truth, [replace(plain.words[at], speaker=who) for who, at in argmin(plain, found.turns)])
            heard = len({turn.speaker for turn in found.turns})
            print(
                f"| {name} | {'given' if count else 'not given'} | {heard} of {speakers} "
                f"| {der(truth, found.turns):.1%} | {wer(truth, plain):.1%} | {cp:.1%} | {timed:.1%} | {old:.1%} |"
            )


def speed(rounds: int) -> None:
    """The tables of times."""
    audio = read_file(ROOT / "samples" / "conversation.flac")
    services = {batch: transcriber(batch) for batch in BATCHES}
    print(f"\n| diarization of {audio.duration:.0f} s, batch | median of rounds | × real time |\n|---|---|---|")
    for batch, median in _medians({b: _diarizing(s, audio) for b, s in services.items()}, rounds).items():
        print(f"| {batch} | {median:.2f} s | {audio.duration / median:.0f} |")
    service = transcriber()
    both = {"one after the other": _one_by_one(service, audio), "at once": _at_once(service, audio)}
    print("\n| transcription and diarization | median of rounds |\n|---|---|")
    for name, median in _medians(both, rounds).items():
        print(f"| {name} | {median:.2f} s |")


def _diarizing(service: Transcriber, audio: Audio) -> Callable[[], Any]:
    assert service.diarizer is not None
    diarizer = service.diarizer
    return lambda: diarizer.diarize(audio, InferenceConfig())


def _at_once(service: Transcriber, audio: Audio) -> Callable[[], Any]:
    return lambda: service.transcribe(audio, InferenceConfig())


def _one_by_one(service: Transcriber, audio: Audio) -> Callable[[], Any]:
    diarizer = service.diarizer
    assert diarizer is not None

    def call() -> object:
        transcript = service.engine.transcribe(audio, InferenceConfig(timestamps="word"))
        found = diarizer.diarize(audio, InferenceConfig())
        return assign_speakers(transcript, found.turns, found.exclusive)

    return call


def _medians(calls: dict[Any, Callable[[], Any]], rounds: int) -> dict[Any, float]:
    """Median seconds of each call; the calls take turns."""
    seconds: dict[Any, list[float]] = {name: [] for name in calls}
    for call in calls.values():
        call()
    for _ in range(rounds):
        for name, call in calls.items():
            began = time.perf_counter()
            call()
            seconds[name].append(time.perf_counter() - began)
    return {name: statistics.median(found) for name, found in seconds.items()}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=3)
    options = parser.parse_args()
    quality()
    speed(options.rounds)


if __name__ == "__main__":
    main()
