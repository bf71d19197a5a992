"""Layers as plain functions: linear ones in the model's own precision or in int8, and layer normalisation."""

import warnings
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional

from transcription.whisper.processor import computes_in_bfloat16, has_amx

Linear = Callable[[Tensor], Tensor]
MakeLinear = Callable[[Tensor, Tensor | None], Linear]
"""(weight, bias) → the layer."""
_FEW_QUERIES = 25  # of a step, as against those of the encoder
_BLOCK = 250  # queries whose scores are in memory at the same time


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


@dataclass(frozen=True)
class Arithmetic:
    """How a model computes. attention_dtype: of the attention to the audio; None for the precision of the model."""

    make_linear: MakeLinear = linear
    attention_dtype: torch.dtype | None = None


IN_ITS_PRECISION = Arithmetic()


def int8_arithmetic() -> Arithmetic:
    """Return int8 layers, with attention in bfloat16 where the CPU computes in it."""
    return Arithmetic(int8_linear, torch.bfloat16 if computes_in_bfloat16() else None)


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


def audio_attention(query: Tensor, key: Tensor, value: Tensor, bias: Tensor | None = None) -> Tensor:
    """Return scaled dot-product attention (rows, heads, queries, head width) over all frames of the audio.

    key, value: (rows, heads, frames, head width). bias: (rows, 1, 1, frames), minus infinity for frames that a row has
    not.
    """
    queries = query.shape[2]
    if not _is_bfloat16_on_cpu(query) or (queries > _FEW_QUERIES and has_amx()):
        return functional.scaled_dot_product_attention(query, key, value, bias)
    # Without AMX, torch's fused attention needs 1.4 to 6 times as long as a product, a softmax and a product.
    key = key.transpose(-1, -2)
    blocks = []
    for block in torch.split(query, _BLOCK, 2):
        scores = block * block.shape[-1] ** -0.5 @ key
        blocks.append((scores if bias is None else scores + bias).softmax(-1) @ value)
    return blocks[0] if len(blocks) == 1 else torch.cat(blocks, dim=2)


def _is_bfloat16_on_cpu(tensor: Tensor) -> bool:
    return tensor.dtype == torch.bfloat16 and tensor.device.type == "cpu"


class LayerNorm:
    """Layer normalisation with the parameters of a torch.nn.LayerNorm."""

    def __init__(self, layer: Any) -> None:
        self.shape, self.weight, self.bias, self.eps = layer.normalized_shape, layer.weight, layer.bias, layer.eps

    def __call__(self, x: Tensor) -> Tensor:
        return functional.layer_norm(x, self.shape, self.weight, self.bias, self.eps)
