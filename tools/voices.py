"""Speech synthesis with word times, through the C library of espeak-ng, and the voices of each split.

Needs libespeak-ng (Debian: `apt-get install libespeak-ng1`). Nothing outside `tools/` needs it.
"""

import ctypes
import random
import re
from collections.abc import Callable
from dataclasses import dataclass, field
from itertools import pairwise
from typing import Literal

import numpy as np
import soxr

from tools.sentences import Language

VoiceSplit = Literal["train", "validation", "test"]

SAMPLE_RATE = 16_000

# For tests and samples; never trained on.
TEST_VARIANTS = ("m4", "f4", "Andrea", "max", "linda", "paul", "steph")
# This project never uses m7, Alicia, Mike, Storm, klatt3, grandma and the accent en-gb-x-gbclan:
# they are left for an independent evaluation.

VALIDATION_VARIANTS = ("m6", "Annie", "Marco")  # for evaluation during development
TRAIN_VARIANTS = (
    "", "adam", "Alex", "Andy", "antonio", "aunty", "belinda", "benjamin", "boris", "caleb", "david",
    "Denis", "Diogo", "ed", "edward", "edward2", "gene", "gene2", "Gustave", "Henrique", "Hugo",
    "iven", "iven2", "iven3", "iven4", "Jacky", "john", "kaukovalta", "Lee", "marcelo", "Mario",
    "Michael", "michel", "miguel", "Mr serious", "Nguyen", "pablo", "pedro", "quincy",
    "RicishayMax", "RicishayMax2", "RicishayMax3", "rob", "robert", "robosoft", "robosoft3",
    "robosoft5", "robosoft7", "Tweaky", "zac", "anika", "AnxiousAndy", "f1", "f2", "f3", "f5",
    "grandpa", "klatt", "klatt2", "klatt4", "klatt5", "klatt6", "m1", "m2", "m3", "m5", "m8",
    "norbert", "sandro", "shelby", "travis", "victor", "croak",
)  # fmt: skip
VARIANTS: dict[VoiceSplit, tuple[str, ...]] = {
    "train": TRAIN_VARIANTS,
    "validation": VALIDATION_VARIANTS,
    "test": TEST_VARIANTS,
}
ACCENTS: dict[Language, tuple[str, ...]] = {
    "en": ("en-us", "en-us", "en", "en", "en-gb-x-rp", "en-gb-scotland", "en-gb-x-gbcwmd",
           "en-029", "en-us-nyc"),
    "de": ("de",),
}  # fmt: skip


@dataclass(frozen=True)
class Voice:
    """One speaker: an espeak-ng voice and variant, words per minute, pitch and pitch range (0–99)."""

    name: str
    rate: int = 165
    pitch: int = 50
    pitch_range: int = 50


@dataclass(frozen=True)
class Utterance:
    """Speech, 16 kHz mono float32, with (start, end) of each word in seconds."""

    samples: np.ndarray
    word_times: list[tuple[float, float]]


def voice_name(accent: str, variant: str) -> str:
    """Return the name of an accent with a variant; an empty variant is the accent's own voice."""
    return f"{accent}+{variant}" if variant else accent


def random_voice(rng: random.Random, language: Language, split: VoiceSplit) -> Voice:
    """Return a random voice of a split."""
    variant = rng.choice(VARIANTS[split])
    accent = rng.choice(ACCENTS[language])
    return Voice(
        name=voice_name(accent, variant),
        rate=rng.randint(125, 215),
        pitch=rng.randint(25, 75),
        pitch_range=rng.randint(25, 75),
    )


class _Event(ctypes.Structure):
    _fields_ = [
        ("type", ctypes.c_int),
        ("unique_identifier", ctypes.c_uint),
        ("text_position", ctypes.c_int),
        ("length", ctypes.c_int),
        ("audio_position", ctypes.c_int),  # milliseconds
        ("sample", ctypes.c_int),
        ("user_data", ctypes.c_void_p),
        ("id", ctypes.c_char * 8),
    ]


_CALLBACK = ctypes.CFUNCTYPE(ctypes.c_int, ctypes.POINTER(ctypes.c_short), ctypes.c_int, ctypes.POINTER(_Event))
_LIST_TERMINATED, _WORD = 0, 1
_RATE, _PITCH, _RANGE = 1, 3, 4
_SYNCHRONOUS, _UTF8 = 2, 1


@dataclass
class Synthesizer:
    """espeak-ng. Create one per process, because the library keeps global state."""

    _rate: int = 0
    _pcm: list[np.ndarray] = field(default_factory=list)
    _starts: dict[int, float] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self._library = ctypes.CDLL("libespeak-ng.so.1")
        self._rate = self._library.espeak_Initialize(_SYNCHRONOUS, 0, None, 0)
        self._callback: Callable[..., int] = _CALLBACK(self._receive)  # keeps a reference: the library has none
        self._library.espeak_SetSynthCallback(self._callback)

    def synthesize(self, text: str, voice: Voice) -> Utterance:
        """Return the speech of a text.

        Raises ValueError if espeak-ng does not know the voice.
        """
        self._pcm, self._starts = [], {}
        if self._library.espeak_SetVoiceByName(voice.name.encode()) != 0:
            raise ValueError(f"espeak-ng has no voice {voice.name}")
        for parameter, value in (
            (_RATE, voice.rate), (_PITCH, voice.pitch), (_RANGE, voice.pitch_range),
        ):  # fmt: skip
            self._library.espeak_SetParameter(parameter, value, 0)
        data = text.encode()
        self._library.espeak_Synth(data, len(data) + 1, 0, 0, 0, _UTF8, None, None)
        self._library.espeak_Synchronize()
        pcm = np.concatenate([*self._pcm, np.zeros(1, np.int16)]).astype(np.float32) / 32768
        return _trim(text, soxr.resample(pcm, self._rate, SAMPLE_RATE), self._starts)

    def _receive(self, wav: object, count: int, events: object) -> int:
        """Collect samples and word starts; espeak-ng calls this for each buffer."""
        if count:
            self._pcm.append(np.ctypeslib.as_array(wav, (count,)).copy())
        index = 0
        while (event := events[index]).type != _LIST_TERMINATED:  # type: ignore[index]
            if event.type == _WORD:
                self._starts.setdefault(event.text_position - 1, event.audio_position / 1000)
            index += 1
        return 0


def _trim(text: str, samples: np.ndarray, starts: dict[int, float]) -> Utterance:
    """Trim silence at both ends, and give each word its time.

    starts: character position to seconds. A word ends at the start of the next word, the last one at the end of the
    sound. espeak-ng reports some pairs ("for the") as one word: their time is divided by letters.
    """
    words = [match.span() for match in re.finditer(r"\w+", text)]
    loud = np.flatnonzero(np.abs(samples) > 0.003)
    if not len(loud) or not words or words[0][0] not in starts:
        return Utterance(samples[:0], [])
    first, last = int(loud[0]), int(loud[-1]) + 1
    known = [*sorted(starts), len(text)]
    times = [min(max(starts[position] * SAMPLE_RATE - first, 0), last - first) for position in known[:-1]]
    bounds = np.interp([*(start for start, _ in words), len(text)], known, [*times, last - first])
    return Utterance(samples[first:last], list(pairwise((bounds / SAMPLE_RATE).tolist())))
