"""Measure the diarization of the shipped conversations: `python -m benchmarks.diarization`.

Quality: DER (collar 0, overlap scored), WER, cpWER and tcpWER (collar 5 s; meeteval), with the speaker count given and
not given. The last column is the cpWER of the original handler's assignment of the same words to the same turns.
Speed: the pipeline with several batch sizes; transcription and diarization one after the other and at the same time.
"""

import argparse
import statistics
from dataclasses import replace
from functools import partial
from pathlib import Path

from benchmarks.merge import argmin
from benchmarks.scores import cp_wer, der, wer
from benchmarks.timing import alternate
from benchmarks.truth import read_truth
from transcription.audio import Audio, read_file
from transcription.config import InferenceConfig, ModelSettings
from transcription.diarization.assign import assign_speakers
from transcription.diarization.pyannote import Diarizer
from transcription.transcriber import Transcriber
from transcription.transcript import Transcript

ROOT = Path(__file__).parent.parent
FILES = {"meeting.flac": 3, "conversation.flac": 3, "discussion.ogg": 4}
BATCH_SIZES = (1, 8, 32, 128)


def load_transcriber(batch_size: int = 32) -> Transcriber:
    """Return the demo models."""
    models = ROOT / "models"
    return Transcriber(
        ModelSettings.from_environment(
            asr_model=str(models / "demo-whisper"), diarization_model=str(models / "demo-diarization"),
            diarization_batch_size=batch_size,
        )
    )  # fmt: skip


def diarizer_of(transcriber: Transcriber) -> Diarizer:
    """Return the transcriber's diarizer."""
    assert isinstance(transcriber.diarizer, Diarizer)
    return transcriber.diarizer


def print_quality() -> None:
    """Print the table of error rates."""
    transcriber = load_transcriber()
    print("| file | count | found | DER | WER | cpWER | tcpWER | cpWER of the argmin merge |\n" + "|---" * 8 + "|")
    for name, speakers in FILES.items():
        audio, truth = read_file(ROOT / "samples" / name), read_truth(ROOT / "samples" / name)
        transcript = transcriber.engine.transcribe(audio, InferenceConfig(timestamps="word"))
        for count in (speakers, None):
            diarization = diarizer_of(transcriber).diarize(audio, InferenceConfig(num_speakers=count))
            turns = diarization.turns
            cp, timed = cp_wer(truth, assign_speakers(transcript, turns, diarization.exclusive).words)
            assignment = argmin(transcript, turns)
            original, _ = cp_wer(truth, [replace(transcript.words[index], speaker=who) for who, index in assignment])
            found = len({turn.speaker for turn in turns})
            print(
                f"| {name} | {'given' if count else 'not given'} | {found} of {speakers} "
                f"| {der(truth, turns):.1%} | {wer(truth, transcript):.1%} | {cp:.1%} | {timed:.1%} | {original:.1%} |"
            )


def print_speed(rounds: int) -> None:
    """Print the tables of times."""
    audio = read_file(ROOT / "samples" / "conversation.flac")
    calls = [partial(diarizer_of(load_transcriber(size)).diarize, audio, InferenceConfig()) for size in BATCH_SIZES]
    print(f"\n| diarization of {audio.duration:.0f} s, batch | median of rounds | × real time |\n|---|---|---|")
    for size, seconds in zip(BATCH_SIZES, alternate(rounds, *calls), strict=True):
        median = statistics.median(seconds)
        print(f"| {size} | {median:.2f} s | {audio.duration / median:.0f} |")
    transcriber = load_transcriber()
    times = alternate(
        rounds,
        partial(one_after_the_other, transcriber, audio),
        lambda: transcriber.transcribe(audio, InferenceConfig()),
    )
    print("\n| transcription and diarization | median of rounds |\n|---|---|")
    for name, seconds in zip(("one after the other", "at the same time"), times, strict=True):
        print(f"| {name} | {statistics.median(seconds):.2f} s |")


def one_after_the_other(transcriber: Transcriber, audio: Audio) -> Transcript:
    """Transcribe, then diarize."""
    transcript = transcriber.engine.transcribe(audio, InferenceConfig(timestamps="word"))
    diarization = diarizer_of(transcriber).diarize(audio, InferenceConfig())
    return assign_speakers(transcript, diarization.turns, diarization.exclusive)


def main() -> None:
    """Run the command."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=3, help="rounds of the speed tables (default: %(default)s)")
    options = parser.parse_args()
    print_quality()
    print_speed(options.rounds)


if __name__ == "__main__":
    main()
