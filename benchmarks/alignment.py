"""How well a given text is aligned with a recording: python -m benchmarks.alignment --model DIR --recordings MANIFEST.

The recordings are those of the manifest that were put together from clips: the start of each clip is known. A text is
aligned as it is, with words replaced, with words inserted that nobody says, and with another recording. Start errors
are those of the first word of each clip, which begins where the clip is first loud.
"""

import argparse
import random
import statistics
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import NamedTuple

import numpy as np

from benchmarks.speech.recordings import Recording, read_manifest
from benchmarks.speech.report import table
from transcription.audio import SAMPLE_RATE, Audio, Samples
from transcription.config import InferenceConfig, ModelSettings
from transcription.engines import Engine
from transcription.transcriber import Transcriber
from transcription.transcript import Transcript, Word
from transcription.whisper.given_text import keys_of
from transcription.whisper.text_alignment import align_text

REPLACED, INSERTED = 0.1, 20
FRAME, LOUD = SAMPLE_RATE // 50, 0.1


class ScriptWord(NamedTuple):
    """A word of a text, whether it is said, and when: only the starts of clips are known."""

    text: str
    is_said: bool = True
    start: float | None = None


Script = list[ScriptWord]
Force = Callable[[Audio, Transcript], Transcript]


@dataclass
class Outcome:
    """What became of the words of several texts."""

    said: int = 0
    said_marked: int = 0
    unsaid: int = 0
    unsaid_marked: int = 0
    turns: int = 0
    errors: list[float] = field(default_factory=list)
    seconds: float = 0.0

    def add(self, script: Script, words: Sequence[Word]) -> None:
        """Count words that are rightly and wrongly marked as not said, and measure the starts of clips."""
        for true, word in zip(script, words, strict=True):
            self.said += true.is_said
            self.said_marked += true.is_said and not word.said
            self.unsaid += not true.is_said
            self.unsaid_marked += not (true.is_said or word.said)
            if true.start is not None:
                self.turns += 1
                self.errors += [abs(word.start - true.start)] if word.said else []

    def row(self) -> list[str]:
        """Return the cells of a table."""
        found = len(self.errors)
        shares = [f"{sum(error <= limit for error in self.errors) / max(found, 1):.0%}" for limit in (0.1, 0.25)]
        starts = (
            [f"{found} of {self.turns}", f"{statistics.median(self.errors):.2f} s", *shares] if found else ["–"] * 4
        )
        marked = f"{self.unsaid_marked} of {self.unsaid}" if self.unsaid else "–"
        wrong = f"{self.said_marked} of {self.said}" if self.said else "–"
        return [*starts, marked, wrong, f"{self.seconds:.2f} s"]


def script_of(recording: Recording) -> Script:
    """Return the words that are said in a recording; punctuation alone is no word."""
    script: Script = []
    samples = recording.load()
    ends = [turn.start for turn in recording.turns[1:]] + [len(samples) / SAMPLE_RATE]
    for turn, end in zip(recording.turns, ends, strict=True):
        words = [word for word in turn.text.split() if keys_of(word)]
        start = first_loud(samples, turn.start, end)
        script += [ScriptWord(word, start=None if at else start) for at, word in enumerate(words)]
    return script


def first_loud(samples: Samples, start: float, end: float) -> float:
    """Return the time of the first 20 ms between two times that have a tenth of the amplitude of the loudest ones.

    A clip of LibriSpeech begins with up to half a second of silence.
    """
    clip = samples[round(start * SAMPLE_RATE) : round(end * SAMPLE_RATE)]
    frames = clip[: len(clip) // FRAME * FRAME].reshape(-1, FRAME)
    loudness = np.sqrt(np.mean(frames**2, axis=1))
    return start + float(np.argmax(loudness >= LOUD * loudness.max())) * FRAME / SAMPLE_RATE


def replaced(script: Script, strange: Sequence[str], generator: random.Random) -> Script:
    """Return a text in which a tenth of the words are others. A word is said in their place: they count as said."""
    return [word._replace(text=generator.choice(strange)) if generator.random() < REPLACED else word for word in script]


def inserted(script: Script, strange: Sequence[str], generator: random.Random) -> Script:
    """Return a text with a run of words in its middle that nobody says."""
    start, middle = generator.randrange(max(len(strange) - INSERTED, 1)), len(script) // 2
    run = [ScriptWord(word, is_said=False) for word in strange[start : start + INSERTED]]
    return [*script[:middle], *run, *script[middle:]]


def other(_: Script, strange: Sequence[str], generator: random.Random) -> Script:
    """Return the text of another recording."""
    return [ScriptWord(word, is_said=False) for word in strange]


VARIANTS: dict[str, Callable[[Script, Sequence[str], random.Random], Script]] = {
    "the text": lambda script, *_: script,
    "10 % of its words replaced": replaced,
    "20 words inserted": inserted,
    "the text of another recording": other,
}


def measure(
    recordings: Sequence[Recording], transcripts: Sequence[Transcript], force: Force | None = None
) -> dict[str, Outcome]:
    """Return the outcome of each variant of the texts. force: changes the times after the words are matched."""
    outcomes = {name: Outcome() for name in VARIANTS}
    scripts = list(map(script_of, recordings))
    clips = [{turn.text for turn in recording.turns} for recording in recordings]
    for number, (script, transcript) in enumerate(zip(scripts, transcripts, strict=True)):
        samples = recordings[number].load()
        # Some recordings have clips in common.
        others = [words for words, texts in zip(scripts, clips, strict=True) if not texts & clips[number]]
        strange = [word.text for word in others[number % len(others)]]
        for name, change in VARIANTS.items():
            changed = change(script, strange, random.Random(number))
            started = time.process_time()
            aligned = align_text(transcript, " ".join(word.text for word in changed))
            if force is not None:
                aligned = force(Audio(samples), aligned)
            outcomes[name].seconds += time.process_time() - started
            outcomes[name].add(changed, aligned.words)
    return outcomes


def force_with(engine: Engine, config: InferenceConfig, audio: Audio, aligned: Transcript) -> Transcript:
    """Return an aligned text with times from an engine that is forced over it."""
    return engine.force(audio, aligned, config)


def main() -> None:
    """Transcribe the recordings, align the texts and print a table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model", required=True, help="Whisper checkpoint")
    parser.add_argument("--recordings", type=Path, required=True, metavar="MANIFEST", help="manifest of recordings")
    parser.add_argument("--beam-size", type=int, default=1, help="beams of the transcription (default: 1)")
    options = parser.parse_args()
    recordings = [
        one
        for one in read_manifest(options.recordings)
        if len(one.turns) > 1 and not one.utterances and one.unit == "words"
    ]
    transcriber = Transcriber(ModelSettings.from_environment(asr_model=options.model))
    config = InferenceConfig(timestamps="word", beam_size=options.beam_size)
    transcripts = [transcriber.transcribe(Audio(one.load()), config) for one in recordings]
    seconds = sum(transcript.duration for transcript in transcripts)
    print(f"{len(recordings)} recordings, {seconds / 60:.0f} minutes\n")
    head = ["text", "turns found", "start off by (median)", "within 0.1 s", "within 0.25 s"]
    head += ["unsaid words marked", "said words marked", "CPU time"]
    for title, force in (("matched", None), ("matched, then forced", partial(force_with, transcriber.engine, config))):
        outcomes = measure(recordings, transcripts, force)
        print(f"{title}\n\n{table(head, {name: outcome.row() for name, outcome in outcomes.items()})}\n", flush=True)


if __name__ == "__main__":
    main()
