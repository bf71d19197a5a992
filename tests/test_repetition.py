"""Repetition: loops, and text that is copied from the prompt."""

import pytest

from tests.conftest import SAMPLES
from transcription.config import InferenceConfig
from transcription.transcriber import Transcriber
from transcription.whisper.decoding_result import DecodingResult, follows_prompt, needs_fallback
from transcription.whisper.repetition import are_alike, ends_in_loop, has_repeats, is_copied


def result_of(text_tokens: list[int], no_speech_prob: float = 0.0) -> DecodingResult:
    return DecodingResult(text_tokens, [-0.1] * len(text_tokens), -0.1, 1.0, 0.0, no_speech_prob, text_tokens)


@pytest.mark.parametrize(
    ("tokens", "expected"),
    [
        ([], False),
        ([1], False),
        (list(range(100)), False),
        ([7] * 29, False),  # people do say a word many times
        ([7] * 30, True),
        ([1, 2, 3, *[7] * 30], True),
        ([*[7] * 30, 8], False),  # it came out of the loop
        ([9, *[1, 2, 3, 4, 5, 6, 7, 8] * 4], False),
        ([9, *[1, 2, 3, 4, 5, 6, 7, 8] * 5], True),
        ([9, *[1, 2, 3, 4, 5, 6, 7, 8] * 5, 1, 2], True),  # it stops inside the phrase
    ],
)
def test_a_loop_is_one_phrase_at_the_end_many_times_over(tokens: list[int], expected: bool) -> None:
    assert ends_in_loop(tokens) == expected


@pytest.mark.parametrize(
    ("tokens", "expected"),
    [
        ([], False),
        (list(range(100)), False),
        ([1, 2, 3] * 3, False),  # people do say a sentence three times
        ([1, 2, 3] * 4, True),
        ([9, *[1, 2, 3] * 4, 8, 9], True),
        (list(range(30)) * 4, False),  # no decoder loops over so long a phrase
    ],
)
def test_repeats_are_one_phrase_four_times_in_a_row(tokens: list[int], expected: bool) -> None:
    assert has_repeats(tokens) == expected


@pytest.mark.parametrize(
    ("tokens", "prompt", "expected"),
    [
        ([], [1, 2, 3], False),
        ([1, 2, 3], [], False),
        ([1, 2, 3], [9, 1, 2, 3], True),
        ([3, 2, 1], [9, 1, 2, 3], False),  # the same words in another order
        ([1, 2, 3, 4, 5, 6, 11, 12, 13], [1, 2, 3, 4, 5, 6], True),
        ([1, 2, 3, 4, 5, 11, 12, 13, 14, 15], [1, 2, 3, 4, 5], False),  # half of it is its own
    ],
)
def test_text_is_copied_if_most_of_it_are_runs_of_the_prompt(
    tokens: list[int], prompt: list[int], expected: bool
) -> None:
    assert is_copied(tokens, prompt) == expected


def test_texts_are_alike_if_they_share_most_tokens_in_order() -> None:
    assert are_alike([], [])
    assert are_alike([1, 2, 3, 4, 5], [1, 2, 9, 4, 5])
    assert not are_alike([1, 2, 3, 4, 5], [5, 4, 3, 2, 1])
    assert not are_alike([1, 2, 3], [])


def test_a_window_without_text_follows_its_prompt() -> None:
    config = InferenceConfig()
    assert follows_prompt(result_of([]), [1, 2], config)
    assert follows_prompt(result_of([8] * 40), [1, 2], config)
    assert follows_prompt(result_of([1, 2]), [1, 2], config)
    assert not follows_prompt(result_of([3, 4]), [1, 2], config)


def test_a_loop_needs_fallback() -> None:
    assert needs_fallback(result_of([8] * 40), InferenceConfig())
    assert not needs_fallback(result_of([8] * 20), InferenceConfig())


@pytest.mark.parametrize("beam_size", [1, 5])
@pytest.mark.parametrize("timestamps", ["none", "word"])
def test_a_prompt_that_repeats_itself_does_not_become_the_text(
    transcriber: Transcriber, beam_size: int, timestamps: str
) -> None:
    audio = SAMPLES["short"].audio
    parameters = {"beam_size": beam_size, "timestamps": timestamps}
    plain = transcriber.transcribe(audio, InferenceConfig.from_request(parameters))
    phrase = "Please call the harbour office. " * 40
    prompted = transcriber.transcribe(audio, InferenceConfig.from_request({**parameters, "prompt": phrase}))
    assert prompted.text == plain.text


def test_a_prompt_that_is_really_said_stays(transcriber: Transcriber) -> None:
    audio = SAMPLES["short"].audio
    text = transcriber.transcribe(audio, InferenceConfig()).text
    assert transcriber.transcribe(audio, InferenceConfig(prompt=text)).text == text
