"""The networks of the demo diarization and their training data. These tests do not need espeak-ng."""

import random
from itertools import pairwise

import numpy as np
import pytest
import torch

from benchmarks.scores import cp_wer, der, true_turns
from benchmarks.truth import read_truth
from models.speaker_nets import EmbeddingNet, SegmentationNet, scaled_log_mel
from tests.conftest import SAMPLES
from tools.conversations import ConversationStyle, simulate_conversation
from tools.corpus import MELS, Clip
from tools.diarization_train import (
    PERMUTATIONS,
    POWERSET,
    contrastive_loss,
    learning_rate_factor,
    new_embedding,
    new_segmentation,
    powerset_labels,
    powerset_loss,
)
from tools.diarization_windows import FRAMES, Window, WindowGenerator, warp_frequencies
from tools.speakers import DIARIZATION_VARIANTS, Speaker
from transcription.transcript import Word


@pytest.fixture(scope="module")
def segmentation() -> SegmentationNet:
    net = new_segmentation()
    net.eval()
    return net


@pytest.fixture(scope="module")
def embedding() -> EmbeddingNet:
    net = new_embedding()
    net.eval()
    return net


def make_speakers() -> list[Speaker]:
    """Return six speakers with noise as their sound."""
    noise = np.random.default_rng(0)

    def clip(seconds: float) -> Clip:
        frames = int(seconds * 100)
        return Clip("yes", "en", "yes", [(0.0, seconds)], noise.normal(0, 1, (frames, MELS)).astype(np.float16))

    variants = DIARIZATION_VARIANTS["train"][:6]
    return [Speaker(variant, [clip(2.0), clip(1.5)], [clip(0.4)]) for variant in variants]


def test_chunk_of_5_s_has_250_frames_of_log_probabilities(segmentation: SegmentationNet) -> None:
    scores = segmentation(torch.randn(2, 1, 80_000))
    assert scores.shape == (2, FRAMES, 7)
    assert segmentation.num_frames(80_000) == FRAMES
    torch.testing.assert_close(scores.exp().sum(-1), torch.ones(2, FRAMES))


def test_networks_accept_chunks_of_any_length(segmentation: SegmentationNet, embedding: EmbeddingNet) -> None:
    for samples in (400, 12_345, 80_000):
        assert segmentation(torch.randn(1, 1, samples)).shape[1] == segmentation.num_frames(samples)
        assert embedding(torch.randn(1, 1, samples)).shape == (1, 64)


def test_scaled_log_mel_ignores_loudness_except_for_silence() -> None:
    power = torch.rand(1, 100, MELS) + 0.01
    torch.testing.assert_close(scaled_log_mel(power), scaled_log_mel(power * 1000))
    assert (scaled_log_mel(torch.zeros(1, 100, MELS)) == -1).all()


def test_embedding_depends_only_on_frames_with_weight(embedding: EmbeddingNet) -> None:
    mel = torch.randn(1, 2 * FRAMES, MELS)
    other = mel.clone()
    other[:, 400:] = torch.randn(1, 2 * FRAMES - 400, MELS)
    first, all_ = torch.zeros(1, FRAMES), torch.ones(1, FRAMES)
    first[:, :120] = 1  # 2.4 s of 5
    with torch.inference_mode():
        torch.testing.assert_close(embedding.embed(mel, first), embedding.embed(other, first))
        assert not torch.allclose(embedding.embed(mel, all_), embedding.embed(other, all_))


def test_embedding_of_a_silent_speaker_is_nan(embedding: EmbeddingNet) -> None:
    weights = torch.stack([torch.zeros(FRAMES), torch.ones(FRAMES)])
    with torch.inference_mode():
        embeddings = embedding(torch.randn(2, 1, 80_000), weights)
    assert embeddings[0].isnan().all()
    assert float(embeddings[1].norm()) == pytest.approx(1.0, abs=1e-4)


def test_powerset_classes_have_pyannotes_order() -> None:
    assert [set(), {0}, {1}, {2}, {0, 1}, {0, 2}, {1, 2}] == POWERSET
    assert len(PERMUTATIONS) == 6
    assert all(sorted(permutation.tolist()) == list(range(7)) for permutation in PERMUTATIONS)


def test_powerset_loss_is_permutation_invariant() -> None:
    labels = torch.randint(0, 7, (3, FRAMES))
    logprobs = torch.randn(3, FRAMES, 7).log_softmax(-1)
    for permutation in PERMUTATIONS:
        torch.testing.assert_close(powerset_loss(logprobs, permutation[labels]), powerset_loss(logprobs, labels))


def test_powerset_labels_keep_two_of_three_simultaneous_speakers() -> None:
    active = np.array([[0, 0, 0], [1, 0, 0], [0, 1, 1], [1, 1, 1]], dtype=bool)
    assert powerset_labels([Window(np.zeros(0), active, [0, 1, 2])]).tolist() == [[0, 1, 6, 4]]


def test_contrastive_loss_is_lowest_for_separated_speakers() -> None:
    separated = torch.tensor([[1.0, 0], [1, 0], [0, 1], [0, 1]])
    speakers = torch.tensor([0, 0, 1, 1])
    assert contrastive_loss(separated, speakers, 0.1) < 0.01 < contrastive_loss(separated[[0, 2, 1, 3]], speakers, 0.1)


def test_warping_moves_a_tone_to_another_band() -> None:
    tone = np.full((3, MELS), -5.0, np.float32)
    tone[:, 30] = 0.0
    assert (warp_frequencies(tone, 1.15).argmax(1) > 30).all()
    assert (warp_frequencies(tone, 0.87).argmax(1) < 30).all()
    np.testing.assert_allclose(warp_frequencies(tone, 1.0), tone, atol=1e-6)


def test_windows_list_the_speakers_active_in_them() -> None:
    generator = WindowGenerator(make_speakers(), seed=0)
    mel, windows = generator.batch(20, speakers=6)
    assert mel.shape == (20, 2 * FRAMES, MELS)
    assert torch.isfinite(mel).all()
    for window in windows:
        assert window.active.shape == (FRAMES, len(window.speakers))
        assert len(set(window.speakers)) == len(window.speakers) <= 3
        assert (window.active.sum(0) >= 10).all()
    assert any((window.active.sum(1) > 1).any() for window in windows)


def test_speakers_overlap_each_other_but_never_themselves() -> None:
    scheduled = simulate_conversation(
        random.Random(0), 3, 120, ConversationStyle(),
        lambda _: "sentence", lambda _: "backchannel", lambda utterance: 2.0 if utterance == "sentence" else 1.25,
    )  # fmt: skip
    assert [utterance.start for utterance in scheduled] == sorted(utterance.start for utterance in scheduled)
    for speaker in range(3):
        own = [utterance for utterance in scheduled if utterance.speaker == speaker]
        assert all(earlier.end <= later.start for earlier, later in pairwise(own))
    pairs = [(one, other) for one in scheduled for other in scheduled if one.speaker < other.speaker]
    assert any(one.start < other.end and other.start < one.end for one, other in pairs)


def test_conversation_of_one_speaker_is_a_monologue() -> None:
    style = ConversationStyle()
    scheduled = simulate_conversation(
        random.Random(0), 1, 30, style, lambda _: "word", lambda _: "backchannel", lambda _: 1.0
    )
    assert {utterance.speaker for utterance in scheduled} == {0}


def test_splits_share_no_voice() -> None:
    splits = DIARIZATION_VARIANTS.values()
    assert sum(map(len, splits)) == len(set().union(*splits))


def test_learning_rate_warms_up_and_falls_to_zero() -> None:
    assert learning_rate_factor(0, 1000) == pytest.approx(0.02)
    assert learning_rate_factor(499, 1000) == 1.0
    assert learning_rate_factor(999, 1000) == pytest.approx(0.002)


def test_ground_truth_has_no_errors_against_itself() -> None:
    truth = read_truth(SAMPLES["conversation"].path)
    words = [Word(word.word, word.start, word.end, speaker=word.speaker) for word in truth.words]
    assert der(truth, true_turns(truth)) == 0.0
    assert cp_wer(truth, words) == (0.0, 0.0)
    one_speaker = [Word(word.word, word.start, word.end, speaker="speaker 1") for word in words]
    assert cp_wer(truth, one_speaker)[0] > 0.5
