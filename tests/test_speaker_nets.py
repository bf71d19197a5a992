"""The demo diarization's networks, and what they learn from. Nothing here needs espeak-ng."""

import random
from itertools import pairwise

import numpy as np
import pytest
import torch

from models.speaker_nets import EmbeddingNet, SegmentationNet, scaled
from tests.conftest import SAMPLES
from tools.conversations import Manner, converse
from tools.corpus import MELS, Clip
from tools.diarization import (
    FRAMES,
    PERMUTED,
    SETS,
    Window,
    Windows,
    classes_of,
    contrast_loss,
    factor_at,
    new_embedding,
    new_segmentation,
    powerset_loss,
    stretched,
)
from tools.samples import read_truth
from tools.scores import cp_wer, der, true_turns
from tools.speakers import SIDES, Speaker
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


def population() -> list[Speaker]:
    """Six speakers whose sound is noise."""
    noise = np.random.default_rng(0)

    def clip(seconds: float) -> Clip:
        frames = int(seconds * 100)
        return Clip("yes", "en", "yes", [(0.0, seconds)], noise.normal(0, 1, (frames, MELS)).astype(np.float16))

    return [Speaker(SIDES["train"][at], [clip(2.0), clip(1.5)], [clip(0.4)]) for at in range(6)]


def test_a_chunk_of_5_s_is_250_frames(segmentation: SegmentationNet) -> None:
    scores = segmentation(torch.randn(2, 1, 80_000))
    assert scores.shape == (2, FRAMES, 7)
    assert segmentation.num_frames(80_000) == FRAMES
    torch.testing.assert_close(scores.exp().sum(-1), torch.ones(2, FRAMES))


def test_any_length_is_taken(segmentation: SegmentationNet, embedding: EmbeddingNet) -> None:
    for samples in (400, 12_345, 80_000):
        assert segmentation(torch.randn(1, 1, samples)).shape[1] == segmentation.num_frames(samples)
        assert embedding(torch.randn(1, 1, samples)).shape == (1, 64)


def test_loudness_does_not_matter_until_it_is_silence() -> None:
    power = torch.rand(1, 100, MELS) + 0.01
    torch.testing.assert_close(scaled(power), scaled(power * 1000))
    assert (scaled(torch.zeros(1, 100, MELS)) == -1).all()


def test_an_embedding_hears_its_own_frames_alone(embedding: EmbeddingNet) -> None:
    mel = torch.randn(1, 2 * FRAMES, MELS)
    other = mel.clone()
    other[:, 400:] = torch.randn(1, 2 * FRAMES - 400, MELS)
    first, all_ = torch.zeros(1, FRAMES), torch.ones(1, FRAMES)
    first[:, :120] = 1  # 2.4 s of 5
    with torch.inference_mode():
        torch.testing.assert_close(embedding.embed(mel, first), embedding.embed(other, first))
        assert not torch.allclose(embedding.embed(mel, all_), embedding.embed(other, all_))


def test_nobody_has_no_embedding(embedding: EmbeddingNet) -> None:
    weights = torch.stack([torch.zeros(FRAMES), torch.ones(FRAMES)])
    with torch.inference_mode():
        embedded = embedding(torch.randn(2, 1, 80_000), weights)
    assert embedded[0].isnan().all()
    assert float(embedded[1].norm()) == pytest.approx(1.0, abs=1e-4)


def test_the_powerset_is_pyannotes() -> None:
    assert [set(), {0}, {1}, {2}, {0, 1}, {0, 2}, {1, 2}] == SETS
    assert len(PERMUTED) == 6
    assert all(sorted(table.tolist()) == list(range(7)) for table in PERMUTED)


def test_the_loss_does_not_mind_who_is_called_first() -> None:
    wanted = torch.randint(0, 7, (3, FRAMES))
    scores = torch.randn(3, FRAMES, 7).log_softmax(-1)
    for table in PERMUTED:
        torch.testing.assert_close(powerset_loss(scores, table[wanted]), powerset_loss(scores, wanted))


def test_of_three_at_once_two_count() -> None:
    active = np.array([[0, 0, 0], [1, 0, 0], [0, 1, 1], [1, 1, 1]], dtype=bool)
    assert classes_of([Window(np.zeros(0), active, [0, 1, 2])]).tolist() == [[0, 1, 6, 4]]


def test_contrast_is_least_where_voices_are_apart() -> None:
    apart = torch.tensor([[1.0, 0], [1, 0], [0, 1], [0, 1]])
    voices = torch.tensor([0, 0, 1, 1])
    assert contrast_loss(apart, voices, 0.1) < 0.01 < contrast_loss(apart[[0, 2, 1, 3]], voices, 0.1)


def test_a_stretched_voice_is_higher() -> None:
    tone = np.full((3, MELS), -5.0, np.float32)
    tone[:, 30] = 0.0
    assert (stretched(tone, 1.15).argmax(1) > 30).all()
    assert (stretched(tone, 0.87).argmax(1) < 30).all()
    np.testing.assert_allclose(stretched(tone, 1.0), tone, atol=1e-6)


def test_windows_hold_what_they_say() -> None:
    windows = Windows(population(), seed=0)
    mel, made = windows.batch(20, crowd=6)
    assert mel.shape == (20, 2 * FRAMES, MELS)
    assert torch.isfinite(mel).all()
    for window in made:
        assert window.active.shape == (FRAMES, len(window.who))
        assert len(set(window.who)) == len(window.who) <= 3
        assert (window.active.sum(0) >= 10).all()
    assert any((window.active.sum(1) > 1).any() for window in made)


def test_people_talk_in_turns_over_each_other_and_never_over_themselves() -> None:
    placed = converse(
        random.Random(0), 3, 120, Manner(), lambda _: "sentence", lambda _: "aside", lambda one: len(one) / 4
    )
    assert [one.start for one in placed] == sorted(one.start for one in placed)
    for speaker in range(3):
        own = [one for one in placed if one.speaker == speaker]
        assert all(one.end <= other.start for one, other in pairwise(own))
    pairs = [(one, other) for one in placed for other in placed if one.speaker < other.speaker]
    assert any(one.start < other.end and other.start < one.end for one, other in pairs)
    alone = converse(random.Random(0), 1, 30, Manner(), lambda _: "word", lambda _: "aside", lambda one: 1.0)
    assert {one.speaker for one in alone} == {0}


def test_no_voice_is_on_two_sides() -> None:
    assert sum(map(len, SIDES.values())) == len(set().union(*SIDES.values()))


def test_learning_ends_at_nothing() -> None:
    assert factor_at(0, 1000) == pytest.approx(0.02)
    assert factor_at(499, 1000) == 1.0
    assert factor_at(999, 1000) == pytest.approx(0.002)


def test_the_truth_scores_nothing_against_itself() -> None:
    truth = read_truth(SAMPLES["conversation"].path)
    words = [Word(word.word, word.start, word.end, speaker=word.speaker) for word in truth.words]
    assert der(truth, true_turns(truth)) == 0.0
    assert cp_wer(truth, words) == (0.0, 0.0)
    swapped = [Word(word.word, word.start, word.end, speaker="speaker 1") for word in words]
    assert cp_wer(truth, swapped)[0] > 0.5
