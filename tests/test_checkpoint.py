"""Prompts, languages and scores of a checkpoint."""

import pytest
import torch

from tests.conftest import DEMO
from transcription.config import InferenceConfig, ModelSettings
from transcription.errors import InvalidRequest
from transcription.whisper.checkpoint import Whisper
from transcription.whisper.decoding_result import DecodingResult, is_silence, needs_fallback, preference
from transcription.whisper.loading import load_checkpoint


@pytest.fixture(scope="module")
def whisper() -> Whisper:
    return Whisper(load_checkpoint(ModelSettings.from_environment(asr_model=str(DEMO))), assisted=False)


def prompt(whisper: Whisper, language: str, config: InferenceConfig) -> list[int]:
    """Return the prompt tokens of a request."""
    return whisper.prompt(whisper.context_tokens(config), language, config.task, config.timestamps != "none")


def test_long_prompt_keeps_its_last_223_tokens(whisper: Whisper) -> None:
    tokens = prompt(whisper, "en", InferenceConfig(prompt="We need the report. " * 300, timestamps="segment"))
    assert len(tokens) == 1 + 223 + 3
    assert whisper.tokenizer.decode(tokens[1:224]).endswith(" We need the report.")


def test_prompt_has_language_task_and_notimestamps(whisper: Whisper) -> None:
    tokens = prompt(whisper, "de", InferenceConfig(task="translate", timestamps="none"))
    assert whisper.tokenizer.decode(tokens) == "<|startoftranscript|><|de|><|translate|><|notimestamps|>"


def test_keywords_precede_the_prompt(whisper: Whisper) -> None:
    tokens = prompt(whisper, "en", InferenceConfig(keywords=("Anna", "David"), prompt="We meet."))
    start = tokens.index(whisper.vocabulary.start)
    assert whisper.tokenizer.decode(tokens[1:start]) == " Anna, David We meet."
    assert prompt(whisper, "en", InferenceConfig(keywords=())) == tokens[start:]


def test_detected_language_is_the_most_probable_of_the_given_ones(whisper: Whisper) -> None:
    language_tokens = whisper.vocabulary.languages
    logits = torch.zeros(whisper.config.vocab_size)
    logits[language_tokens["de"]] = 2.0
    assert whisper.detect_language(logits, InferenceConfig())[0] == "de"
    assert whisper.detect_language(logits, InferenceConfig(languages=("english",))) == ("en", 1.0)
    with pytest.raises(InvalidRequest, match=r"^the model does not know the language 'xx': choose one of de, en$"):
        whisper.capabilities.check(InferenceConfig(languages=("en", "xx")))


def test_language_is_given_by_code_or_name(whisper: Whisper) -> None:
    assert [whisper.capabilities.check(InferenceConfig(language=name)) for name in ("de", " German ", None)] == [
        "de",
        "de",
        None,
    ]
    with pytest.raises(InvalidRequest, match=r"^the model does not know the language 'xx': choose one of de, en$"):
        whisper.capabilities.check(InferenceConfig(language="xx"))


def test_end_token_counts_in_the_mean_log_probability(whisper: Whisper) -> None:
    end = whisper.vocabulary.end
    assert whisper.score([5, 6, end, 7], [-1.0, -2.0, -3.0, -9.0], 0.2, 0.1) == DecodingResult(
        [5, 6], [-1.0, -2.0], -2.0, whisper.score([5, 6], [0.0, 0.0], 0.2, 0.1).compression_ratio, 0.2, 0.1, [5, 6]
    )
    assert whisper.score([], [], 0.0, 0.0) == DecodingResult([], [], 0.0, 0.0, 0.0, 0.0, [])


@pytest.mark.parametrize(
    ("no_speech", "logprob", "compression", "silence", "fallback"),
    [
        (0.9, -1.5, 1.0, True, False),  # no speech, and improbable text
        (0.9, -0.5, 1.0, False, False),  # probable text overrides no_speech
        (0.1, -1.5, 1.0, False, True),
        (0.1, -0.5, 3.0, False, True),  # repetitive text
        (0.1, -0.5, 1.0, False, False),
    ],
)
def test_thresholds_are_those_of_whisper(
    no_speech: float, logprob: float, compression: float, silence: bool, fallback: bool
) -> None:
    result = DecodingResult([1], [logprob], logprob, compression, 0.0, no_speech, [1, 2] * 4)
    assert (is_silence(result, InferenceConfig()), needs_fallback(result, InferenceConfig())) == (silence, fallback)


@pytest.mark.parametrize(
    ("attempts", "best"),
    [
        ([(-1.2, 1.0), (-1.5, 1.0), (-3.0, 1.0)], 0),  # all are improbable
        ([(-0.3, 9.0), (-1.5, 1.0), (-3.0, 1.0)], 1),  # the most probable one repeats itself
        ([(-0.3, 9.0), (-0.4, 9.0)], 0),
        ([(-0.3, 9.0), (-1.5, 1.0), (-0.9, 1.0)], 2),  # the last one meets the thresholds
    ],
)
def test_the_best_attempt_is_kept(attempts: list[tuple[float, float]], best: int) -> None:
    results = [DecodingResult([1], [logprob], logprob, ratio, 0.0, 0.1, [1, 2] * 4) for logprob, ratio in attempts]
    assert max(range(len(results)), key=lambda number: preference(results[number], InferenceConfig())) == best
