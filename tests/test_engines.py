"""The contract of every engine, on the demo checkpoints and recordings."""

from concurrent.futures import ThreadPoolExecutor
from typing import Any

import jiwer
import numpy as np
import pytest

from benchmarks.scores import words_of
from tests.conftest import ASSISTANT, DEMO, ROOT, SAMPLES
from transcription.audio import Audio
from transcription.config import InferenceConfig, ModelSettings
from transcription.context import RequestContext
from transcription.errors import Cancelled, InvalidRequest, InvalidSettings
from transcription.transcriber import Transcriber
from transcription.transcript import Segment, Transcript

WER_LIMIT = {"meeting": 0.05, "short": 0.0, "german": 0.10, "long": 0.05, "noisy": 0.12}
SPOKEN = list(WER_LIMIT)


TRANSCRIPTS: dict[tuple[Transcriber, str, str], Transcript] = {}


def transcribe(transcriber: Transcriber, name: str, **parameters: Any) -> Transcript:
    """Return the transcript of a sample. Equal requests are transcribed once."""
    config = InferenceConfig.from_request(parameters)
    key = (transcriber, name, config.model_dump_json())
    if key not in TRANSCRIPTS:
        TRANSCRIPTS[key] = transcriber.transcribe(SAMPLES[name].audio, config)
    return TRANSCRIPTS[key]


def wer(truth: str, text: str) -> float:
    return float(jiwer.wer(" ".join(words_of(truth)), " ".join(words_of(text))))


@pytest.fixture(scope="module", params=["batching", "transformers"])  # onnx: test_edge.py
def transcriber(request: pytest.FixtureRequest) -> Transcriber:
    """Return the demo model with its assistant, once for every engine."""
    return Transcriber(
        ModelSettings.from_environment(asr_model=str(DEMO), assistant_model=str(ASSISTANT), engine=request.param)
    )


@pytest.mark.parametrize("name", SPOKEN)
def test_every_sample_is_transcribed_within_its_word_error_rate(transcriber: Transcriber, name: str) -> None:
    truth, transcript = SAMPLES[name].truth, transcribe(transcriber, name)
    assert wer(truth["text"], transcript.text) <= WER_LIMIT[name]
    assert transcript.language == truth["language"]
    assert transcript.duration == pytest.approx(truth["duration"], abs=0.1)


@pytest.mark.parametrize("timestamps", ["none", "segment", "word"])
def test_silence_and_empty_audio_give_no_words(transcriber: Transcriber, timestamps: str) -> None:
    assert transcribe(transcriber, "silence", timestamps=timestamps).segments == ()
    nothing = transcriber.transcribe(Audio(np.zeros(0, np.float32)), InferenceConfig())
    assert nothing == Transcript()


@pytest.mark.parametrize("count", [1, 10, 400, 4_000])
def test_audio_too_short_for_a_word_gives_no_words(transcriber: Transcriber, count: int) -> None:
    blink = Audio(np.full(count, 0.1, np.float32))
    assert transcriber.transcribe(blink, InferenceConfig(timestamps="word")).text == ""


def test_the_first_window_with_speech_decides_the_language(transcriber: Transcriber) -> None:
    speech = SAMPLES["german"].audio.samples
    late = Audio(np.concatenate([np.zeros(30 * 16_000, np.float32), speech]))
    for batch_size in (1, 24):
        transcript = transcriber.transcribe(late, InferenceConfig(batch_size=batch_size))
        assert transcript.language == "de"


def test_shorter_windows_give_nearly_the_same_text(transcriber: Transcriber) -> None:
    whole = transcribe(transcriber, "meeting")
    for seconds in (10, 15):
        assert wer(whole.text, transcribe(transcriber, "meeting", chunk_length_s=seconds).text) <= 0.05


@pytest.mark.parametrize(("timestamps", "name"), [("none", "meeting"), ("segment", "long"), ("word", "meeting")])
def test_a_batch_gives_the_tokens_of_one_window_at_a_time(transcriber: Transcriber, timestamps: str, name: str) -> None:
    asked = {"timestamps": timestamps, "chunk_length_s": 8, "language": "en"}
    alone = transcribe(transcriber, name, batch_size=1, **asked)
    together = transcribe(transcriber, name, batch_size=24, **asked)
    assert [segment.tokens for segment in together.segments] == [segment.tokens for segment in alone.segments]


@pytest.mark.parametrize(
    ("name", "timestamps"),
    [("short", "none"), ("noisy", "none"), ("silence", "none"), ("german", "word"), ("long", "word")],
)
def test_speculative_decoding_changes_no_token(transcriber: Transcriber, name: str, timestamps: str) -> None:
    alone = transcribe(transcriber, name, timestamps=timestamps, assisted=False)
    for assisted in (True, "auto"):
        transcript = transcribe(transcriber, name, timestamps=timestamps, assisted=assisted)
        assert [segment.tokens for segment in transcript.segments] == [segment.tokens for segment in alone.segments]
        assert transcript.text == alone.text


@pytest.mark.parametrize(
    ("temperatures", "threshold", "kept"),
    [
        ([0.0, 0.4], -1.0, 0.0),  # the first attempt meets the threshold
        ([1.0, 0.0], -1.0, 1.0),
        ([1.0, 0.0], -0.6, 0.0),  # the second one does
        ([1.0, 0.0], -0.05, 0.0),  # none does, and the second one is more probable
    ],
)
def test_the_first_attempt_that_meets_the_thresholds_is_kept(
    transcriber: Transcriber, temperatures: list[float], threshold: float, kept: float
) -> None:
    asked = {"temperature": temperatures, "logprob_threshold": threshold, "language": "en", "no_speech_threshold": None}
    assert {segment.temperature for segment in transcribe(transcriber, "noisy", **asked).segments} == {kept}


@pytest.mark.parametrize("name", SPOKEN)
def test_times_never_decrease_and_lie_inside_the_audio(transcriber: Transcriber, name: str) -> None:
    transcript = transcribe(transcriber, name, timestamps="word")
    for parts in (transcript.segments, transcript.words):
        times = [time for part in parts for time in (part.start, part.end)]
        assert times == sorted(times)
        assert times[0] >= 0
        assert times[-1] <= transcript.duration + 1e-6


def test_words_join_to_the_text_and_have_probabilities(transcriber: Transcriber) -> None:
    transcript = transcribe(transcriber, "meeting", timestamps="word")
    assert [segment.text for segment in transcript.segments] == [
        "".join(word.word for word in segment.words) for segment in transcript.segments
    ]
    assert all(word.probability is not None and 0 < word.probability <= 1 for word in transcript.words)


def test_word_starts_are_within_150_ms_of_the_truth(transcriber: Transcriber) -> None:
    from benchmarks.scores import word_start_errors
    from benchmarks.truth import read_truth

    truth = read_truth(SAMPLES["meeting"].path)
    errors = np.array(word_start_errors(truth, transcribe(transcriber, "meeting", timestamps="word")))
    assert len(errors) >= 0.9 * len(truth.words)
    assert np.mean(errors <= 0.15) >= 0.9


def test_translate_gives_english(transcriber: Transcriber) -> None:
    translated = transcribe(transcriber, "german", task="translate")
    assert wer(SAMPLES["german"].truth["english"], translated.text) <= 0.35
    assert (translated.language, translated.task) == ("de", "translate")


def test_a_given_language_has_no_detection_probability(transcriber: Transcriber) -> None:
    for name in ("de", "German", " german "):
        transcript = transcribe(transcriber, "german", language=name)
        assert (transcript.language, transcript.language_probability) == ("de", None)


def test_the_prompt_is_not_part_of_the_text(transcriber: Transcriber) -> None:
    prompted = transcribe(transcriber, "short", prompt="Thank you very much Anna.")
    assert wer(SAMPLES["short"].truth["text"], prompted.text) <= 0.2


def test_logprobs_cover_the_tokens_of_the_text(transcriber: Transcriber) -> None:
    transcript = transcribe(transcriber, "short", logprobs=True)
    tokens = [token for segment in transcript.segments for token in segment.logprobs]
    assert b"".join(token.data for token in tokens).decode().strip() == transcript.text
    assert "".join(token.token for token in tokens).strip() == transcript.text
    assert all(-1 < token.logprob <= 0 for token in tokens)
    assert {segment.logprobs for segment in transcribe(transcriber, "short").segments} == {()}


def test_languages_limits_the_detection(transcriber: Transcriber) -> None:
    assert transcribe(transcriber, "german", languages=["de", "en"]).language == "de"
    assert transcribe(transcriber, "german", languages="en").language == "en"


def test_segments_are_reported_in_order(transcriber: Transcriber) -> None:
    reported: list[Segment] = []
    transcript = transcriber.transcribe(
        SAMPLES["long"].audio, InferenceConfig(batch_size=1), RequestContext(None, reported.extend)
    )
    assert tuple(reported) == transcript.segments


def test_a_cancelled_context_raises_cancelled(transcriber: Transcriber) -> None:
    context = RequestContext()
    context.cancel()
    with pytest.raises(Cancelled):
        transcriber.transcribe(SAMPLES["short"].audio, InferenceConfig(), context)


def test_progress_rises_to_the_duration(transcriber: Transcriber) -> None:
    reported: list[tuple[float, float]] = []
    audio = SAMPLES["long"].audio
    transcriber.transcribe(
        audio, InferenceConfig(batch_size=1), RequestContext(lambda _, done, total: reported.append((done, total)))
    )
    assert len(reported) >= 3
    assert reported == sorted(reported)
    assert reported[-1] == pytest.approx((audio.duration, audio.duration))


def test_concurrent_requests_get_their_own_transcripts(transcriber: Transcriber) -> None:
    names, config = ["short", "german", "noisy"] * 2, InferenceConfig(timestamps="word")
    with ThreadPoolExecutor(3) as pool:
        together = list(pool.map(lambda name: transcriber.transcribe(SAMPLES[name].audio, config), names))
    for name, transcript in zip(names, together, strict=True):
        alone = transcribe(transcriber, name, timestamps="word")
        assert [(one.word, one.start) for one in transcript.words] == [(one.word, one.start) for one in alone.words]
        assert transcript.text == alone.text


WRONG = {
    "the model does not know the language 'xx': choose one of de, en": {"language": "xx"},
    "assisted needs an assistant: set ASSISTANT_MODEL, or leave assisted out": {"assisted": True},
}


@pytest.mark.parametrize("message", WRONG)
def test_refuses_what_the_model_cannot_do(message: str) -> None:
    bare = Transcriber(ModelSettings.from_environment(asr_model=str(DEMO)))
    with pytest.raises(InvalidRequest) as caught:
        bare.transcribe(SAMPLES["short"].audio, InferenceConfig.from_request(WRONG[message]))
    assert str(caught.value) == message


def test_invalid_settings_are_named_without_paths_of_the_host() -> None:
    with pytest.raises(InvalidSettings, match=r"^ASR_MODEL samples cannot be loaded"):
        Transcriber(ModelSettings.from_environment(asr_model=str(ROOT / "samples")))
    with pytest.raises(InvalidSettings, match=r"^DEVICE is unknown"):
        Transcriber(ModelSettings.from_environment(asr_model=str(DEMO), device="gpu"))


def test_settings_force_the_language_and_the_default_timestamps() -> None:
    forced = Transcriber(ModelSettings.from_environment(asr_model=str(DEMO), language_force="de", timestamps="word"))
    transcript = forced.transcribe(SAMPLES["german"].audio, InferenceConfig(language="en"))
    assert transcript.language == "de"
    assert transcript.words
