"""Layers as plain functions: linear ones in the model's own precision or in int8, and layer normalisation."""

import warnings
from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional

Linear = Callable[[Tensor], Tensor]
MakeLinear = Callable[[Tensor, Tensor | None], Linear]
"""(weight, bias) → the layer."""
_FEW_QUERIES = 25  # the most that were measured


def linear(weight: Tensor, bias: Tensor | None = None) -> Linear:
    """Return the layer x · weightᵀ + bias."""
    return lambda x: functional.linear(x, weight, bias)


def int8_linear(weight: Tensor, bias: Tensor | None = None) -> Linear:
    """Return the layer with int8 weights (one scale per row) and dynamic int8 activations. CPU only."""
    packed = torch.ops.quantized.linear_prepack(_quantize(weight.detach().float()), bias)
    return lambda x: torch.ops.quantized.linear_dynamic(x, packed)


def _quantize(weight: Tensor) -> Tensor:
    scales = weight.abs().amax(dim=1).clamp_min(1e-8).double() / 127
    with warnings.catch_warnings():
        # torch has announced the end of these tensors; their successor takes twice the time for one row.
        warnings.simplefilter("ignore", UserWarning)
        return torch.quantize_per_channel(weight, scales, torch.zeros(len(weight), dtype=torch.long), 0, torch.qint8)


def fuse(layers: list[Any], make_linear: MakeLinear) -> Linear:
    """Return several linear layers of one input as one layer.

    The original weights become views of the fused ones, so that nothing is stored twice.
    """
    weight = torch.cat([layer.weight.detach() for layer in layers])
    zeros = [layer.weight.new_zeros(len(layer.weight)) for layer in layers]  # Whisper's keys have no bias
    bias = torch.cat([zero if layer.bias is None else layer.bias for layer, zero in zip(layers, zeros, strict=True)])
    if make_linear is linear:
        for layer, part in zip(layers, torch.split(weight, [len(layer.weight) for layer in layers]), strict=True):
            layer.weight.data = part
    return make_linear(weight, bias.detach())


def self_attention(query: Tensor, key: Tensor, value: Tensor, mask: Tensor | None = None) -> Tensor:
    """Return scaled dot-product attention (rows, heads, queries, head width).

    mask: which keys a query may attend to, (rows, 1, queries, keys).
    """
    if query.shape[2] == 1 and _is_bfloat16_on_cpu(query):
        # torch needs 3.5 times as long for one query as for two.
        both = query.expand(-1, -1, 2, -1)
        return functional.scaled_dot_product_attention(both, key, value, mask)[:, :, :1]
    return functional.scaled_dot_product_attention(query, key, value, mask)


def cross_attention(query: Tensor, key: Tensor, value: Tensor) -> Tensor:
    """Return scaled dot-product attention (rows, heads, queries, head width) over all keys.

    key, value: (rows, heads, frames, head width). They are contiguous, or they would be copied.
    """
    if query.shape[2] <= _FEW_QUERIES and _is_bfloat16_on_cpu(query):
        # torch's fused attention needs up to three times as long as three products.
        scores: Tensor = (query * query.shape[-1] ** -0.5) @ key.transpose(-1, -2)
        return scores.softmax(-1) @ value
    return functional.scaled_dot_product_attention(query, key, value)


def _is_bfloat16_on_cpu(tensor: Tensor) -> bool:
    return tensor.dtype == torch.bfloat16 and tensor.device.type == "cpu"


class LayerNorm:
    """Layer normalisation with the parameters of a torch.nn.LayerNorm."""

    def __init__(self, layer: Any) -> None:
        self.shape, self.weight, self.bias, self.eps = layer.normalized_shape, layer.weight, layer.bias, layer.eps

    def __call__(self, x: Tensor) -> Tensor:
        return functional.layer_norm(x, self.shape, self.weight, self.bias, self.eps)
