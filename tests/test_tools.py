"""The training data of the demo models. These tests do not need espeak-ng."""

import random
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import nn

from benchmarks.scores import words_of
from tests.conftest import ROOT
from tools.corpus import MELS, Clip
from tools.model_card import parse_options, report
from tools.optimization import Training, muon_and_adamw
from tools.sentences import VOCABULARY, Language, random_sentence, random_word_list, split_of
from tools.tokenizer import build_tokenizer
from tools.train import STAGES, collate, learning_rate_factor
from tools.voices import ACCENTS, TEST_VARIANTS, TRAIN_VARIANTS, VALIDATION_VARIANTS
from tools.windows import IGNORE, WindowGenerator

TOKENIZER = build_tokenizer()
LANGUAGES: tuple[Language, ...] = ("en", "de")


def make_clips(count: int) -> list[Clip]:
    """Return sentences with noise as their sound, 0.25 s a word."""
    rng, noise = random.Random(0), np.random.default_rng(0)
    clips = []
    for index in range(count):
        sentence = random_sentence(rng, LANGUAGES[index % 2], "train")
        words = len(words_of(sentence.text))
        times = [(0.25 * word, 0.25 * word + 0.25) for word in range(words)]
        log_mel = noise.normal(0, 1, (25 * words, MELS))
        clips.append(Clip(sentence.text, sentence.language, sentence.english, times, log_mel))
    return clips


def test_splits_share_no_voice() -> None:
    splits = [set(TRAIN_VARIANTS), set(VALIDATION_VARIANTS), set(TEST_VARIANTS)]
    assert sum(map(len, splits)) == len(set.union(*splits))
    assert set(TEST_VARIANTS) == {"m4", "f4", "Andrea", "max", "linda", "paul", "steph"}


def test_voices_reserved_for_independent_evaluation_are_in_no_split() -> None:
    used = {
        *TRAIN_VARIANTS,
        *VALIDATION_VARIANTS,
        *TEST_VARIANTS,
        *(name for names in ACCENTS.values() for name in names),
    }
    assert used & {"m7", "Alicia", "Mike", "Storm", "klatt3", "grandma", "en-gb-x-gbclan"} == set()


def test_training_and_test_share_no_sentence() -> None:
    rng = random.Random(0)
    train = {random_sentence(rng, "en", "train").english for _ in range(3000)}
    test = {random_sentence(rng, "de", "test").english for _ in range(300)}
    assert train & test == set()
    assert {split_of(text) for text in test} == {"test"}


@pytest.mark.parametrize("language", LANGUAGES)
def test_every_vocabulary_word_is_one_token(language: Language) -> None:
    assert 150 <= len(VOCABULARY[language]) <= 300
    assert [
        word for word in VOCABULARY[language] if len(TOKENIZER(f" {word}", add_special_tokens=False).input_ids) > 1
    ] == []


def test_special_tokens_have_whispers_order() -> None:
    first, *others = TOKENIZER.convert_tokens_to_ids(
        ["<|endoftext|>", "<|startoftranscript|>", "<|en|>", "<|translate|>", "<|transcribe|>", "<|startoflm|>",
         "<|startofprev|>", "<|nospeech|>", "<|notimestamps|>", "<|0.00|>", "<|30.00|>"]
    )  # fmt: skip
    assert [other - first for other in others] == [1, 2, 101, 102, 103, 104, 105, 106, 107, 1607]


def test_some_word_lists_repeat_a_word() -> None:
    rng = random.Random(0)
    lists = [words_of(random_word_list(rng, "en").text) for _ in range(200)]
    assert any(len(set(words)) < len(words) for words in lists)
    assert all(2 <= len(words) <= 8 for words in lists)


@pytest.mark.parametrize("seconds", [4, 10, 30])
def test_windows_have_consistent_tokens_labels_and_spans(seconds: int) -> None:
    generator = WindowGenerator(make_clips(40), TOKENIZER, random.Random(0))
    end = TOKENIZER.convert_tokens_to_ids("<|endoftext|>")
    for _ in range(40):
        window = generator.window(seconds)
        decoder = window.decoder
        assert window.mel.shape == (100 * seconds, MELS)
        assert np.isfinite(window.mel).all()
        assert len(decoder.tokens) == len(decoder.labels) == len(decoder.spans) == len(decoder.previous_spans)
        assert decoder.labels[-1] == end
        predicted = [label for label in decoder.labels if label != IGNORE]
        assert predicted[: len(decoder.output)] or decoder.is_silent
        assert all(span is None or 0 <= span[0] < span[1] <= 50 * seconds for span in decoder.spans)


def test_frames_of_speech_have_the_class_of_their_word() -> None:
    generator = WindowGenerator(make_clips(40), TOKENIZER, random.Random(1))
    window = next(window for window in iter(lambda: generator.window(10), None) if len(window.decoder.output) > 8)
    assert (window.frame_words > 0).mean() > 0.1
    batch = collate([window, generator.window(10)])
    assert batch.mel.shape == (2, MELS, 1000)
    assert batch.tokens.shape == batch.labels.shape == batch.spans.shape[:2]


def test_learning_rate_warms_up_and_falls_to_zero() -> None:
    total = sum(stage.steps for stage in STAGES)
    factors = [learning_rate_factor(step, STAGES) for step in range(total)]
    assert factors[0] == pytest.approx(0.01)
    assert max(factors) <= 1.0
    assert factors[-1] < 0.01
    assert learning_rate_factor(total, STAGES) == 0.0


def test_resumed_training_continues_where_it_was_saved(tmp_path: Path) -> None:
    def new_training() -> Training:
        torch.manual_seed(0)
        net = nn.Linear(4, 4)
        return Training({"net": net}, muon_and_adamw([net.weight], [net.bias], betas=(0.9, 0.98)))

    def update(training: Training) -> None:
        net = training.modules["net"]
        training.update(net(torch.arange(4.0)).square().sum(), 0.5, net.parameters())

    uninterrupted, interrupted, resumed = new_training(), new_training(), new_training()
    for _ in range(3):
        update(uninterrupted)
    update(interrupted)
    interrupted.save(tmp_path / "state.pt")
    resumed.load(tmp_path / "state.pt")
    for _ in range(2):
        update(resumed)
    assert resumed.step == uninterrupted.step == 3
    torch.testing.assert_close(resumed.modules["net"].state_dict(), uninterrupted.modules["net"].state_dict())
    assert [path.name for path in tmp_path.iterdir()] == ["state.pt"]


def test_evaluation_writes_its_table_into_the_model_card(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    card = tmp_path / "README.md"
    card.write_text("before\n<!-- measured -->\nold\n<!-- end -->\nafter\n")
    monkeypatch.setattr("sys.argv", ["evaluate", "--model", str(tmp_path), "--card"])
    report(parse_options("", "demo-whisper", 60, "recordings"), "60 recordings", [("WER", "≤ 5 %", "0.6%")])
    table = "| | target | reached |\n|---|---|---|\n| WER | ≤ 5 % | 0.6% |"
    assert card.read_text() == f"before\n<!-- measured -->\n60 recordings.\n\n{table}\n<!-- end -->\nafter\n"


def test_every_sample_has_its_ground_truth() -> None:
    audio = {path.stem for path in (ROOT / "samples").iterdir() if path.suffix != ".json"}
    assert {path.stem for path in Path(ROOT / "samples").glob("*.json")} == audio
