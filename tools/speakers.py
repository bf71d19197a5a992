"""The voices of the demo diarization: many speakers, each with a dozen utterances, kept in `training/.cache`."""

import pickle
import random
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from typing import Literal

import numpy as np
import torch

from tools.corpus import CACHE, Clip, mel_filters, mel_power
from tools.sentences import BACKCHANNELS, Language, Sentence, sentence, spoken
from tools.voices import ACCENTS, SAMPLE_RATE, TRAIN_VARIANTS, VARIANTS, Synthesizer, Voice

Side = Literal["train", "validation", "test"]

# Out of the Whisper model's training voices, to context the diarization by: three are too few for a meeting.
WATCH_VARIANTS = (*VARIANTS["validation"], "adam", "f2", "Hugo", "shelby", "victor")
SIDES: dict[Side, tuple[str, ...]] = {
    "train": tuple(name for name in TRAIN_VARIANTS if name not in WATCH_VARIANTS),
    "validation": WATCH_VARIANTS,
    "test": VARIANTS["test"],
}
SENTENCES, ASIDES = 9, 4  # utterances of one speaker


@dataclass(frozen=True)
class Speaker:
    """One voice: what it says at length, and what it throws in."""

    variant: str
    sentences: list[Clip]
    asides: list[Clip]


def random_speaker(rng: random.Random, language: Language, variant: str) -> Voice:
    """Someone with this variant's voice."""
    accent = rng.choice(ACCENTS[language])
    return Voice(
        f"{accent}+{variant}" if variant else accent, rng.randint(130, 200), rng.randint(30, 70), rng.randint(30, 70)
    )


def speakers(count: int, workers: int = 2) -> list[Speaker]:
    """`count` training speakers, made once and then read from the cache."""
    path = CACHE / f"speakers-{count}.pickle"
    if not path.exists():
        CACHE.mkdir(exist_ok=True)
        with ProcessPoolExecutor(workers) as pool:
            parts = list(pool.map(_make, range(workers), [count // workers] * workers))
        path.write_bytes(pickle.dumps([speaker for part in parts for speaker in part]))
    found: list[Speaker] = pickle.loads(path.read_bytes())
    return found


def _make(seed: int, count: int) -> list[Speaker]:
    torch.set_num_threads(1)
    rng, synthesizer, filters = random.Random(f"speakers {seed}"), Synthesizer(), mel_filters()

    def say(said: Sentence, voice: Voice) -> Clip:
        uttered = synthesizer.say(said.text, voice)
        log_mel = np.log10(np.maximum(mel_power(uttered.samples, filters), 1e-10))
        return Clip(said.text, said.language, said.english, uttered.word_times, log_mel.astype(np.float16))

    made = []
    for _ in range(count):
        language: Language = rng.choice(("en", "en", "de"))
        variant = rng.choice(SIDES["train"])
        voice = random_speaker(rng, language, variant)
        sentences = [say(sentence(rng, language, "train"), voice) for _ in range(SENTENCES)]
        asides = [say(spoken(rng, language, BACKCHANNELS), voice) for _ in range(ASIDES)]
        long_enough = [clip for clip in sentences if len(clip.log_mel) > 40]
        if len(long_enough) > SENTENCES // 2:
            made.append(Speaker(variant, long_enough, [clip for clip in asides if len(clip.log_mel) > 15]))
    return made


__all__ = ["SAMPLE_RATE", "SIDES", "Side", "Speaker", "random_speaker", "speakers"]
