"""How well a given text is aligned with a recording: python -m benchmarks.alignment --model DIR --recordings MANIFEST.

The recordings are those of the manifest that were put together from clips: the start of each clip is known. A text is
aligned as it is, with words replaced, with words inserted that nobody says, and with another recording. Start errors
are those of the first word of each clip, and include the silence with which a clip begins.
"""

import argparse
import random
import statistics
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

from benchmarks.speech.recordings import Recording, read_manifest
from benchmarks.speech.report import table
from transcription.audio import Audio
from transcription.config import InferenceConfig, ModelSettings
from transcription.transcriber import Transcriber
from transcription.transcript import Transcript, Word
from transcription.whisper.given_text import keys_of
from transcription.whisper.text_alignment import align_text

REPLACED, INSERTED = 0.1, 20
Script = list[tuple[str, bool]]
"""The words of a text, and whether each is said."""


def words_of(text: str) -> list[str]:
    """Return the words of a text that have letters or digits."""
    return [word for word in text.split() if keys_of(word)]


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
        """Count words that are rightly and wrongly marked as not said."""
        for (_, is_said), word in zip(script, words, strict=True):
            self.said += is_said
            self.said_marked += is_said and not word.said
            self.unsaid += not is_said
            self.unsaid_marked += not (is_said or word.said)

    def row(self) -> list[str]:
        """Return the cells of a table."""
        found = len(self.errors)
        shares = [
            f"{sum(error <= limit for error in self.errors) / found:.0%}" if found else "–" for limit in (0.1, 0.25)
        ]
        median = f"{statistics.median(self.errors):.2f} s" if found else "–"
        marked = f"{self.unsaid_marked} of {self.unsaid}" if self.unsaid else "–"
        wrong = f"{self.said_marked} of {self.said}" if self.said else "–"
        return [f"{found} of {self.turns}", median, *shares, marked, wrong, f"{self.seconds:.2f} s"]


def replaced(script: Script, strange: Sequence[str], generator: random.Random) -> Script:
    """Return a text in which a tenth of the words are others. They are where a word is said, so they count as said."""
    return [(generator.choice(strange) if generator.random() < REPLACED else word, said) for word, said in script]


def inserted(script: Script, strange: Sequence[str], generator: random.Random) -> Script:
    """Return a text with a run of words in its middle that nobody says."""
    start, middle = generator.randrange(max(len(strange) - INSERTED, 1)), len(script) // 2
    return [*script[:middle], *((word, False) for word in strange[start : start + INSERTED]), *script[middle:]]


def other(_: Script, strange: Sequence[str], generator: random.Random) -> Script:
    """Return the text of another recording."""
    return [(word, False) for word in strange]


VARIANTS: dict[str, Callable[[Script, Sequence[str], random.Random], Script]] = {
    "the text": lambda script, *_: script,
    "10 % of its words replaced": replaced,
    "20 words inserted": inserted,
    "the text of another recording": other,
}


def measure(recordings: Sequence[Recording], transcripts: Sequence[Transcript]) -> dict[str, Outcome]:
    """Return the outcome of each variant of the texts."""
    outcomes = {name: Outcome() for name in VARIANTS}
    for number, (recording, transcript) in enumerate(zip(recordings, transcripts, strict=True)):
        script = [(word, True) for turn in recording.turns for word in words_of(turn.text)]
        strange = words_of(recordings[number - 1].text or "")
        for name, change in VARIANTS.items():
            outcome, changed = outcomes[name], change(script, strange, random.Random(number))
            started = time.process_time()
            words = align_text(transcript, " ".join(word for word, _ in changed)).words
            outcome.seconds += time.process_time() - started
            outcome.add(changed, words)
            if name == "the text":
                outcome.turns += len(recording.turns)
                outcome.errors += start_errors(recording, words)
    return outcomes


def start_errors(recording: Recording, words: Sequence[Word]) -> list[float]:
    """Return the distances of the first words of turns from the starts of the turns, in seconds."""
    errors, at = [], 0
    for turn in recording.turns:
        if words[at].said:
            errors.append(abs(words[at].start - turn.start))
        at += len(words_of(turn.text))
    return errors


def main() -> None:
    """Transcribe the recordings, align the texts and print a table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model", required=True, help="Whisper checkpoint")
    parser.add_argument("--recordings", type=Path, required=True, metavar="MANIFEST", help="manifest of recordings")
    parser.add_argument("--beam-size", type=int, default=1, help="beams of the transcription (default: 1)")
    options = parser.parse_args()
    recordings = [
        replace(one, text=" ".join(turn.text for turn in one.turns))
        for one in read_manifest(options.recordings)
        if len(one.turns) > 1 and not one.utterances and one.unit == "words"
    ]
    transcriber = Transcriber(ModelSettings.from_environment(asr_model=options.model))
    config = InferenceConfig(timestamps="word", beam_size=options.beam_size)
    transcripts = [transcriber.transcribe(Audio(one.load()), config) for one in recordings]
    seconds = sum(transcript.duration for transcript in transcripts)
    print(f"{len(recordings)} recordings, {seconds / 60:.0f} minutes\n")
    head = ["text", "turns found", "start off by (median)", "within 0.1 s", "within 0.25 s"]
    head += ["unsaid words marked", "said words marked", "time of the matching"]
    print(table(head, {name: outcome.row() for name, outcome in measure(recordings, transcripts).items()}))


if __name__ == "__main__":
    main()
