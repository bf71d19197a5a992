"""Real weights on real recordings.

Neither is part of the repository. The tests run with `--real-models DIR --real-speech DIR`, or where REAL_MODELS and
REAL_SPEECH are set (benchmarks/README.md, Real speech).
"""

from collections.abc import Iterable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest

from benchmarks.speech.recordings import Recording, read_manifest
from benchmarks.speech.scoring import Errors, edit_errors, recording_errors, split_units, turn_start_errors
from transcription.audio import SAMPLE_RATE, Audio, Samples
from transcription.config import InferenceConfig, ModelSettings
from transcription.transcriber import Transcriber
from transcription.transcript import Transcript
from transcription.vad.activity import SpeechActivity
from transcription.whisper.chinese import Form, convert

CLEAN = (
    "fleurs-en-000.ogg", "libri-1995-1837-0001.flac", "libri-2033-164914-0000.flac", "libri-2412-153948-0000.flac",
    "libri-3331-159605-0000.flac",
)  # fmt: skip
ONE_OF_EACH_LANGUAGE = (
    "fleurs-de-000.ogg", "fleurs-es-000.ogg", "fleurs-fr-000.ogg", "fleurs-pt-000.ogg",
    "fleurs_ja_1837_clip4.flac", "zh-aishell-BAC009S0764W0121.flac",
)  # fmt: skip


def folder_of(config: pytest.Config, name: str) -> Path:
    """Return the folder that was given for `name`; skip the test if there is none."""
    value = config.getoption(f"--real-{name}")
    if not value:
        pytest.skip(f"no real {name}: give --real-{name} DIR or set REAL_{name.upper()}")
    return Path(value)


@pytest.fixture(scope="module")
def recordings(request: pytest.FixtureRequest) -> dict[str, Recording]:
    """Return the recordings by file name."""
    manifest = folder_of(request.config, "speech") / "manifest.jsonl"
    return {recording.file: recording for recording in read_manifest(manifest)}


@pytest.fixture(scope="module")
def whisper_base(request: pytest.FixtureRequest) -> Transcriber:
    """openai/whisper-base with the default settings."""
    folder = folder_of(request.config, "models") / "whisper-base"
    return Transcriber(ModelSettings.from_environment(asr_model=str(folder), dtype="auto"))


@pytest.fixture(scope="module")
def jfk(recordings: dict[str, Recording]) -> Recording:
    """11 s with one sentence of 22 words."""
    return recordings["jfk-whisper.flac"]


@pytest.fixture(scope="module")
def jfk_28s(jfk: Recording) -> tuple[Samples, list[str]]:
    """Return the sentence two and a half times, with speech until the end, and its 56 words."""
    words = split_units(jfk.text or "", "en", "words")
    return np.tile(jfk.load(), 3)[: 28 * SAMPLE_RATE], [*words, *words, *words[:12]]


def transcribe_together(
    transcriber: Transcriber, requests: Iterable[tuple[Samples, Mapping[str, object]]]
) -> list[Transcript]:
    """Transcribe all samples with their parameters. One batch takes two thirds of the time of one after the other."""
    asked = [(Audio(samples), InferenceConfig.from_request(parameters)) for samples, parameters in requests]
    with ThreadPoolExecutor(len(asked)) as pool:
        return list(pool.map(lambda one: transcriber.transcribe(*one), asked))


def words_in(transcriber: Transcriber, samples: Samples, **parameters: object) -> list[str]:
    """Return the normalised English words that are transcribed."""
    config = InferenceConfig.from_request({"language": "en", **parameters})
    return split_units(transcriber.transcribe(Audio(samples), config).text, "en", "words")


def test_transcribes_a_sentence_word_for_word(whisper_base: Transcriber, jfk: Recording) -> None:
    transcript = whisper_base.transcribe(Audio(jfk.load()), InferenceConfig())
    assert recording_errors(jfk, transcript.text) == Errors(hits=22)
    assert transcript.language == "en"


def test_clean_clips_have_few_word_errors(whisper_base: Transcriber, recordings: dict[str, Recording]) -> None:
    total = Errors()
    transcripts = transcribe_together(whisper_base, [(recordings[file].load(), {}) for file in CLEAN])
    for file, transcript in zip(CLEAN, transcripts, strict=True):
        total += recording_errors(recordings[file], transcript.text) or Errors()
    assert total.length > 100
    assert total.rate is not None
    assert total.rate <= 0.12


@pytest.fixture(scope="module")
def detected(whisper_base: Transcriber, recordings: dict[str, Recording]) -> dict[str, str | None]:
    """Return the language that is found in the first 10 s of each file."""
    samples = [recordings[file].load()[: 10 * SAMPLE_RATE] for file in ONE_OF_EACH_LANGUAGE]
    transcripts = transcribe_together(whisper_base, [(part, {}) for part in samples])
    return {file: one.language for file, one in zip(ONE_OF_EACH_LANGUAGE, transcripts, strict=True)}


@pytest.mark.parametrize("file", ONE_OF_EACH_LANGUAGE)
def test_detects_the_language(detected: dict[str, str | None], recordings: dict[str, Recording], file: str) -> None:
    assert detected[file] == recordings[file].language


def test_chinese_has_the_script_of_the_tag(whisper_base: Transcriber, recordings: dict[str, Recording]) -> None:
    samples = recordings["zh-aishell-BAC009S0724W0121.flac"].load()  # the model writes traditional characters
    forms: dict[str, Form] = {"zh": "simplified", "zh-TW": "taiwan", "zh-HK": "hong kong"}
    requests = [(samples, {"language": tag, "timestamps": "word", "beam_size": 1}) for tag in forms]
    for form, transcript in zip(forms.values(), transcribe_together(whisper_base, requests), strict=True):
        assert len(transcript.text) >= 10
        assert transcript.text == convert(transcript.text, form)
        assert (transcript.text == convert(transcript.text, "simplified")) is (form == "simplified")
        assert "".join(word.word for word in transcript.words).strip() == transcript.text


def test_multi_writes_two_languages_in_one_window(whisper_base: Transcriber, recordings: dict[str, Recording]) -> None:
    clips = [recordings[file] for file in ("fleurs-en-000.ogg", "fleurs-es-002.ogg")]
    pause = np.zeros(SAMPLE_RATE // 2, np.float32)
    samples = np.concatenate([part for clip in clips for part in (clip.load(), pause)])
    transcript = whisper_base.transcribe(Audio(samples), InferenceConfig(language="multi"))
    assert set(transcript.languages) == {"en", "es"}
    truth = [word for clip in clips for word in split_units(clip.text or "", "es", "words")]
    rate = edit_errors(truth, split_units(transcript.text, "es", "words")).rate
    assert rate is not None
    assert rate <= 0.3


def test_turns_start_where_they_are_known_to(whisper_base: Transcriber, recordings: dict[str, Recording]) -> None:
    recording = recordings["conv-2spk-367-533.flac"]
    end = next(turn.start for turn in recording.turns if turn.start > 25)
    turns = [turn for turn in recording.turns if turn.start < end]
    samples = recording.load()[: round(end * SAMPLE_RATE)]
    transcript = whisper_base.transcribe(Audio(samples), InferenceConfig(timestamps="word"))
    words = [(word.word, word.start, word.end) for word in transcript.words]
    errors = turn_start_errors(turns, words, "en")
    assert [error for error in errors if error is None or abs(error) > 0.5] == []


def test_transcribes_speech_until_the_end(whisper_base: Transcriber, jfk_28s: tuple[Samples, list[str]]) -> None:
    samples, words = jfk_28s
    ways: list[Mapping[str, object]] = [{"language": "en"}, {"language": "en", "sequential": True}]
    for transcript in transcribe_together(whisper_base, [(samples, way) for way in ways]):
        errors = edit_errors(words, split_units(transcript.text, "en", "words"))
        assert errors.deletions <= 2  # the recording ends inside "can do"


NOBODY: Sequence[tuple[float, Mapping[str, object]]] = (
    (0.0, {}), (3e-4, {}), (0.1, {}), (0.0, {"prompt": "Thank you, Anna."}), (0.1, {"prompt": "Thank you, Anna."}),
    (3e-4, {"sequential": True}), (0.1, {"sequential": True}), (0.1, {"vad_filter": True}),
)  # fmt: skip
"""Levels of noise, and parameters."""


def test_writes_nothing_where_nobody_speaks(whisper_base: Transcriber) -> None:
    noise = np.random.default_rng(0).normal(size=30 * SAMPLE_RATE)
    requests = [((level * noise).astype(np.float32), parameters) for level, parameters in NOBODY]
    assert [one.text for one in transcribe_together(whisper_base, requests)] == [""] * len(NOBODY)


def test_the_same_request_gives_the_same_text(whisper_base: Transcriber, jfk_28s: tuple[Samples, list[str]]) -> None:
    sampled = {"temperature": 1.0, "no_speech_threshold": None}
    samples = jfk_28s[0][: 11 * SAMPLE_RATE]
    assert words_in(whisper_base, samples, **sampled) == words_in(whisper_base, samples, **sampled)


WAYS: dict[str, Mapping[str, object]] = {
    "batched": {}, "sequential": {"sequential": True}, "vad filter": {"vad_filter": True},
}  # fmt: skip
"""The ways to find the windows, and their parameters."""


@dataclass(frozen=True)
class Found:
    """Recordings with their transcripts. padded: jfk with silence around it, and the times of its words."""

    conversations: Sequence[tuple[Samples, Transcript]]
    padded: tuple[Samples, Transcript]


@pytest.fixture(scope="module")
def found(whisper_base: Transcriber, jfk: Recording, recordings: dict[str, Recording]) -> dict[str, Found]:
    """Return the transcripts of three recordings, for each way."""
    conversations = [recordings[file].load() for file in ("ami-trn08-EN2006b.flac", "conv-2spk-short-turns.flac")]
    silence = np.zeros(8 * SAMPLE_RATE, np.float32)
    padded = np.concatenate([silence, jfk.load(), silence])
    requests: list[tuple[Samples, Mapping[str, object]]] = []
    for parameters in WAYS.values():
        requests += [(samples, parameters) for samples in conversations]
        requests.append((padded, {"timestamps": "word", "language": "en", **parameters}))
    pairs = zip([samples for samples, _ in requests], transcribe_together(whisper_base, requests), strict=True)
    return {way: Found((next(pairs), next(pairs)), next(pairs)) for way in WAYS}


@pytest.mark.parametrize("way", WAYS)
def test_words_lie_where_somebody_speaks(found: dict[str, Found], jfk: Recording, way: str) -> None:
    samples, transcript = found[way].padded
    words = transcript.words
    assert recording_errors(jfk, "".join(word.word for word in words)) == Errors(hits=22)
    speech = list(SpeechActivity.of(samples).intervals(0.0))
    assert [one for one in words if not any(a - 0.1 <= one.start < one.end <= b + 0.1 for a, b in speech)] == []
    assert abs(words[0].start - 8.3) < 0.15  # "And"
    assert abs(words[-1].end - 18.5) < 0.3  # "country."


@pytest.mark.parametrize("way", WAYS)
def test_all_speech_is_transcribed_or_named_in_a_warning(found: dict[str, Found], way: str) -> None:
    for samples, transcript in (*found[way].conversations, found[way].padded):
        bounds = [(part.start, part.end) for part in transcript.coverage]
        assert [start for start, _ in bounds] == [0.0, *(end for _, end in bounds[:-1])]
        assert bounds[-1][1] == transcript.duration
        silent = [(part.start, part.end) for part in transcript.coverage if part.kind == "silent"]
        speech = SpeechActivity.of(samples).intervals(1.5)
        assert [hole for hole in overlap(speech, silent) if hole[1] - hole[0] >= 0.6] == []
        uncertain = [part for part in transcript.coverage if part.kind == "uncertain"]
        assert all(f"{part.start:.1f}-{part.end:.1f}" in "".join(transcript.warnings) for part in uncertain)


def overlap(
    intervals: Iterable[tuple[float, float]], others: Sequence[tuple[float, float]]
) -> list[tuple[float, float]]:
    """Return the overlap of each interval with each of the others."""
    pairs = [(max(start, first), min(end, last)) for start, end in intervals for first, last in others]
    return [(start, end) for start, end in pairs if start < end]
