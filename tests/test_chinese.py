"""One script for Chinese: the conversion, the parameter and the tags that ask for a script."""

import argparse
import io
import json
import sys
from collections.abc import Iterator
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from transcription.cli.options import add_request_options, inference_config
from transcription.config import InferenceConfig
from transcription.config.request_parameters import parse_request
from transcription.errors import InvalidRequest
from transcription.server.chat import ChatRequest
from transcription.server.parameters import TranscriptionRequest, form_parameters
from transcription.server.realtime.settings import RealtimeSettings
from transcription.transcript import Segment, TokenLogprob, Transcript, Word
from transcription.whisper.chinese import (
    Form,
    convert,
    convert_words,
    converter,
    form_of,
    in_one_script,
    missing_warnings,
)
from transcription.whisper.given_text import keys_of
from transcription.whisper.text_alignment import align_text

FORMS: tuple[Form, ...] = ("simplified", "taiwan", "hong kong", "unchanged")
MIXED = "广州市房地產中介協會分析"
WORDS = tuple(Word(one, at / 2, at / 2 + 0.4, 0.9) for at, one in enumerate(["头", "发", "髮型", " ok"]))
SEGMENT = Segment(
    "头发髮型 ok", 0.0, 1.9, WORDS, tokens=(1, 2, 3), avg_logprob=-0.2,
    logprobs=(TokenLogprob("头", "头".encode(), -0.1),), language="zh",
)  # fmt: skip


@pytest.fixture
def without_opencc(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Hide OpenCC, as on a device that has not installed it."""
    monkeypatch.setitem(sys.modules, "opencc", None)
    converter.cache_clear()
    yield
    converter.cache_clear()


@pytest.mark.parametrize(
    ("text", "simplified", "taiwan", "hong_kong"),
    [
        ("", "", "", ""),
        (" Hello, world. ", " Hello, world. ", " Hello, world. ", " Hello, world. "),
        (MIXED, "广州市房地产中介协会分析", "廣州市房地產中介協會分析", "廣州市房地產中介協會分析"),
        ("買一台 computer，谢谢", "买一台 computer，谢谢", "買一臺 computer，謝謝", "買一台 computer，謝謝"),
        ("看著急", "看着急", "看著急", "看著急"),
        ("在裏面", "在里面", "在裡面", "在裏面"),
        # The same simplified character stands for several, and OpenCC knows the phrases.
        ("皇后在头发后面", "皇后在头发后面", "皇后在頭髮後面", "皇后在頭髮後面"),
        ("干擾和乾杯", "干扰和干杯", "干擾和乾杯", "干擾和乾杯"),
        # What the model wrote in traditional characters is kept: without a phrase, 发 would be 發.
        ("髮", "发", "髮", "髮"),
        ("软件", "软件", "軟件", "軟件"),
    ],
)
def test_a_text_in_each_form(text: str, simplified: str, taiwan: str, hong_kong: str) -> None:
    assert [convert(text, form) for form in FORMS] == [simplified, taiwan, hong_kong, text]


@given(st.text("头发髮后後乾干幹著着里裡裏台臺 a。\ufffd\0ラ한😀", max_size=12), st.sampled_from(FORMS))
def test_nothing_is_lost_and_only_chinese_characters_change(text: str, form: Form) -> None:
    converted = convert(text, form)
    kept = [(old, new) for old, new in zip(text, converted, strict=True) if not "\u4e00" <= old <= "\u9fff"]
    assert [old for old, _ in kept] == [new for _, new in kept]


@pytest.mark.parametrize(
    ("words", "converted"),
    [([], []), (["头", "发"], ["頭", "髮"]), ([" OK", "皇", "后", "后面。"], [" OK", "皇", "后", "後面。"])],
)
def test_words_are_parts_of_the_converted_text(words: list[str], converted: list[str]) -> None:
    assert convert_words(words, "taiwan") == converted


@pytest.mark.parametrize(
    ("tag", "form", "traditional"),
    [
        ("zh", "simplified", "taiwan"), ("Chinese", "simplified", "taiwan"), ("zh-CN", "simplified", "taiwan"),
        ("zh-SG", "simplified", "taiwan"), ("zh-MY", "simplified", "taiwan"), ("zh-Hans", "simplified", "taiwan"),
        ("zh-Hans-TW", "simplified", "taiwan"), ("zh-TW", "taiwan", "taiwan"), (" ZH_tw ", "taiwan", "taiwan"),
        ("cmn-TW", "taiwan", "taiwan"), ("zh-Hant", "taiwan", "taiwan"), ("zh-Hant-CN", "taiwan", "taiwan"),
        ("zh-HK", "hong kong", "hong kong"), ("zh-Hant-HK", "hong kong", "hong kong"),
        ("zh-MO", "hong kong", "hong kong"), ("yue", "unchanged", "taiwan"), ("zh-yue-HK", "unchanged", "taiwan"),
        ("de-CN", "simplified", "taiwan"), ("multi", "simplified", "taiwan"), (None, "simplified", "taiwan"),
    ],
)  # fmt: skip
def test_a_tag_says_how_chinese_is_written_unless_the_parameter_does(
    tag: str | None, form: Form, traditional: Form
) -> None:
    scripts = (None, "traditional", "simplified", "unchanged")
    found = [form_of(InferenceConfig.from_request({"language": tag, "chinese_script": one})) for one in scripts]
    assert found == [form, traditional, "simplified", "unchanged"]


def test_the_first_candidate_of_detection_with_a_region_counts() -> None:
    assert form_of(InferenceConfig(languages=("en", "zh", "zh-TW", "zh-CN"))) == "taiwan"
    # A live session keeps the language that it detected, and what its client asked for.
    assert form_of(InferenceConfig(languages=("zh-HK", "en")).model_copy(update={"language": "zh"})) == "hong kong"


def test_every_interface_keeps_the_region_of_a_tag() -> None:
    tag = {"language": "zh-HK"}
    form = form_parameters({"language": ["zh-HK"]})
    audio = {"type": "input_audio", "input_audio": {"data": "AAAA", "format": "wav"}}
    chat = {**tag, "messages": [{"role": "user", "content": [audio]}]}
    session = {"audio": {"input": {"transcription": tag}}}
    options = argparse.ArgumentParser()
    add_request_options(options)
    configs = {
        "endpoint": parse_request({"generate_kwargs": tag}, InferenceConfig)[0],
        "audio": TranscriptionRequest.from_parameters(form).to_config("transcribe"),
        "chat": ChatRequest.from_body(io.BytesIO(json.dumps(chat).encode())).config,
        "live": RealtimeSettings().updated(session).config(),
        "commands": inference_config(options.parse_args(["--language", "zh-HK"])),
    }
    assert {name: form_of(config) for name, config in configs.items()} == dict.fromkeys(configs, "hong kong")


def test_an_unknown_script_is_refused() -> None:
    with pytest.raises(InvalidRequest, match=r"^chinese_script: Input should be 'simplified', 'traditional' or 'unch"):
        InferenceConfig.from_request({"chinese_script": "latin"})


def test_text_and_words_of_a_segment_change_and_nothing_else() -> None:
    words = tuple(replace(word, word=new) for word, new in zip(WORDS, ["頭", "髮", "髮型", " ok"], strict=True))
    taiwan = InferenceConfig(language="zh-TW")
    assert in_one_script(SEGMENT, taiwan) == replace(SEGMENT, text="頭髮髮型 ok", words=words)
    without_words = replace(SEGMENT, words=())
    assert in_one_script(without_words, taiwan) == replace(without_words, text="頭髮髮型 ok")
    assert in_one_script(SEGMENT, InferenceConfig()).text == "头发发型 ok"
    assert in_one_script(Segment("", 0.0, 0.0, language="zh"), taiwan) == Segment("", 0.0, 0.0, language="zh")


@pytest.mark.parametrize(
    ("language", "parameters"),
    [
        ("zh", {"chinese_script": "unchanged"}), ("zh", {"task": "translate", "language": "zh-TW"}),
        ("zh", {"language": "yue-HK"}), ("yue", {"language": "zh-TW"}), ("ja", {"chinese_script": "traditional"}),
        (None, {"chinese_script": "traditional"}),
    ],
)  # fmt: skip
def test_other_text_stays(language: str | None, parameters: dict[str, str]) -> None:
    segment = replace(SEGMENT, language=language)
    assert in_one_script(segment, InferenceConfig.from_request(parameters)) == segment


def test_cantonese_changes_only_if_the_request_asks_for_a_script() -> None:
    segment = Segment("头发", 0.0, 1.0, language="yue")
    assert in_one_script(segment, InferenceConfig(chinese_script="traditional")).text == "頭髮"


def test_a_given_text_is_found_in_any_script_and_stays() -> None:
    words = tuple(Word(one, at / 2, at / 2 + 0.4, 0.9) for at, one in enumerate("头发很长吗"))
    heard = Transcript((Segment("头发很长吗", 0.0, 2.4, words, language="zh"),), "zh", 3.0)
    aligned = align_text(heard, "頭髮很長嗎")
    assert (aligned.text, aligned.warnings) == ("頭髮很長嗎", ())
    assert [word.start for word in aligned.words] == [0.0, 0.5, 1.0, 1.5, 2.0]
    assert keys_of("頭髮") == keys_of("头发") == ["头", "发"]


@pytest.mark.usefixtures("without_opencc")
def test_without_opencc_the_text_stays_and_the_log_says_so_once(caplog: pytest.LogCaptureFixture) -> None:
    asked = InferenceConfig(language="zh-TW")
    assert [in_one_script(SEGMENT, config) for config in (InferenceConfig(), asked, asked)] == [SEGMENT] * 3
    assert [record.message for record in caplog.records] == [
        "Chinese stays in the characters that the model writes: to convert them, pip install opencc"
    ]


WARNING = ("Chinese is in the characters that the model wrote: opencc is not installed",)


@pytest.mark.usefixtures("without_opencc")
@pytest.mark.parametrize(
    ("parameters", "warnings"),
    [
        ({}, ()), ({"language": "zh"}, ()), ({"language": "zh-TW"}, WARNING), ({"languages": ["zh-CN"]}, WARNING),
        ({"chinese_script": "simplified"}, WARNING), ({"chinese_script": "unchanged", "language": "zh-TW"}, ()),
        ({"language": "zh-TW", "task": "translate"}, ()), ({"language": "zh-TW", "align": "我们"}, ()),
        ({"language": "yue"}, ()),
    ],
)  # fmt: skip
def test_without_opencc_an_answer_warns_who_asked_for_a_script(
    parameters: dict[str, object], warnings: tuple[str, ...]
) -> None:
    config = InferenceConfig.from_request(parameters)
    assert missing_warnings(Transcript((SEGMENT,), "zh", 2.0), config) == warnings
    assert missing_warnings(Transcript((replace(SEGMENT, language="en"),), "en", 2.0), config) == ()


def test_with_opencc_no_answer_warns() -> None:
    assert missing_warnings(Transcript((SEGMENT,), "zh", 2.0), InferenceConfig(language="zh-TW")) == ()
