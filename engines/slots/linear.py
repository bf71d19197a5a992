"""Linear layers as plain functions, in the model's own precision or in int8."""

import warnings
from collections.abc import Callable

import torch
from torch import Tensor, nn
from torch.nn import functional

Linear = Callable[[Tensor], Tensor]
Maker = Callable[[Tensor, Tensor | None], Linear]
"""(weight, bias) → the layer."""


def plain(weight: Tensor, bias: Tensor | None = None) -> Linear:
    """x · weightᵀ + bias."""
    return lambda x: functional.linear(x, weight, bias)


def int8(weight: Tensor, bias: Tensor | None = None) -> Linear:
    """Weights in int8, a scale each row; activations in int8 as they come, a scale each call. CPU only."""
    packed = torch.ops.quantized.linear_prepack(_rounded(weight.detach().float()), bias)
    return lambda x: torch.ops.quantized.linear_dynamic(x, packed)


def _rounded(weight: Tensor) -> Tensor:
    scales = weight.abs().amax(dim=1).clamp_min(1e-8).double() / 127
    with warnings.catch_warnings():
        # torch announces the end of these tensors; what is to come after them takes twice the time for one row.
        warnings.simplefilter("ignore", UserWarning)
        return torch.quantize_per_channel(weight, scales, torch.zeros(len(weight), dtype=torch.long), 0, torch.qint8)


class Int8(nn.Module):
    """An nn.Linear's stand-in inside a module."""

    def __init__(self, layer: nn.Linear) -> None:
        super().__init__()
        self.layer = int8(layer.weight, layer.bias)

    def forward(self, x: Tensor) -> Tensor:
        return self.layer(x)


def quantize(module: nn.Module) -> None:
    """Every linear layer inside becomes int8, in place."""
    for name, child in module.named_children():
        if isinstance(child, nn.Linear):
            setattr(module, name, Int8(child))
        else:
            quantize(child)
