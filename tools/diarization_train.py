"""Train a network of `models/demo-diarization`: `python -m tools.diarization_train segmentation|embedding`.

Both networks learn from the same windows of simulated conversations. Segmentation predicts the powerset of at most two
out of three speakers, with a permutation-invariant loss (Plaquet & Bredin 2023). The embedding has a supervised
contrastive loss (Khosla et al. 2020). Training only: both also classify the speaker's variant of espeak-ng.
Training can be interrupted and resumed; its state is in `tools/.cache`.
"""

import argparse
import itertools
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from pyannote.audio.core.task import Problem, Resolution, Specifications
from torch import Tensor, nn
from torch.nn import functional

from models.speaker_nets import EmbeddingNet, SegmentationNet
from tools.corpus import CACHE, mel_filters
from tools.diarization_windows import MAX_SPEAKERS, SECONDS, Window, WindowGenerator
from tools.optimization import Training, muon_and_adamw
from tools.speakers import DIARIZATION_VARIANTS, Speaker, load_speakers

SPEAKER_COUNT = 1600
SPECIFICATIONS = Specifications(
    problem=Problem.MONO_LABEL_CLASSIFICATION, resolution=Resolution.FRAME, duration=SECONDS,
    classes=[f"speaker#{number}" for number in range(1, MAX_SPEAKERS + 1)], powerset_max_classes=2,
    permutation_invariant=True,
)  # fmt: skip
POWERSET = [
    set(), *({speaker} for speaker in range(MAX_SPEAKERS)), *map(set, itertools.combinations(range(MAX_SPEAKERS), 2)),
]  # fmt: skip
"""The speakers of each class, in pyannote's order."""
PERMUTATIONS = torch.tensor(
    [
        [POWERSET.index({order[speaker] for speaker in members}) for members in POWERSET]
        for order in itertools.permutations(range(MAX_SPEAKERS))
    ]
)
"""(permutations, classes): the class that each class becomes when the speakers are permuted."""


def powerset_labels(windows: list[Window]) -> Tensor:
    """Return the powerset class of every frame, (windows, frames). Only two of three simultaneous speakers count."""
    class_of = {sum(2**speaker for speaker in members): index for index, members in enumerate(POWERSET)}
    rows = []
    for window in windows:
        first_two = window.active & (np.cumsum(window.active, axis=1) <= 2)
        codes = (first_two * 2 ** np.arange(first_two.shape[1])).sum(1)
        rows.append([class_of[int(code)] for code in codes])
    return torch.tensor(rows)


def powerset_loss(logprobs: Tensor, labels: Tensor) -> Tensor:
    """Return the cross-entropy under the best permutation of speakers; logprobs (windows, frames, classes)."""
    losses = torch.stack(
        [-logprobs.gather(2, permutation[labels][..., None]).mean((1, 2)) for permutation in PERMUTATIONS]
    )
    return losses.amin(0).mean()


def contrastive_loss(embeddings: Tensor, speakers: Tensor, temperature: float) -> Tensor:
    """Return the supervised contrastive loss (Khosla et al. 2020, eq. 2)."""
    itself = torch.eye(len(speakers), dtype=torch.bool)
    similarity = ((embeddings @ embeddings.T) / temperature).masked_fill(itself, -1e4)
    same_speaker = (speakers[:, None] == speakers) & ~itself
    logprobs = functional.log_softmax(similarity, dim=1)
    has_pair = same_speaker.any(1)
    return -((logprobs * same_speaker).sum(1)[has_pair] / same_speaker.sum(1)[has_pair]).mean()


def new_segmentation() -> SegmentationNet:
    """Return an untrained segmentation network."""
    torch.manual_seed(0)
    net = SegmentationNet()
    net.specifications = SPECIFICATIONS
    net.build()
    net.power.filters.copy_(mel_filters())
    return net


def new_embedding() -> EmbeddingNet:
    """Return an untrained embedding network."""
    torch.manual_seed(0)
    net = EmbeddingNet()
    net.specifications = Specifications(
        problem=Problem.REPRESENTATION, resolution=Resolution.CHUNK, duration=SECONDS, min_duration=0.5
    )
    net.power.filters.copy_(mel_filters())
    return net


def variant_labels(speakers: list[Speaker]) -> list[int]:
    """Return the index of each speaker's variant among the training variants."""
    return [DIARIZATION_VARIANTS["train"].index(speaker.variant) for speaker in speakers]


class SegmentationTraining(nn.Module):
    """The segmentation network with its training loss and a classifier of each frame's variant."""

    def __init__(self, speakers: list[Speaker]) -> None:
        super().__init__()
        self.net = new_segmentation()
        self.variants = variant_labels(speakers)
        self.variant_classifier = nn.Linear(self.net.hparams.width, len(DIARIZATION_VARIANTS["train"]))

    def forward(self, mel: Tensor, windows: list[Window]) -> tuple[Tensor, dict[str, float]]:
        """Return the loss and its parts."""
        hidden = self.net.hidden(mel)
        loss = powerset_loss(self.net.activation(self.net.classifier(hidden)), powerset_labels(windows))
        labels = torch.tensor(
            [[self.variants[window.speakers[int(row.argmax())]] if row.any() else -100 for row in window.alone]
             for window in windows]
        )  # fmt: skip
        logits = self.variant_classifier(hidden).flatten(0, 1)
        variant = functional.cross_entropy(logits, labels.flatten(), ignore_index=-100)
        return loss + 0.2 * variant, {"powerset": loss.item(), "variant": variant.item()}


class EmbeddingTraining(nn.Module):
    """The embedding network with its training loss and a classifier of the variants."""

    def __init__(self, speakers: list[Speaker], temperature: float = 0.1) -> None:
        super().__init__()
        self.net = new_embedding()
        self.temperature = temperature
        self.variants = torch.tensor(variant_labels(speakers))
        self.variant_classifier = nn.Linear(self.net.dimension, len(DIARIZATION_VARIANTS["train"]))

    def forward(self, mel: Tensor, windows: list[Window]) -> tuple[Tensor, dict[str, float]]:
        """Return the loss and its parts."""
        rows, masks, indices = solo_speech(windows, min_frames=20)
        embeddings = self.net.embed(mel[rows], torch.from_numpy(np.stack(masks)).float())
        speakers = torch.tensor(indices)
        contrast = contrastive_loss(embeddings, speakers, self.temperature)
        variant = functional.cross_entropy(self.variant_classifier(embeddings * 10), self.variants[speakers])
        return contrast + 0.3 * variant, {"contrast": contrast.item(), "variant": variant.item()}


def solo_speech(windows: list[Window], min_frames: int) -> tuple[list[int], list[np.ndarray], list[int]]:
    """Return the speakers who speak alone for min_frames or more: window index, mask (frames,), speaker index."""
    rows, masks, speakers = [], [], []
    for row, window in enumerate(windows):
        for mask, speaker in zip(window.alone.T, window.speakers, strict=True):
            if mask.sum() >= min_frames:
                rows.append(row)
                masks.append(mask)
                speakers.append(speaker)
    return rows, masks, speakers


@dataclass(frozen=True)
class Recipe:
    """The training of one network. speakers: how many of the training speakers occur in a batch."""

    module: Callable[[list[Speaker]], nn.Module]
    batch_size: int
    speakers: int
    steps: int


RECIPES = {
    "segmentation": Recipe(SegmentationTraining, batch_size=32, speakers=SPEAKER_COUNT, steps=2200),
    "embedding": Recipe(EmbeddingTraining, batch_size=48, speakers=24, steps=3000),
}


def optimizers(module: nn.Module) -> list[torch.optim.Optimizer]:
    """Return the optimizers of all parameters."""
    named = dict(module.named_parameters())
    matrices = {
        name for name, value in named.items()
        if value.ndim == 2 and not name.startswith(("variant_classifier", "net.classifier"))
    }  # fmt: skip
    return muon_and_adamw(
        [named[name] for name in sorted(matrices)],
        [named[name] for name in named if name not in matrices],
        betas=(0.9, 0.999),
    )


def learning_rate_factor(step: int, steps: int) -> float:
    """Return the factor on the learning rates: a warm-up of 50 steps, flat, then linear to 0 over the last half."""
    return min((step + 1) / 50, 1.0, 2 * (steps - step) / steps)


def main() -> None:
    """Run the command."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("network", choices=RECIPES)
    parser.add_argument("--steps", type=int, help="number of training steps")
    parser.add_argument("--state", type=Path, help="file of the training state")
    options = parser.parse_args()
    path = options.state or CACHE / f"{options.network}.pt"
    recipe, speakers = RECIPES[options.network], load_speakers(SPEAKER_COUNT)
    steps = options.steps or recipe.steps
    module = recipe.module(speakers)
    training = Training({"module": module}, optimizers(module))
    if path.exists():
        training.load(path)
    resumed_at, started, history = training.step, time.time(), []
    generator = WindowGenerator(speakers, seed=resumed_at)
    while training.step < steps:
        loss, parts = module(*generator.batch(recipe.batch_size, recipe.speakers))
        training.update(loss, learning_rate_factor(training.step, steps), module.parameters())
        history.append(parts)
        if training.step % 50 == 0 or training.step == steps:
            losses = " ".join(f"{name} {np.mean([past[name] for past in history]):.3f}" for name in parts)
            step_seconds = (time.time() - started) / (training.step - resumed_at)
            print(f"step {training.step}/{steps}  {losses}  {step_seconds:.2f} s/step", flush=True)
            history.clear()
            training.save(path)


if __name__ == "__main__":
    main()
