"""Whisper's encoder: windows of samples to states, with transformers' arithmetic and fewer copies."""

from typing import Any

import torch
from torch import Tensor
from torch.nn import functional
from transformers import WhisperFeatureExtractor

from transcription.audio import Samples
from transcription.engines.batching.features import Features
from transcription.engines.batching.linear import Maker, Norm, joined


class Encoder:
    """The encoder of one Whisper model."""

    def __init__(self, model: Any, extractor: Any, linear: Maker) -> None:
        """extractor: a feature extractor; where its mels are not the model's, one that has them takes its place."""
        encoder, mels = model.model.encoder, model.config.num_mel_bins
        own = extractor if extractor.feature_size == mels else WhisperFeatureExtractor(feature_size=mels)
        self.places = encoder.embed_positions.weight
        self.features = Features(own, self.places.device, self.places.dtype)
        self.convolutions = encoder.conv1, encoder.conv2
        self.layers = [_Layer(layer, linear) for layer in encoder.layers]
        self.norm = Norm(encoder.layer_norm)

    def __call__(self, windows: list[Samples]) -> Tensor:
        """States (windows, frames, width) of samples at 16 kHz, each window at most 30 s."""
        x = self.features(windows)
        for convolution in self.convolutions:
            x = functional.gelu(convolution(x))
        x = x.transpose(1, 2) + self.places
        for layer in self.layers:
            x = layer(x)
        return self.norm(x)


class _Layer:
    def __init__(self, layer: Any, linear: Maker) -> None:
        attention = layer.self_attn
        self.heads = attention.num_heads
        self.activation = layer.activation_fn
        self.before, self.before_feed = Norm(layer.self_attn_layer_norm), Norm(layer.final_layer_norm)
        self.query_key_value = joined([attention.q_proj, attention.k_proj, attention.v_proj], linear)
        self.out = linear(attention.out_proj.weight, attention.out_proj.bias)
        self.up, self.down = linear(layer.fc1.weight, layer.fc1.bias), linear(layer.fc2.weight, layer.fc2.bias)

    def __call__(self, x: Tensor) -> Tensor:
        rows, frames, width = x.shape
        projected = self.query_key_value(self.before(x)).view(rows, frames, 3, self.heads, -1)
        query, key, value = projected.permute(2, 0, 3, 1, 4)
        attended = functional.scaled_dot_product_attention(query, key, value)
        x = x + self.out(attended.transpose(1, 2).reshape(rows, frames, width))
        x = x + self.down(self.activation(self.up(self.before_feed(x))))
        if x.dtype == torch.float16:  # large checkpoints overflow, and transformers holds them so
            most = torch.finfo(torch.float16).max - 1000
            x = x.clamp(-most, most)
        return x
