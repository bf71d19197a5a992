"""Features, encoder and linear layers give the results of transformers and torch."""

import numpy as np
import pytest
import torch
from torch import nn
from transformers import WhisperConfig, WhisperFeatureExtractor, WhisperForConditionalGeneration

from transcription.engines.batching.encoder import Encoder
from transcription.engines.batching.features import LogMelFeatures
from transcription.engines.batching.layers import audio_attention, int8_linear, linear, self_attention


@pytest.mark.parametrize("mels", [80, 128])
@pytest.mark.parametrize("count", [1, 159, 400, 16_000, 123_457, 479_999, 480_000])
def test_features_equal_those_of_transformers(mels: int, count: int) -> None:
    samples = np.random.default_rng(count).normal(0, 0.1, count).astype(np.float32)
    extractor = WhisperFeatureExtractor(feature_size=mels)
    expected = extractor(samples, sampling_rate=16_000, return_tensors="pt").input_features
    features = LogMelFeatures(extractor, torch.device("cpu"), torch.float32)([samples])
    torch.testing.assert_close(features, expected, atol=1e-5, rtol=0)


def test_windows_of_different_lengths_form_one_batch() -> None:
    features = LogMelFeatures(WhisperFeatureExtractor(), torch.device("cpu"), torch.float32)
    short, long = np.full(800, 0.1, np.float32), np.full(32_000, 0.1, np.float32)
    batch = features([short, long])
    assert batch.shape == (2, 80, 3000)
    torch.testing.assert_close(batch, torch.cat([features([short]), features([long])]))


def test_int8_layer_deviates_by_less_than_two_percent() -> None:
    torch.manual_seed(0)
    layer, x = nn.Linear(64, 200), torch.randn(3, 5, 64)
    with torch.inference_mode():
        for bias in (layer.bias, None):
            exact = linear(layer.weight, bias)(x)
            assert (int8_linear(layer.weight, bias)(x) - exact).abs().mean() < 0.02 * exact.abs().mean()


@pytest.mark.parametrize(("mels", "extractor"), [(80, 80), (128, 128), (128, 80)])
def test_encoder_states_equal_those_of_transformers(mels: int, extractor: int) -> None:
    torch.manual_seed(0)
    model = WhisperForConditionalGeneration(
        WhisperConfig(
            num_mel_bins=mels, d_model=32, encoder_layers=2, encoder_attention_heads=4, encoder_ffn_dim=64,
            decoder_layers=1, decoder_attention_heads=4, decoder_ffn_dim=64, init_std=0.2,
        )
    ).eval()  # fmt: skip
    samples = np.random.default_rng(0).normal(0, 0.1, 50_000).astype(np.float32)
    features = WhisperFeatureExtractor(feature_size=mels)(samples, sampling_rate=16_000, return_tensors="pt")
    with torch.inference_mode():
        expected = model.model.encoder(features.input_features).last_hidden_state
        states = Encoder(model, WhisperFeatureExtractor(feature_size=extractor))([samples], 1500)
        torch.testing.assert_close(states, expected, atol=1e-4, rtol=0)
        again = model.model.encoder(features.input_features).last_hidden_state  # its weights now share memory with ours
        torch.testing.assert_close(again, expected)


@pytest.mark.parametrize("queries", [1, 2, 300])
@pytest.mark.parametrize("masked", [False, True])
def test_attention_in_bfloat16_is_near_that_in_float64(queries: int, masked: bool) -> None:
    query, key, value = (torch.randn(3, 4, length, 16).bfloat16() for length in (queries, 50, 50))
    mask = (torch.arange(50) < 20)[None, None, None].expand(3, 1, queries, 50) if masked else None
    exact = torch.nn.functional.scaled_dot_product_attention(query.double(), key.double(), value.double(), mask)
    attended = self_attention(query, key, value, mask) if masked else audio_attention(query, key, value)
    torch.testing.assert_close(attended.double(), exact, atol=0.02, rtol=0.02)
