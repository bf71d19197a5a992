"""Whisper's decoder over preallocated memory: a slot for each window, and a position of its own in each slot.

The arithmetic of transformers' WhisperDecoder, with three differences that change no result: query, key and value are
one product; keys and values are written at their position, so that a rollback only lowers the position; the keys and
values of a window's encoder states are computed once.
"""

from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional
from transformers.activations import ACT2FN

from transcription.engines.batching.layers import (
    IN_ITS_PRECISION,
    Arithmetic,
    LayerNorm,
    Linear,
    MakeLinear,
    audio_attention,
    fuse,
    self_attention,
)


@dataclass(frozen=True)
class DecoderLayer:
    """Self-attention, cross-attention and feed-forward."""

    self_attn_norm: LayerNorm
    self_qkv: Linear
    self_out: Linear
    cross_attn_norm: LayerNorm
    cross_q: Linear
    cross_kv: Linear
    cross_out: Linear
    ffn_norm: LayerNorm
    fc1: Linear
    fc2: Linear

    @classmethod
    def of(cls, layer: Any, make_linear: MakeLinear) -> "DecoderLayer":
        """Take the weights of a WhisperDecoderLayer."""
        own, cross = layer.self_attn, layer.encoder_attn
        return cls(
            LayerNorm(layer.self_attn_layer_norm), fuse([own.q_proj, own.k_proj, own.v_proj], make_linear),
            make_linear(own.out_proj.weight, own.out_proj.bias),
            LayerNorm(layer.encoder_attn_layer_norm), make_linear(cross.q_proj.weight, cross.q_proj.bias),
            fuse([cross.k_proj, cross.v_proj], make_linear), make_linear(cross.out_proj.weight, cross.out_proj.bias),
            LayerNorm(layer.final_layer_norm), make_linear(layer.fc1.weight, layer.fc1.bias),
            make_linear(layer.fc2.weight, layer.fc2.bias),
        )  # fmt: skip


@dataclass(frozen=True)
class _Pass:
    """What all layers of one forward pass use.

    rows: the slots. index: where in the slots the tokens are kept, (tokens,). mask: which of kv_length positions a
    query may attend to, (rows, 1, queries, kv_length). frames: of the audio. bias: see audio_attention.
    """

    rows: slice
    index: Tensor
    kv_length: int
    mask: Tensor | None
    frames: int
    bias: Tensor | None
    record_alignment: bool


class Decoder:
    """A Whisper decoder, and its memory for `slots` windows.

    positions: how many tokens the model accepts. length: with room for drafts beyond them. used_frames: by slot, how
    many frames its audio has.
    """

    self_kv: list[Tensor]  # per layer: keys and values (slots × length, 2 × width)
    cross_keys: list[Tensor]  # per layer: (slots, heads, frames, head width)
    cross_values: list[Tensor]
    alignment_queries: dict[int, Tensor]  # per layer with alignment heads: (slots × length, heads, head width)

    def __init__(
        self, model: Any, slots: int, slack: int = 0, alignment_heads: list[tuple[int, int]] | None = None,
        arithmetic: Arithmetic = IN_ITS_PRECISION,
    ) -> None:  # fmt: skip
        """Take the weights of a model, and allocate memory.

        slack: positions for drafts beyond the end. alignment_heads: (layer, head) whose queries are kept.
        """
        config, decoder = model.config, model.model.decoder
        self.width, self.head_count = config.d_model, config.decoder_attention_heads
        self.head_width = self.width // self.head_count
        self.ffn_width = config.decoder_ffn_dim
        self.positions = config.max_target_positions
        self.length = self.positions + slack
        self.embedding, self.position_embedding = decoder.embed_tokens.weight, decoder.embed_positions.weight
        self.device, self.dtype = self.embedding.device, self.embedding.dtype
        self.attention_dtype = arithmetic.attention_dtype or self.dtype
        self._weight_bytes = arithmetic.weight_bytes or self.dtype.itemsize
        self.activation = ACT2FN[config.activation_function]
        self.scale = self.width**0.5 if config.scale_embedding else 1.0
        self.layers = [DecoderLayer.of(layer, arithmetic.make_linear) for layer in decoder.layers]
        self.norm = LayerNorm(decoder.layer_norm)
        self.proj_out = arithmetic.make_linear(model.proj_out.weight, None)
        self.alignment_heads = _by_layer(alignment_heads or [])
        # On the device: a list as an index would be copied from the host in every step.
        self._alignment_index = {
            layer: torch.tensor(heads, device=self.device) for layer, heads in self.alignment_heads.items()
        }
        self.frames = config.max_source_positions
        self.allocate(slots)

    def allocate(self, slots: int) -> None:
        """Replace the memory by memory for so many windows."""
        self.self_kv, self.cross_keys, self.cross_values, self.alignment_queries = [], [], [], {}  # free the old memory
        self.slots, self.used_frames = slots, [self.frames] * slots
        self.self_kv = [self._zeros(slots * self.length, 2 * self.width) for _ in self.layers]
        cross = (slots, self.head_count, self.frames, self.head_width)
        self.cross_keys = [self._zeros(*cross, dtype=self.attention_dtype) for _ in self.layers]
        self.cross_values = [self._zeros(*cross, dtype=self.attention_dtype) for _ in self.layers]
        self.alignment_queries = {
            layer: self._zeros(slots * self.length, len(heads), self.head_width)
            for layer, heads in self.alignment_heads.items()
        }

    @property
    def bytes_per_token(self) -> int:
        """The bytes of the weights that a token is multiplied with."""
        per_layer = 10 * self.width**2 + 2 * self.width * self.ffn_width
        return int(len(self.layers) * per_layer + self.embedding.numel()) * self._weight_bytes

    def _zeros(self, *shape: int, dtype: torch.dtype | None = None) -> Tensor:
        # Not empty: unwritten memory is masked, and NaN survives a mask.
        return torch.zeros(shape, device=self.device, dtype=dtype or self.dtype)

    def write_cross_kv(self, rows: slice, states: Tensor) -> None:
        """Write the keys and values of encoder states (rows, frames, width) into the slots `rows`."""
        frames = states.shape[1]
        self.used_frames[rows] = [frames] * len(states)
        for layer, keys, values in zip(self.layers, self.cross_keys, self.cross_values, strict=True):
            both = layer.cross_kv(states.to(self.dtype)).view(len(states), -1, 2, self.head_count, self.head_width)
            keys[rows, :, :frames], values[rows, :, :frames] = both.permute(2, 0, 3, 1, 4)

    def forward(
        self, tokens: Tensor, positions: Tensor, rows: slice, kv_length: int, record_alignment: bool = False,
        unmasked: bool = False, nodes: Tensor | None = None, attended: Tensor | None = None,
    ) -> Tensor:  # fmt: skip
        """Return hidden states (rows, queries, width) of tokens (rows, queries) at their positions.

        rows: their slots. kv_length: how many positions to attend to, at least all that are in use. record_alignment:
        keep the queries of the alignment heads. unmasked: every query may attend to all of kv_length. nodes: where in
        the slots the tokens are kept, if not at their positions; then attended (rows, queries, kv_length) says to which
        nodes each token attends.
        """
        count, queries = tokens.shape
        first = rows.start or 0
        base = torch.arange(first, first + count, device=self.device)[:, None] * self.length
        index = (base + (positions if nodes is None else nodes)).view(-1)
        mask = None if attended is None else attended[:, None]
        if mask is None and not unmasked:
            mask = (torch.arange(kv_length, device=self.device) <= positions[..., None])[:, None]
        frames, bias = self._audio(rows.start or 0, count)
        call = _Pass(rows, index, kv_length, mask, frames, bias, record_alignment)
        x = functional.embedding(tokens, self.embedding).view(-1, self.width)
        if self.scale != 1.0:
            x = x * self.scale
        places = positions.clamp(max=self.positions - 1)
        x = x + functional.embedding(places, self.position_embedding).view(-1, self.width)
        for number, layer in enumerate(self.layers):
            x = x + self._self_attention(number, layer, layer.self_attn_norm(x), call)
            x = x + self._cross_attention(number, layer, layer.cross_attn_norm(x), call)
            x = x + layer.fc2(self.activation(layer.fc1(layer.ffn_norm(x))))
        return self.norm(x).view(count, queries, self.width)

    def logits(self, hidden: Tensor) -> Tensor:
        """Return logits (..., vocabulary) of the next token, in float32."""
        return self.proj_out(hidden).float()

    def _audio(self, first: int, count: int) -> tuple[int, Tensor | None]:
        """Return how many frames some slots have at most, and the bias that hides what is not theirs."""
        used = self.used_frames[first : first + count]
        frames = max(used)
        if min(used) == frames:
            return frames, None
        missing = torch.arange(frames, device=self.device) >= torch.tensor(used, device=self.device)[:, None]
        bias = torch.zeros(missing.shape, device=self.device, dtype=self.attention_dtype)
        return frames, bias.masked_fill(missing, -torch.inf)[:, None, None]

    def _self_attention(self, number: int, layer: DecoderLayer, x: Tensor, call: _Pass) -> Tensor:
        projected = layer.self_qkv(x)
        memory = self.self_kv[number]
        memory.index_copy_(0, call.index, projected[:, self.width :])
        kept = memory.view(self.slots, self.length, 2, self.head_count, self.head_width)[call.rows, : call.kv_length]
        key, value = kept.permute(2, 0, 3, 1, 4)
        query = self._split_heads(projected[:, : self.width], len(kept))
        return layer.self_out(self._merge_heads(self_attention(query, key, value, call.mask)))

    def _cross_attention(self, number: int, layer: DecoderLayer, x: Tensor, call: _Pass) -> Tensor:
        query = layer.cross_q(x)
        if call.record_alignment and number in self.alignment_heads:
            heads = query.view(-1, self.head_count, self.head_width).index_select(1, self._alignment_index[number])
            self.alignment_queries[number].index_copy_(0, call.index, heads)
        key, value = (kept[number][call.rows, :, : call.frames] for kept in (self.cross_keys, self.cross_values))
        attended = audio_attention(self._split_heads(query, len(key)).to(key.dtype), key, value, call.bias)
        return layer.cross_out(self._merge_heads(attended.to(x.dtype)))

    def _split_heads(self, x: Tensor, count: int) -> Tensor:
        return x.view(count, -1, self.head_count, self.head_width).transpose(1, 2)

    def _merge_heads(self, attended: Tensor) -> Tensor:
        return attended.transpose(1, 2).reshape(-1, self.width)

    def alignment(self, slot: int, nodes: list[int]) -> Tensor:
        """Return the cross-attention (heads, tokens, frames) of the tokens at these nodes of a slot, in float32."""
        found = []
        for layer, heads in self.alignment_heads.items():
            query = self.alignment_queries[layer].view(self.slots, self.length, len(heads), -1)[slot, nodes]
            query = query.float().transpose(0, 1)
            key = self.cross_keys[layer][slot, heads, : self.used_frames[slot]].float()
            found.append((query @ key.transpose(1, 2) * self.head_width**-0.5).softmax(-1))
        return torch.cat(found)

    def memory(self) -> list[Tensor]:
        """Return all memory, with the slot as first dimension."""
        return self.memory_by_node() + self.cross_keys + self.cross_values

    def memory_by_node(self) -> list[Tensor]:
        """Return what is kept for each token: (slots, length, …)."""
        memory = (*self.self_kv, *self.alignment_queries.values())
        return [tensor.view(self.slots, self.length, *tensor.shape[1:]) for tensor in memory]


def _by_layer(heads: list[tuple[int, int]]) -> dict[int, list[int]]:
    """Return layer → heads."""
    layers: dict[int, list[int]] = {}
    for layer, head in sorted(heads):
        layers.setdefault(layer, []).append(head)
    return layers
