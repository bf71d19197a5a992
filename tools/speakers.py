"""The speakers of the diarization training: several utterances by each, cached in `tools/.cache`."""

import random
from dataclasses import dataclass

import torch

from tools.corpus import Clip, load_cached, make_clip, mel_filters
from tools.sentences import BACKCHANNELS, Language, Sentence, random_sentence, sentence_from_templates
from tools.voices import ACCENTS, TRAIN_VARIANTS, VARIANTS, Synthesizer, Voice, VoiceSplit, voice_name

# The Whisper model's validation voices are too few for conversations: five of its training voices validate as well.
_VALIDATION_VARIANTS = (*VARIANTS["validation"], "adam", "f2", "Hugo", "shelby", "victor")
DIARIZATION_VARIANTS: dict[VoiceSplit, tuple[str, ...]] = {
    "train": tuple(name for name in TRAIN_VARIANTS if name not in _VALIDATION_VARIANTS),
    "validation": _VALIDATION_VARIANTS,
    "test": VARIANTS["test"],
}
SENTENCES, BACKCHANNEL_COUNT = 9, 4  # utterances of one speaker


@dataclass(frozen=True)
class Speaker:
    """A speaker with one voice: sentences and short backchannels."""

    variant: str
    sentences: list[Clip]
    backchannels: list[Clip]


def random_speaker(rng: random.Random, language: Language, variant: str) -> Voice:
    """Return a random voice with the given variant."""
    accent = rng.choice(ACCENTS[language])
    return Voice(voice_name(accent, variant), rng.randint(130, 200), rng.randint(30, 70), rng.randint(30, 70))


def load_speakers(count: int) -> list[Speaker]:
    """Return about `count` training speakers, cached."""
    return load_cached("speakers", _make_speakers, count)


def _make_speakers(seed: int, count: int) -> list[Speaker]:
    """Make `count` speakers; drop those with too few sentences of 0.4 s or more."""
    torch.set_num_threads(1)
    rng, synthesizer, filters = random.Random(f"speakers {seed}"), Synthesizer(), mel_filters()

    def synthesize(sentence: Sentence, voice: Voice) -> Clip:
        return make_clip(sentence, synthesizer.synthesize(sentence.text, voice), filters)

    speakers = []
    for _ in range(count):
        language: Language = rng.choice(("en", "en", "de"))
        variant = rng.choice(DIARIZATION_VARIANTS["train"])
        voice = random_speaker(rng, language, variant)
        sentences = [synthesize(random_sentence(rng, language, "train"), voice) for _ in range(SENTENCES)]
        backchannels = [
            synthesize(sentence_from_templates(rng, language, BACKCHANNELS), voice) for _ in range(BACKCHANNEL_COUNT)
        ]
        long_enough = [clip for clip in sentences if len(clip.log_mel) > 40]
        if len(long_enough) > SENTENCES // 2:
            speakers.append(Speaker(variant, long_enough, [clip for clip in backchannels if len(clip.log_mel) > 15]))
    return speakers
