"""The training speech: utterances as mel power, with the time of every word, kept in `training/.cache`."""

import pickle
import random
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch

from tools.sentences import Language, sentence, word_list
from tools.voices import SAMPLE_RATE, Cast, Synthesizer, random_voice

CACHE = Path(__file__).parent / ".cache"
MELS = 80
FRAMES_PER_SECOND = 100
_WINDOW = torch.hann_window(400)


@dataclass(frozen=True)
class Clip:
    """One utterance: log10 mel power (frames, 80) at 100 frames a second, and its words in seconds."""

    text: str
    language: Language
    english: str
    word_times: list[tuple[float, float]]
    log_mel: np.ndarray  # float16


def mel_filters() -> torch.Tensor:
    """Whisper's filter bank, (201, 80)."""
    from transformers import WhisperFeatureExtractor

    return torch.tensor(WhisperFeatureExtractor(feature_size=MELS).mel_filters, dtype=torch.float32)


def mel_power(samples: np.ndarray, filters: torch.Tensor) -> np.ndarray:
    """Mel power (frames, 80) of 16 kHz samples, as WhisperFeatureExtractor computes it."""
    spectrum = torch.stft(torch.from_numpy(samples), 400, 160, window=_WINDOW, center=True, return_complex=True)
    return (filters.T @ spectrum[:, :-1].abs().square()).T.numpy()


def corpus(cast: Cast, size: int, workers: int = 2) -> list[Clip]:
    """`size` clips by the speakers of `cast`, made once and then read from the cache.

    The train cast says the training sentences, everyone else the held-out ones.
    """
    path = CACHE / f"{cast}-{size}.pickle"
    if not path.exists():
        CACHE.mkdir(exist_ok=True)
        with ProcessPoolExecutor(workers) as pool:
            parts = list(pool.map(_make, range(workers), [cast] * workers, [size // workers] * workers))
        path.write_bytes(pickle.dumps([clip for part in parts for clip in part]))
    clips: list[Clip] = pickle.loads(path.read_bytes())
    return clips


def _make(seed: int, cast: Cast, size: int) -> list[Clip]:
    torch.set_num_threads(1)
    rng, speaker, filters = random.Random(f"{cast} {seed}"), Synthesizer(), mel_filters()
    clips: list[Clip] = []
    while len(clips) < size:
        language: Language = rng.choice(("en", "de"))
        if cast == "train" and rng.random() < 0.2:
            said = word_list(rng, language)
        else:
            said = sentence(rng, language, "train" if cast == "train" else "test")
        uttered = speaker.say(said.text, random_voice(rng, language, cast))
        if len(uttered.samples) < 0.1 * SAMPLE_RATE:
            continue
        log_mel = np.log10(np.maximum(mel_power(uttered.samples, filters), 1e-10))
        clips.append(Clip(said.text, language, said.english, uttered.word_times, log_mel.astype(np.float16)))
    return clips
