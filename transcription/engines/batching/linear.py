"""Layers as plain functions: linear ones in the model's own precision or in int8, and normalisation."""

import warnings
from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor
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


def joined(layers: list[Any], linear: Maker) -> Linear:
    """Several linear layers of one input as one. The originals become views: nothing is held twice."""
    weight = torch.cat([layer.weight.detach() for layer in layers])
    zeros = [layer.weight.new_zeros(len(layer.weight)) for layer in layers]  # Whisper's keys have no bias
    bias = torch.cat([zero if layer.bias is None else layer.bias for layer, zero in zip(layers, zeros, strict=True)])
    if linear is plain:
        for layer, part in zip(layers, torch.split(weight, [len(layer.weight) for layer in layers]), strict=True):
            layer.weight.data = part
    return linear(weight, bias.detach())


class Norm:
    """Layer normalisation."""

    def __init__(self, layer: Any) -> None:
        self.shape, self.weight, self.bias, self.eps = layer.normalized_shape, layer.weight, layer.bias, layer.eps

    def __call__(self, x: Tensor) -> Tensor:
        return functional.layer_norm(x, self.shape, self.weight, self.bias, self.eps)
