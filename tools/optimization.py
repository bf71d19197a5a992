"""Optimizers of the demo models, and training state that survives an interruption."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor, nn

LEARNING_RATES = (0.02, 2e-3)  # of Muon and of AdamW, before the schedule's factor


def muon_and_adamw(
    matrices: Sequence[Tensor], others: Sequence[Tensor], betas: tuple[float, float]
) -> list[torch.optim.Optimizer]:
    """Return Muon (Jordan et al. 2024) for the matrices of hidden layers, and AdamW for all other parameters."""
    return [
        torch.optim.Muon(matrices, lr=LEARNING_RATES[0], momentum=0.95, weight_decay=0.01),
        torch.optim.AdamW(others, lr=LEARNING_RATES[1], betas=betas, weight_decay=0.0),
    ]


@dataclass
class Training:
    """Modules and optimizers of a training run, with everything that is needed to resume it."""

    modules: Mapping[str, nn.Module]
    optimizers: list[torch.optim.Optimizer]
    step: int = 0

    def save(self, path: Path) -> None:
        """Save the state; an interruption leaves the previous file intact."""
        state = {name: module.state_dict() for name, module in self.modules.items()}
        partial = path.with_suffix(".part")
        torch.save(
            {**state, "step": self.step, "optimizers": [optimizer.state_dict() for optimizer in self.optimizers]},
            partial,
        )
        partial.replace(path)

    def load(self, path: Path) -> None:
        """Load the state that `save` wrote."""
        state = torch.load(path)
        for name, module in self.modules.items():
            module.load_state_dict(state[name])
        for optimizer, saved in zip(self.optimizers, state["optimizers"], strict=True):
            optimizer.load_state_dict(saved)
        self.step = state["step"]

    def update(self, loss: Tensor, factor: float, clipped: Iterable[Tensor]) -> None:
        """Take one step at `factor` of the learning rates; limit the gradient norm of `clipped` to 1."""
        for optimizer, rate in zip(self.optimizers, LEARNING_RATES, strict=True):
            optimizer.param_groups[0]["lr"] = rate * factor
        loss.backward()  # type: ignore[no-untyped-call]
        nn.utils.clip_grad_norm_(clipped, 1.0)
        for optimizer in self.optimizers:
            optimizer.step()
            optimizer.zero_grad()
        self.step += 1
