"""Whisper's encoder: the arithmetic of transformers with fewer copies."""

from typing import Any

import torch
import transformers
from torch import Tensor
from torch.nn import functional

from transcription.audio import Samples
from transcription.engines.batching.features import LogMelFeatures
from transcription.engines.batching.layers import IN_ITS_PRECISION, Arithmetic, LayerNorm, audio_attention, fuse


class Encoder:
    """The encoder of one Whisper model, log-mel features included."""

    def __init__(self, model: Any, extractor: Any, arithmetic: Arithmetic = IN_ITS_PRECISION) -> None:
        """Take the weights of a model.

        extractor: a feature extractor; a new one is made if its number of mels is not the model's.
        """
        encoder, mels = model.model.encoder, model.config.num_mel_bins
        fitting = (
            extractor if extractor.feature_size == mels else transformers.WhisperFeatureExtractor(feature_size=mels)
        )
        self.position_embedding = encoder.embed_positions.weight
        self.features = LogMelFeatures(fitting, self.position_embedding.device, self.position_embedding.dtype)
        self.convolutions = encoder.conv1, encoder.conv2
        self.layers = [_EncoderLayer(layer, arithmetic) for layer in encoder.layers]
        self.norm = LayerNorm(encoder.layer_norm)

    def __call__(self, windows: list[Samples], frames: int) -> Tensor:
        """Return states (windows, frames, width) of samples at 16 kHz, each window at most 30 s.

        frames: how many to encode, at least those of the samples.
        """
        x = self.features(windows)[..., : 2 * frames]
        for convolution in self.convolutions:
            x = functional.gelu(convolution(x))
        x = x.transpose(1, 2) + self.position_embedding[:frames]
        for layer in self.layers:
            x = layer(x)
        return self.norm(x)


class _EncoderLayer:
    def __init__(self, layer: Any, arithmetic: Arithmetic) -> None:
        attention, make_linear = layer.self_attn, arithmetic.make_linear
        self.attention_dtype = arithmetic.attention_dtype or attention.q_proj.weight.dtype
        self.heads = attention.num_heads
        self.activation = layer.activation_fn
        self.attention_norm, self.ffn_norm = LayerNorm(layer.self_attn_layer_norm), LayerNorm(layer.final_layer_norm)
        self.qkv = fuse([attention.q_proj, attention.k_proj, attention.v_proj], make_linear)
        self.out = make_linear(attention.out_proj.weight, attention.out_proj.bias)
        self.fc1 = make_linear(layer.fc1.weight, layer.fc1.bias)
        self.fc2 = make_linear(layer.fc2.weight, layer.fc2.bias)

    def __call__(self, x: Tensor) -> Tensor:
        rows, frames, width = x.shape
        projected = self.qkv(self.attention_norm(x)).view(rows, frames, 3, self.heads, -1)
        query, key, value = projected.to(self.attention_dtype).permute(2, 0, 3, 1, 4)
        attended = audio_attention(query, key, value).to(x.dtype)
        x = x + self.out(attended.transpose(1, 2).reshape(rows, frames, width))
        x = x + self.fc2(self.activation(self.fc1(self.ffn_norm(x))))
        if x.dtype == torch.float16:  # large checkpoints overflow; transformers clamps likewise
            limit = torch.finfo(torch.float16).max - 1000
            x = x.clamp(-limit, limit)
        return x
