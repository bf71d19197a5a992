"""The training speech: utterances as mel power with word times, cached in `tools/.cache`."""

import pickle
import random
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TypeVar

import numpy as np
import torch

from tools.sentences import Language, Sentence, random_sentence, random_word_list
from tools.voices import SAMPLE_RATE, Synthesizer, Utterance, VoiceSplit, random_voice

CACHE = Path(__file__).parent / ".cache"
MELS = 80
FRAMES_PER_SECOND = 100
_WINDOW = torch.hann_window(400)

Item = TypeVar("Item")


@dataclass(frozen=True)
class Clip:
    """One utterance: log10 mel power (frames, 80), 100 frames a second, and (start, end) of its words in seconds."""

    text: str
    language: Language
    english: str
    word_times: list[tuple[float, float]]
    log_mel: np.ndarray  # float16


def mel_filters() -> torch.Tensor:
    """Return Whisper's mel filter bank, (201, 80)."""
    from transformers import WhisperFeatureExtractor

    return torch.tensor(WhisperFeatureExtractor(feature_size=MELS).mel_filters, dtype=torch.float32)


def mel_power(samples: np.ndarray, filters: torch.Tensor) -> np.ndarray:
    """Return the mel power (frames, 80) of 16 kHz samples, as WhisperFeatureExtractor computes it."""
    spectrum = torch.stft(torch.from_numpy(samples), 400, 160, window=_WINDOW, center=True, return_complex=True)
    return (filters.T @ spectrum[:, :-1].abs().square()).T.numpy()


def make_clip(sentence: Sentence, utterance: Utterance, filters: torch.Tensor) -> Clip:
    """Return the clip of a sentence and its speech."""
    log_mel = np.log10(np.maximum(mel_power(utterance.samples, filters), 1e-10))
    return Clip(sentence.text, sentence.language, sentence.english, utterance.word_times, log_mel.astype(np.float16))


def load_cached(name: str, make: Callable[[int, int], list[Item]], count: int, workers: int = 2) -> list[Item]:
    """Return `count` items from the cache; on the first call make them with `make(seed, count)` in each worker."""
    path = CACHE / f"{name}-{count}.pickle"
    if not path.exists():
        CACHE.mkdir(exist_ok=True)
        with ProcessPoolExecutor(workers) as pool:
            parts = list(pool.map(make, range(workers), [count // workers] * workers))
        path.write_bytes(pickle.dumps([item for part in parts for item in part]))
    items: list[Item] = pickle.loads(path.read_bytes())
    return items


def load_corpus(split: VoiceSplit, count: int) -> list[Clip]:
    """Return `count` clips by the voices of a split, cached.

    The train split has the training sentences, the others have the held-out sentences.
    """
    return load_cached(split, partial(_make_clips, split), count)


def _make_clips(split: VoiceSplit, seed: int, count: int) -> list[Clip]:
    torch.set_num_threads(1)
    rng, synthesizer, filters = random.Random(f"{split} {seed}"), Synthesizer(), mel_filters()
    clips: list[Clip] = []
    while len(clips) < count:
        language: Language = rng.choice(("en", "de"))
        if split == "train" and rng.random() < 0.2:
            sentence = random_word_list(rng, language)
        else:
            sentence = random_sentence(rng, language, "train" if split == "train" else "test")
        utterance = synthesizer.synthesize(sentence.text, random_voice(rng, language, split))
        if len(utterance.samples) >= 0.1 * SAMPLE_RATE:
            clips.append(make_clip(sentence, utterance, filters))
    return clips
