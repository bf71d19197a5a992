"""Whisper's decoder over preallocated memory: a slot for each window, a position of its own in each slot.

The same arithmetic as transformers' WhisperDecoder, with three differences that change no result: query, key
and value are one product; keys and values are written where their position is, so that going back is
lowering the position; what a window's audio gives the decoder is computed once.
"""

from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional
from transformers.activations import ACT2FN

from transcription.engines.batching.linear import Linear, Maker, Norm, joined, plain


@dataclass(frozen=True)
class Layer:
    """One decoder layer: attention to the text so far, attention to the audio, feed-forward."""

    before_text: Norm
    query_key_value: Linear
    from_text: Linear
    before_audio: Norm
    query: Linear
    key_value: Linear
    from_audio: Linear
    before_feed: Norm
    up: Linear
    down: Linear

    @classmethod
    def of(cls, layer: Any, linear: Maker) -> "Layer":
        """From a WhisperDecoderLayer."""
        text, audio = layer.self_attn, layer.encoder_attn
        return cls(
            Norm(layer.self_attn_layer_norm), joined([text.q_proj, text.k_proj, text.v_proj], linear),
            linear(text.out_proj.weight, text.out_proj.bias),
            Norm(layer.encoder_attn_layer_norm), linear(audio.q_proj.weight, audio.q_proj.bias),
            joined([audio.k_proj, audio.v_proj], linear), linear(audio.out_proj.weight, audio.out_proj.bias),
            Norm(layer.final_layer_norm), linear(layer.fc1.weight, layer.fc1.bias),
            linear(layer.fc2.weight, layer.fc2.bias),
        )  # fmt: skip


class Decoder:
    """A Whisper decoder and its memory of `slots` windows.

    positions: how many tokens the model can be given. Memory has `slack` more, for drafts beyond the end.
    heads: (layer, head) whose queries are kept, to see later where each token looked.
    """

    text: list[Tensor]  # a layer: keys and values (slots × length, 2 × width)
    audio: list[Tensor]  # a layer: keys and values (slots, 2, heads, frames, head width)
    looks: dict[int, Tensor]  # a watched layer: queries (slots × length, watched heads, head width)

    def __init__(
        self, model: Any, slots: int, slack: int = 0, heads: list[tuple[int, int]] | None = None, linear: Maker = plain
    ) -> None:
        config, decoder = model.config, model.model.decoder
        self.width, self.head_count = config.d_model, config.decoder_attention_heads
        self.head_width = self.width // self.head_count
        self.feed = config.decoder_ffn_dim
        self.positions = config.max_target_positions
        self.length = self.positions + slack
        weight = decoder.embed_tokens.weight
        self.device, self.dtype = weight.device, weight.dtype
        self.activation = ACT2FN[config.activation_function]
        self.embedding, self.places = weight, decoder.embed_positions.weight
        self.scale = self.width**0.5 if config.scale_embedding else 1.0
        self.layers = [Layer.of(layer, linear) for layer in decoder.layers]
        self.norm = Norm(decoder.layer_norm)
        self.unembed = linear(model.proj_out.weight, None)
        self.watched = _by_layer(heads or [])
        self.frames = config.max_source_positions
        self.allocate(slots)

    def allocate(self, slots: int) -> None:
        """Memory for so many windows, in place of what there was."""
        self.slots, self.text, self.audio, self.looks = slots, [], [], {}
        self.text = [self._empty(slots * self.length, 2 * self.width) for _ in self.layers]
        self.audio = [self._empty(slots, 2, self.head_count, self.frames, self.head_width) for _ in self.layers]
        self.looks = {
            layer: self._empty(slots * self.length, len(heads), self.head_width)
            for layer, heads in self.watched.items()
        }

    @property
    def weights(self) -> int:
        """How many weights a token meets."""
        each = 10 * self.width**2 + 2 * self.width * self.feed
        return int(len(self.layers) * each + self.embedding.numel())

    def _empty(self, *shape: int) -> Tensor:
        # Zeros, as what was never written is masked, and NaN survives a mask.
        return torch.zeros(shape, device=self.device, dtype=self.dtype)

    def hear(self, rows: slice, states: Tensor) -> None:
        """What the decoder takes from encoder states (rows, frames, width), into the slots `rows`."""
        for layer, memory in zip(self.layers, self.audio, strict=True):
            both = layer.key_value(states).view(len(states), -1, 2, self.head_count, self.head_width)
            memory[rows] = both.permute(0, 2, 3, 1, 4)

    def forward(
        self, tokens: Tensor, positions: Tensor, rows: slice, span: int, record: bool = False, exact: bool = False
    ) -> Tensor:
        """Hidden states (rows, queries, width) of tokens (rows, queries) at their positions.

        rows: the slots they belong to. span: how many positions are looked at, all in use among them.
        record: keep the queries of the watched heads. exact: every query may look at all of the span.
        """
        count, queries = tokens.shape
        first = rows.start or 0
        base = torch.arange(first, first + count, device=self.device)[:, None] * self.length
        index = (base + positions).view(-1)
        mask = None
        if not exact:
            mask = (torch.arange(span, device=self.device) <= positions[..., None])[:, None]
        x = functional.embedding(tokens, self.embedding).view(-1, self.width)
        if self.scale != 1.0:
            x = x * self.scale
        x = x + functional.embedding(positions.clamp(max=self.positions - 1), self.places).view(-1, self.width)
        for number, layer in enumerate(self.layers):
            x = x + self._attend_text(number, layer, layer.before_text(x), index, rows, span, mask)
            x = x + self._attend_audio(number, layer, layer.before_audio(x), index, rows, count, record)
            x = x + layer.down(self.activation(layer.up(layer.before_feed(x))))
        return self.norm(x).view(count, queries, self.width)

    def logits(self, hidden: Tensor) -> Tensor:
        """Scores (..., vocabulary) of the next token, in float32."""
        return self.unembed(hidden).float()

    def _attend_text(
        self, number: int, layer: Layer, x: Tensor, index: Tensor, rows: slice, span: int, mask: Tensor | None
    ) -> Tensor:
        projected = layer.query_key_value(x)
        memory = self.text[number]
        memory.index_copy_(0, index, projected[:, self.width :])
        kept = memory.view(self.slots, self.length, 2, self.head_count, self.head_width)[rows, :span]
        key, value = kept.permute(2, 0, 3, 1, 4)
        query = self._split(projected[:, : self.width], len(kept))
        return layer.from_text(self._merged(functional.scaled_dot_product_attention(query, key, value, mask)))

    def _attend_audio(
        self, number: int, layer: Layer, x: Tensor, index: Tensor, rows: slice, count: int, record: bool
    ) -> Tensor:
        projected = layer.query(x)
        if record and number in self.watched:
            split = projected.view(-1, self.head_count, self.head_width)
            self.looks[number].index_copy_(0, index, split[:, self.watched[number]])
        memory = self.audio[number][rows]
        attended = functional.scaled_dot_product_attention(self._split(projected, count), memory[:, 0], memory[:, 1])
        return layer.from_audio(self._merged(attended))

    def _split(self, x: Tensor, count: int) -> Tensor:
        return x.view(count, -1, self.head_count, self.head_width).transpose(1, 2)

    def _merged(self, attended: Tensor) -> Tensor:
        return attended.transpose(1, 2).reshape(-1, self.width)

    def attention(self, slot: int, first: int, count: int) -> Tensor:
        """Where `count` tokens from position `first` on looked, (heads, tokens, frames), in float32."""
        found = []
        for layer, heads in self.watched.items():
            at = slot * self.length + first
            query = self.looks[layer][at : at + count].float().transpose(0, 1)
            key = self.audio[layer][slot, 0, heads].float()
            found.append((query @ key.transpose(1, 2) * self.head_width**-0.5).softmax(-1))
        return torch.cat(found)

    def memories(self) -> list[Tensor]:
        """All memory, a row a slot."""
        by_position = (*self.text, *self.looks.values())
        return [memory.view(self.slots, self.length, *memory.shape[1:]) for memory in by_position] + self.audio


def _by_layer(heads: list[tuple[int, int]]) -> dict[int, list[int]]:
    found: dict[int, list[int]] = {}
    for layer, head in sorted(heads):
        found.setdefault(layer, []).append(head)
    return found
