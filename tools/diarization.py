"""Trains the two networks of `models/demo-diarization`: `python -m training.diarization segmentation`, `… embedding`.

Both hear the same 5 s windows of conversations, mixed in mel power. Segmentation learns the powerset of
at most two of three voices with the permutation that fits best (Plaquet & Bredin 2023), and, as an aid
while training, which variant of espeak-ng each frame's voice is. The embedding learns to put the same voice
near itself and far from the others of its batch (supervised contrast, Khosla et al. 2020), and the variants
as an aid. Stops and resumes; the state lies in `training/.cache`.
"""

import argparse
import itertools
import random
import time
from dataclasses import dataclass, replace
from pathlib import Path

import librosa
import numpy as np
import torch
from pyannote.audio.core.task import Problem, Resolution, Specifications
from torch import Tensor, nn
from torch.nn import functional

from models.speaker_nets import EmbeddingNet, SegmentationNet, scaled
from tools.conversations import Manner, Placed, converse
from tools.corpus import CACHE, FRAMES_PER_SECOND, MELS, Clip, mel_filters
from tools.mixing import Channel, Sound
from tools.speakers import SIDES, Speaker, speakers

SECONDS = 5.0
MELS_TO_HERTZ = librosa.mel_frequencies(MELS + 2, fmin=0, fmax=8000)[1:-1]  # the middles of the bands
VOICES = 3  # at most so many speak in a window
FRAMES = int(SECONDS * 50)
POPULATION = 1600
RATES = (0.02, 2e-3)  # full learning rates of Muon and of AdamW
SPECIFICATIONS = Specifications(
    problem=Problem.MONO_LABEL_CLASSIFICATION, resolution=Resolution.FRAME, duration=SECONDS,
    classes=[f"speaker#{number}" for number in range(1, VOICES + 1)], powerset_max_classes=2,
    permutation_invariant=True,
)  # fmt: skip
# The powerset's classes, in pyannote's order, and (permutations, classes) the class that each becomes.
SETS = [set(), *({one} for one in range(VOICES)), *map(set, itertools.combinations(range(VOICES), 2))]
PERMUTED = torch.tensor(
    [
        [SETS.index({order[one] for one in members}) for members in SETS]
        for order in itertools.permutations(range(VOICES))
    ]
)


@dataclass(frozen=True)
class Window:
    """Mel power (500, 80); who speaks (250 frames, speakers); their places among the training speakers."""

    power: np.ndarray
    active: np.ndarray
    who: list[int]


class Windows:
    """Windows of conversations between training speakers, without end.

    A crowd of few speakers meets in one room: windows of a batch then share their channel, as those of one
    recording do, and every speaker has a vocal tract of a length drawn anew, so that there are more voices
    than espeak-ng has (vocal tract length perturbation, Jaitly & Hinton 2013).
    """

    def __init__(self, population: list[Speaker], seed: int) -> None:
        self.rng = random.Random(seed)
        self.population, self.sound = population, Sound(random.Random(seed))
        self.crowd = list(range(len(population)))
        self.channel: Channel | None = None
        self.stretch: dict[int, float] = {}

    def window(self) -> Window:
        """One window in which at most three voices are heard, each for a fifth of a second or more."""
        while True:
            rng = self.rng
            cast = rng.sample(self.crowd, rng.choice((1, 2, 2, 3, 3, 4)))
            manner = Manner(rng.uniform(0.1, 0.5), rng.uniform(0.05, 0.5), rng.uniform(0.2, 1.5), rng.uniform(0, 0.15))
            begin = rng.uniform(0, 8)
            placed = self._conversation(cast, begin + SECONDS, manner)
            active = activity(placed, begin, len(cast))
            heard = [voice for voice in range(len(cast)) if active[:, voice].any()]
            if len(heard) > VOICES or (active[:, heard].sum(0) < 10).any():
                continue
            end = begin + SECONDS
            inside = [(one.what, one.start - begin) for one in placed if one.end > begin and one.start < end]
            power = self.sound.mix(inside, int(SECONDS * FRAMES_PER_SECOND), self.channel)
            return Window(power, active[:, heard], [cast[voice] for voice in heard])

    def _conversation(self, cast: list[int], seconds: float, manner: Manner) -> list[Placed[Clip]]:
        rng, people = self.rng, [self.population[one] for one in cast]
        return converse(
            rng, len(cast), seconds, manner,
            lambda who: self._voiced(rng.choice(people[who].sentences), cast[who]),
            lambda who: self._voiced(rng.choice(people[who].asides or people[who].sentences), cast[who]),
            lambda clip: clip.word_times[-1][1],
        )  # fmt: skip

    def _voiced(self, clip: Clip, speaker: int) -> Clip:
        """The clip as this speaker's vocal tract makes it sound."""
        stretch = self.stretch.get(speaker, 1.0)
        return clip if stretch == 1.0 else replace(clip, log_mel=stretched(clip.log_mel, stretch))

    def batch(self, size: int, crowd: int) -> tuple[Tensor, list[Window]]:
        """Scaled mel power (size, 500, 80) and its windows; all talk comes from so many speakers."""
        self.crowd = self.rng.sample(range(len(self.population)), crowd)
        if crowd < len(self.population):
            self.channel = self.sound.channel()
            self.stretch = {one: self.rng.uniform(0.85, 1.18) for one in self.crowd}
        windows = [self.window() for _ in range(size)]
        return scaled(torch.from_numpy(np.stack([window.power for window in windows]))), windows


def stretched(log_mel: np.ndarray, factor: float) -> np.ndarray:
    """Log-mel (frames, 80) with all frequencies `factor` times as high."""
    places = MELS_TO_HERTZ / factor
    source = np.clip(np.interp(places, MELS_TO_HERTZ, np.arange(len(MELS_TO_HERTZ))), 0, len(MELS_TO_HERTZ) - 1)
    low = np.floor(source).astype(int)
    high = np.minimum(low + 1, len(MELS_TO_HERTZ) - 1)
    share = (source - low).astype(log_mel.dtype)
    return np.asarray(log_mel[:, low] * (1 - share) + log_mel[:, high] * share)


def activity(placed: list[Placed[Clip]], begin: float, voices: int) -> np.ndarray:
    """Who speaks in each 20 ms frame of the window from `begin`: (frames, voices), bool."""
    active = np.zeros((FRAMES, voices), dtype=bool)
    for one in placed:
        first, last = (min(max(round((at - begin) * 50), 0), FRAMES) for at in (one.start, one.end))
        active[first:last, one.speaker] = True
    return active


def classes_of(windows: list[Window]) -> Tensor:
    """The powerset class of every frame, (windows, frames). Of three at once the first two count."""
    rows = []
    for window in windows:
        both = window.active & (np.cumsum(window.active, axis=1) <= 2)
        code = (both * 2 ** np.arange(both.shape[1])).sum(1)
        table = {sum(2**one for one in members): index for index, members in enumerate(SETS)}
        rows.append([table[int(value)] for value in code])
    return torch.tensor(rows)


def powerset_loss(scores: Tensor, wanted: Tensor) -> Tensor:
    """Cross-entropy under the best permutation of the voices; scores (windows, frames, classes)."""
    each = torch.stack([-scores.gather(2, table[wanted][..., None]).mean((1, 2)) for table in PERMUTED])
    return each.amin(0).mean()


def new_segmentation() -> SegmentationNet:
    """An untrained segmentation network."""
    torch.manual_seed(0)
    net = SegmentationNet()
    net.specifications = SPECIFICATIONS
    net.build()
    net.power.filters.copy_(mel_filters())
    return net


def new_embedding() -> EmbeddingNet:
    """An untrained embedding network."""
    torch.manual_seed(0)
    net = EmbeddingNet()
    net.specifications = Specifications(
        problem=Problem.REPRESENTATION, resolution=Resolution.CHUNK, duration=SECONDS, min_duration=0.5
    )
    net.power.filters.copy_(mel_filters())
    return net


class Segmenting(nn.Module):
    """The segmentation network and its aid, a classifier of each frame's variant."""

    def __init__(self, population: list[Speaker]) -> None:
        super().__init__()
        self.net = new_segmentation()
        self.variants = [SIDES["train"].index(speaker.variant) for speaker in population]
        self.aid = nn.Linear(self.net.hparams.width, len(SIDES["train"]))

    def forward(self, mel: Tensor, windows: list[Window]) -> tuple[Tensor, dict[str, float]]:
        hidden, wanted = self.net.hidden(mel), classes_of(windows)
        scores = self.net.activation(self.net.classifier(hidden))
        loss = powerset_loss(scores, wanted)
        alone = torch.tensor(
            [[self.variants[window.who[int(row.argmax())]] if row.sum() == 1 else -100 for row in window.active]
             for window in windows]
        )  # fmt: skip
        variant = functional.cross_entropy(self.aid(hidden).flatten(0, 1), alone.flatten(), ignore_index=-100)
        return loss + 0.2 * variant, {"powerset": loss.item(), "variant": variant.item()}


class Embedding(nn.Module):
    """The embedding network and its aid, the directions of the variants."""

    def __init__(self, population: list[Speaker], warmth: float = 0.1) -> None:
        super().__init__()
        self.net = new_embedding()
        self.warmth = warmth
        self.variants = torch.tensor([SIDES["train"].index(speaker.variant) for speaker in population])
        self.aid = nn.Linear(self.net.dimension, len(SIDES["train"]))

    def forward(self, mel: Tensor, windows: list[Window]) -> tuple[Tensor, dict[str, float]]:
        rows, masks, who = [], [], []
        for row, window in enumerate(windows):
            alone = window.active & (window.active.sum(1, keepdims=True) == 1)
            for voice, speaker in enumerate(window.who):
                if alone[:, voice].sum() >= 20:  # 0.4 s
                    rows.append(row)
                    masks.append(alone[:, voice])
                    who.append(speaker)
        embedded = self.net.embed(mel[rows], torch.from_numpy(np.stack(masks)).float())
        voices = torch.tensor(who)
        contrast = contrast_loss(embedded, voices, self.warmth)
        variant = functional.cross_entropy(self.aid(embedded * 10), self.variants[voices])
        return contrast + 0.3 * variant, {"contrast": contrast.item(), "variant": variant.item()}


def contrast_loss(embedded: Tensor, voice: Tensor, warmth: float) -> Tensor:
    """−log of the share of the same voice among the neighbours of each embedding (Khosla et al. 2020, eq. 2)."""
    likeness = (embedded @ embedded.T) / warmth
    likeness = likeness.masked_fill(torch.eye(len(voice), dtype=torch.bool), -1e4)
    same = (voice[:, None] == voice) & ~torch.eye(len(voice), dtype=torch.bool)
    scores = functional.log_softmax(likeness, dim=1)
    paired = same.any(1)
    return -((scores * same).sum(1)[paired] / same.sum(1)[paired]).mean()


NETS = {"segmentation": (Segmenting, 32, POPULATION, 2200), "embedding": (Embedding, 48, 24, 3000)}
"""Each with the windows of a batch, how many speakers they are drawn from, and its steps."""


def optimizers(module: nn.Module) -> list[torch.optim.Optimizer]:
    """Muon (Jordan et al. 2024) for the matrices inside, AdamW for all else."""
    inside = {
        name for name, value in module.named_parameters()
        if value.ndim == 2 and not name.startswith(("aid", "net.classifier"))
    }  # fmt: skip
    named = dict(module.named_parameters())
    return [
        torch.optim.Muon([named[name] for name in sorted(inside)], lr=RATES[0], momentum=0.95, weight_decay=0.01),
        torch.optim.AdamW([named[name] for name in named if name not in inside], lr=RATES[1], weight_decay=0.0),
    ]


def factor_at(step: int, steps: int) -> float:
    """The factor on the learning rates: a short warm-up, flat, then linear to nothing over the last half."""
    return min((step + 1) / 50, 1.0, 2 * (steps - step) / steps)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("net", choices=NETS)
    parser.add_argument("--steps", type=int)
    parser.add_argument("--state", type=Path)
    options = parser.parse_args()
    path = options.state or CACHE / f"{options.net}.pt"
    population = speakers(POPULATION)
    kind, size, crowd, steps = NETS[options.net]
    steps = options.steps or steps
    module = kind(population)
    rules, step = optimizers(module), 0
    if path.exists():
        saved = torch.load(path)
        module.load_state_dict(saved["module"])
        step = saved["step"]
        for rule, state in zip(rules, saved["rules"], strict=True):
            rule.load_state_dict(state)
    windows, began, first, told = Windows(population, step), time.time(), step, []
    while step < steps:
        for rule, rate in zip(rules, RATES, strict=True):
            rule.param_groups[0]["lr"] = rate * factor_at(step, steps)
        loss, parts = module(*windows.batch(size, crowd))
        loss.backward()
        nn.utils.clip_grad_norm_(module.parameters(), 1.0)
        for rule in rules:
            rule.step()
            rule.zero_grad()
        step += 1
        told.append(parts)
        if step % 50 == 0 or step == steps:
            shown = " ".join(f"{name} {np.mean([one[name] for one in told]):.3f}" for name in parts)
            each = (time.time() - began) / (step - first)
            print(f"step {step}/{steps}  {shown}  {each:.2f} s a step", flush=True)
            told = []
            state = {"module": module.state_dict(), "step": step, "rules": [rule.state_dict() for rule in rules]}
            unfinished = path.with_suffix(".part")
            torch.save(state, unfinished)
            unfinished.replace(path)


if __name__ == "__main__":
    main()
