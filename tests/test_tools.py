"""What the demo models learn from. Nothing here needs espeak-ng."""

import random
from pathlib import Path

import numpy as np
import pytest

from tests.conftest import ROOT
from tools.corpus import MELS, Clip
from tools.sentences import VOCABULARY, Language, sentence, split_of, word_list, words_of
from tools.tokenizer import build_tokenizer
from tools.train import STAGES, collate, rate_at
from tools.voices import ACCENTS, TEST_VARIANTS, TRAIN_VARIANTS, VALIDATION_VARIANTS
from tools.windows import IGNORE, Mixer

TOKENIZER = build_tokenizer()
LANGUAGES: tuple[Language, ...] = ("en", "de")


def clips(count: int) -> list[Clip]:
    """Sentences whose sound is noise, 0.25 s a word."""
    rng, noise = random.Random(0), np.random.default_rng(0)
    made = []
    for index in range(count):
        said = sentence(rng, LANGUAGES[index % 2], "train")
        words = len(words_of(said.text))
        times = [(0.25 * word, 0.25 * word + 0.25) for word in range(words)]
        made.append(Clip(said.text, said.language, said.english, times, noise.normal(0, 1, (25 * words, MELS))))
    return made


def test_no_voice_is_on_two_sides() -> None:
    casts = [set(TRAIN_VARIANTS), set(VALIDATION_VARIANTS), set(TEST_VARIANTS)]
    assert sum(map(len, casts)) == len(set.union(*casts))
    assert set(TEST_VARIANTS) == {"m4", "f4", "Andrea", "max", "linda", "paul", "steph"}


def test_the_untouched_voices_are_used_nowhere() -> None:
    used = {
        *TRAIN_VARIANTS,
        *VALIDATION_VARIANTS,
        *TEST_VARIANTS,
        *(name for names in ACCENTS.values() for name in names),
    }
    assert used & {"m7", "Alicia", "Mike", "Storm", "klatt3", "grandma", "en-gb-x-gbclan"} == set()


def test_a_tenth_of_the_sentences_is_held_out() -> None:
    rng = random.Random(0)
    trained = {sentence(rng, "en", "train").english for _ in range(3000)}
    held_out = {sentence(rng, "de", "test").english for _ in range(300)}
    assert trained & held_out == set()
    assert {split_of(text) for text in held_out} == {"test"}


@pytest.mark.parametrize("language", LANGUAGES)
def test_every_word_of_the_vocabulary_is_one_token(language: Language) -> None:
    assert 150 <= len(VOCABULARY[language]) <= 300
    assert [
        word for word in VOCABULARY[language] if len(TOKENIZER(f" {word}", add_special_tokens=False).input_ids) > 1
    ] == []


def test_special_tokens_stand_in_whispers_order() -> None:
    first, *others = TOKENIZER.convert_tokens_to_ids(
        ["<|endoftext|>", "<|startoftranscript|>", "<|en|>", "<|translate|>", "<|transcribe|>", "<|startoflm|>",
         "<|startofprev|>", "<|nospeech|>", "<|notimestamps|>", "<|0.00|>", "<|30.00|>"]
    )  # fmt: skip
    assert [other - first for other in others] == [1, 2, 101, 102, 103, 104, 105, 106, 107, 1607]


def test_word_lists_repeat_a_word_now_and_then() -> None:
    rng = random.Random(0)
    lists = [words_of(word_list(rng, "en").text) for _ in range(200)]
    assert any(len(set(words)) < len(words) for words in lists)
    assert all(2 <= len(words) <= 8 for words in lists)


@pytest.mark.parametrize("seconds", [4, 10, 30])
def test_windows_are_whole(seconds: int) -> None:
    mixer = Mixer(clips(40), TOKENIZER, random.Random(0))
    end = TOKENIZER.convert_tokens_to_ids("<|endoftext|>")
    for _ in range(40):
        window = mixer.window(seconds)
        answer = window.answer
        assert window.mel.shape == (100 * seconds, MELS)
        assert np.isfinite(window.mel).all()
        assert len(answer.tokens) == len(answer.targets) == len(answer.gaze) == len(answer.glance)
        assert answer.targets[-1] == end
        written = [target for target in answer.targets if target != IGNORE]
        assert written[: len(answer.body)] or answer.silent
        assert all(span is None or 0 <= span[0] < span[1] <= 50 * seconds for span in answer.gaze)


def test_a_window_of_speech_names_its_words() -> None:
    mixer = Mixer(clips(40), TOKENIZER, random.Random(1))
    spoken = next(window for window in iter(lambda: mixer.window(10), None) if len(window.answer.body) > 8)
    assert (spoken.frame_words > 0).mean() > 0.1
    batch = collate([spoken, mixer.window(10)])
    assert batch.mel.shape == (2, MELS, 1000)
    assert batch.tokens.shape == batch.targets.shape == batch.gaze.shape[:2]


def test_rates_warm_up_and_end_at_nothing() -> None:
    total = sum(stage.steps for stage in STAGES)
    rates = [rate_at(step, STAGES) for step in range(total)]
    assert rates[0] == pytest.approx(0.01)
    assert max(rates) <= 1.0
    assert rates[-1] < 0.01
    assert rate_at(total, STAGES) == 0.0


def test_samples_have_their_truth_beside_them() -> None:
    audio = {path.stem for path in (ROOT / "samples").iterdir() if path.suffix != ".json"}
    assert {path.stem for path in Path(ROOT / "samples").glob("*.json")} == audio
