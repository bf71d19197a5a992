"""Language codes, tags and names, and the codes of Whisper that they mean."""

import pytest
from transformers.models.whisper import tokenization_whisper

from transcription.config import InferenceConfig
from transcription.errors import InvalidRequest
from transcription.whisper.capabilities import Capabilities
from transcription.whisper.languages import LANGUAGES, TO_LANGUAGE_CODE

MULTILINGUAL, ENGLISH = Capabilities(tuple(LANGUAGES), assisted=False), Capabilities((), assisted=False)
OLD = Capabilities(tuple(code for code in LANGUAGES if code != "yue"), assisted=False)


def test_the_languages_are_those_of_whisper() -> None:
    theirs = tokenization_whisper
    assert (LANGUAGES, TO_LANGUAGE_CODE) == (theirs.LANGUAGES, theirs.TO_LANGUAGE_CODE)


@pytest.mark.parametrize(
    ("sent", "code"),
    [
        ("de", "de"), (" DE ", "de"), ("zh-TW", "zh"), ("pt-BR", "pt"), ("pt_br", "pt"), ("zh-Hant-HK", "zh"),
        ("iw", "he"), ("nb", "no"), ("nb-NO", "no"), ("nn", "nn"), ("jv", "jw"), ("fil", "tl"), ("yue", "yue"),
        ("German", "de"), ("GERMAN", "de"), ("mandarin", "zh"), ("Haitian Creole", "ht"), ("<|de|>", "de"),
    ],
)  # fmt: skip
def test_a_tag_or_name_becomes_a_code(sent: str, code: str) -> None:
    assert MULTILINGUAL.check(InferenceConfig(language=sent)) == code
    assert MULTILINGUAL.candidate_languages(InferenceConfig(languages=(sent, code))) == [code]


def test_cantonese_is_chinese_in_models_before_large_v3() -> None:
    assert OLD.check(InferenceConfig(language="yue-HK")) == "zh"


@pytest.mark.parametrize("sent", ["en", "en-US", "English"])
def test_an_english_model_knows_english(sent: str) -> None:
    assert ENGLISH.check(InferenceConfig(language=sent)) == "en"


@pytest.mark.parametrize("sent", ["xx", "xx-US", "klingon", "-", "<||>"])
def test_an_unknown_language_is_refused_with_all_that_are_known(sent: str) -> None:
    with pytest.raises(InvalidRequest, match=r"^the model does not know the language .*: choose one of af, am, ar"):
        MULTILINGUAL.check(InferenceConfig(language=sent))
    with pytest.raises(InvalidRequest, match=r"^this model is English only: leave language out, or send en$"):
        ENGLISH.check(InferenceConfig(language=sent))
