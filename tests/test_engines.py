"""What every engine keeps to, on the real demo checkpoints and recordings."""

from concurrent.futures import ThreadPoolExecutor
from typing import Any

import jiwer
import numpy as np
import pytest

from tests.conftest import ASSISTANT, DEMO, ROOT, SAMPLES
from tools.sentences import words_of
from transcription.audio import Audio
from transcription.config import InferenceConfig, ModelSettings
from transcription.context import RequestContext
from transcription.engines import ENGINES
from transcription.errors import Cancelled, InvalidRequest, InvalidSettings
from transcription.transcriber import Transcriber
from transcription.transcript import Segment, Transcript

WER_LIMIT = {"meeting": 0.05, "short": 0.0, "german": 0.10, "long": 0.05, "noisy": 0.12}
SPOKEN = list(WER_LIMIT)


def heard(transcriber: Transcriber, name: str, **parameters: Any) -> Transcript:
    return transcriber.transcribe(SAMPLES[name].audio, InferenceConfig.from_request(parameters))


def wer(truth: str, text: str) -> float:
    return float(jiwer.wer(" ".join(words_of(truth)), " ".join(words_of(text))))


@pytest.fixture(scope="module", params=ENGINES)
def transcriber(request: pytest.FixtureRequest) -> Transcriber:
    """The demo model with its assistant, once with every engine."""
    return Transcriber(
        ModelSettings.from_environment(asr_model=str(DEMO), assistant_model=str(ASSISTANT), engine=request.param)
    )


@pytest.mark.parametrize("name", SPOKEN)
def test_every_sample_says_what_was_said(transcriber: Transcriber, name: str) -> None:
    truth, transcript = SAMPLES[name].truth, heard(transcriber, name)
    assert wer(truth["text"], transcript.text) <= WER_LIMIT[name]
    assert transcript.language == truth["language"]
    assert transcript.duration == pytest.approx(truth["duration"], abs=0.1)


@pytest.mark.parametrize("timestamps", ["none", "segment", "word"])
def test_silence_and_nothing_are_no_words(transcriber: Transcriber, timestamps: str) -> None:
    assert heard(transcriber, "silence", timestamps=timestamps).segments == ()
    nothing = transcriber.transcribe(Audio(np.zeros(0, np.float32)), InferenceConfig())
    assert nothing == Transcript()


@pytest.mark.parametrize("count", [1, 10, 400, 4_000])
def test_a_blink_of_audio_is_no_words(transcriber: Transcriber, count: int) -> None:
    blink = Audio(np.full(count, 0.1, np.float32))
    assert transcriber.transcribe(blink, InferenceConfig(timestamps="word")).text == ""


def test_the_language_is_that_of_the_first_window_that_speaks(transcriber: Transcriber) -> None:
    speech = SAMPLES["german"].audio.samples
    late = Audio(np.concatenate([np.zeros(30 * 16_000, np.float32), speech]))
    for batch_size in (1, 24):
        transcript = transcriber.transcribe(late, InferenceConfig(batch_size=batch_size))
        assert transcript.language == "de"


def test_windows_say_what_the_whole_says(transcriber: Transcriber) -> None:
    whole = heard(transcriber, "meeting")
    for seconds in (10, 15):
        assert wer(whole.text, heard(transcriber, "meeting", chunk_length_s=seconds).text) <= 0.05


@pytest.mark.parametrize("timestamps", ["none", "segment", "word"])
def test_a_batch_says_what_one_at_a_time_says(transcriber: Transcriber, timestamps: str) -> None:
    asked = {"timestamps": timestamps, "chunk_length_s": 10, "language": "en"}
    alone = heard(transcriber, "long", batch_size=1, **asked)
    together = heard(transcriber, "long", batch_size=24, **asked)
    assert [segment.tokens for segment in together.segments] == [segment.tokens for segment in alone.segments]


@pytest.mark.parametrize("name", ["short", "german", "noisy", "long", "silence"])
@pytest.mark.parametrize("timestamps", ["none", "word"])
def test_the_assistant_changes_no_word(transcriber: Transcriber, name: str, timestamps: str) -> None:
    alone = heard(transcriber, name, timestamps=timestamps, assisted=False)
    for assisted in (True, "auto"):
        transcript = heard(transcriber, name, timestamps=timestamps, assisted=assisted)
        assert [segment.tokens for segment in transcript.segments] == [segment.tokens for segment in alone.segments]
        assert transcript.text == alone.text


def test_the_ladder_is_climbed_only_while_a_threshold_is_missed(transcriber: Transcriber) -> None:
    asked = {"temperature": [0.0, 0.4], "language": "en", "no_speech_threshold": None}
    assert {s.temperature for s in heard(transcriber, "short", **asked).segments} == {0.0}
    always_missed = heard(transcriber, "short", **asked, compression_ratio_threshold=0.01)
    assert {segment.temperature for segment in always_missed.segments} == {0.4}


@pytest.mark.parametrize("name", SPOKEN)
def test_times_rise_and_stay_inside_the_audio(transcriber: Transcriber, name: str) -> None:
    transcript = heard(transcriber, name, timestamps="word")
    for parts in (transcript.segments, transcript.words):
        times = [time for part in parts for time in (part.start, part.end)]
        assert times == sorted(times)
        assert times[0] >= 0
        assert times[-1] <= transcript.duration + 1e-6


def test_words_join_to_the_text_and_have_chances(transcriber: Transcriber) -> None:
    transcript = heard(transcriber, "meeting", timestamps="word")
    assert [segment.text for segment in transcript.segments] == [
        "".join(word.word for word in segment.words) for segment in transcript.segments
    ]
    assert all(word.probability is not None and 0 < word.probability <= 1 for word in transcript.words)


def test_word_times_are_where_the_words_are(transcriber: Transcriber) -> None:
    from tools.evaluate import word_start_errors
    from tools.samples import read_truth

    truth = read_truth(SAMPLES["meeting"].path)
    errors = np.array(word_start_errors(truth, heard(transcriber, "meeting", timestamps="word")))
    assert len(errors) >= 0.9 * len(truth.words)
    assert np.mean(errors <= 0.15) >= 0.9


def test_german_is_translated(transcriber: Transcriber) -> None:
    translated = heard(transcriber, "german", task="translate")
    assert wer(SAMPLES["german"].truth["english"], translated.text) <= 0.35
    assert (translated.language, translated.task) == ("de", "translate")


def test_a_given_language_is_used_and_not_called_detected(transcriber: Transcriber) -> None:
    for name in ("de", "German", " german "):
        transcript = heard(transcriber, "german", language=name)
        assert (transcript.language, transcript.language_probability) == ("de", None)


def test_a_prompt_is_no_part_of_the_answer(transcriber: Transcriber) -> None:
    prompted = heard(transcriber, "short", prompt="Thank you very much Anna.")
    assert wer(SAMPLES["short"].truth["text"], prompted.text) <= 0.2


def test_the_logprobs_are_those_of_the_texts_tokens(transcriber: Transcriber) -> None:
    transcript = heard(transcriber, "short", logprobs=True)
    tokens = [token for segment in transcript.segments for token in segment.logprobs]
    assert b"".join(token.data for token in tokens).decode().strip() == transcript.text
    assert "".join(token.token for token in tokens).strip() == transcript.text
    assert all(-1 < token.logprob <= 0 for token in tokens)
    assert {segment.logprobs for segment in heard(transcriber, "short").segments} == {()}


def test_the_language_can_be_narrowed_down(transcriber: Transcriber) -> None:
    assert heard(transcriber, "german", languages=["de", "en"]).language == "de"
    assert heard(transcriber, "german", languages="en").language == "en"


def test_each_windows_segments_are_told_in_order(transcriber: Transcriber) -> None:
    told: list[Segment] = []
    transcript = transcriber.transcribe(
        SAMPLES["long"].audio, InferenceConfig(batch_size=1), RequestContext(None, told.extend)
    )
    assert tuple(told) == transcript.segments


def test_a_request_given_up_is_cancelled(transcriber: Transcriber) -> None:
    context = RequestContext()
    context.cancel()
    with pytest.raises(Cancelled):
        transcriber.transcribe(SAMPLES["short"].audio, InferenceConfig(), context)


def test_progress_ends_at_the_end(transcriber: Transcriber) -> None:
    told: list[tuple[float, float]] = []
    audio = SAMPLES["long"].audio
    transcriber.transcribe(
        audio, InferenceConfig(batch_size=1), RequestContext(lambda _, done, total: told.append((done, total)))
    )
    assert len(told) >= 3
    assert told == sorted(told)
    assert told[-1] == pytest.approx((audio.duration, audio.duration))


def test_requests_at_the_same_time_get_their_own_answers(transcriber: Transcriber) -> None:
    names = ["short", "german", "noisy"] * 2
    with ThreadPoolExecutor(3) as pool:
        together = list(pool.map(lambda name: heard(transcriber, name, timestamps="word"), names))
    for name, transcript in zip(names, together, strict=True):
        alone = heard(transcriber, name, timestamps="word")
        assert [(one.word, one.start) for one in transcript.words] == [(one.word, one.start) for one in alone.words]
        assert transcript.text == alone.text


WRONG = {
    "the model does not know the language 'xx': choose one of de, en": {"language": "xx"},
    "assisted needs an assistant: set ASSISTANT_MODEL, or leave assisted out": {"assisted": True},
}


@pytest.mark.parametrize("message", WRONG)
def test_what_the_model_cannot_do_is_said(message: str) -> None:
    bare = Transcriber(ModelSettings.from_environment(asr_model=str(DEMO)))
    with pytest.raises(InvalidRequest) as caught:
        bare.transcribe(SAMPLES["short"].audio, InferenceConfig.from_request(WRONG[message]))
    assert str(caught.value) == message


def test_settings_that_cannot_work_are_said_without_paths() -> None:
    with pytest.raises(InvalidSettings, match=r"^ASR_MODEL samples cannot be loaded"):
        Transcriber(ModelSettings.from_environment(asr_model=str(ROOT / "samples")))
    with pytest.raises(InvalidSettings, match=r"^DEVICE is unknown"):
        Transcriber(ModelSettings.from_environment(asr_model=str(DEMO), device="gpu"))


def test_the_service_can_force_a_language_and_default_to_words() -> None:
    forced = Transcriber(ModelSettings.from_environment(asr_model=str(DEMO), language_force="de", timestamps="word"))
    transcript = forced.transcribe(SAMPLES["german"].audio, InferenceConfig(language="en"))
    assert transcript.language == "de"
    assert transcript.words
