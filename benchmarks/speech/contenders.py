"""Our engine and its peers, called as their users call them: the language is detected, nothing else is set."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from types import MappingProxyType
from typing import Any

import torch

from benchmarks.speech.results import Hypothesis
from transcription.audio import SAMPLE_RATE, Audio, Samples
from transcription.config import FALLBACK_TEMPERATURES, InferenceConfig, ModelSettings
from transcription.transcriber import Transcriber

Transcribe = Callable[[Samples, bool], Hypothesis]
"""Transcribe samples, with word times or without."""


@dataclass(frozen=True)
class Checkpoints:
    """One model in the forms that contenders load.

    model: transformers. ct2: CTranslate2. original: openai-whisper. The last two are made when they are missing.
    """

    model: Path
    ct2: Path
    original: Path


@cache
def _transcriber(model: Path, **settings: str) -> Transcriber:
    return Transcriber(ModelSettings.from_environment(asr_model=str(model), **settings))


def ours(model: Path, settings: Mapping[str, str] = MappingProxyType({}), **parameters: Any) -> Transcribe:
    """Transcriber with these settings, and with these parameters in each request."""
    transcriber = _transcriber(model, **settings)

    def transcribe(samples: Samples, word_times: bool) -> Hypothesis:
        timestamps = {"timestamps": "word"} if word_times else {}
        transcript = transcriber.transcribe(Audio(samples), InferenceConfig(**parameters, **timestamps))
        words = tuple((word.word, word.start, word.end) for word in transcript.words)
        probabilities = tuple(word.probability for word in transcript.words if word.probability is not None)
        return Hypothesis(transcript.text, transcript.language, words, probabilities)

    return transcribe


@cache
def _faster_whisper(ct2: Path, precision: str) -> Any:
    from faster_whisper import WhisperModel

    return WhisperModel(str(ct2), device="cpu", compute_type=precision, cpu_threads=torch.get_num_threads())


def faster_whisper(
    checkpoints: Checkpoints, batched: bool = False, precision: str = "float32", **options: Any
) -> Transcribe:
    """CTranslate2's engine; its batched pipeline leaves out what Silero takes for silence."""
    from faster_whisper import BatchedInferencePipeline

    if not checkpoints.ct2.exists():
        from ctranslate2.converters import TransformersConverter

        TransformersConverter(str(checkpoints.model), copy_files=["tokenizer.json"]).convert(str(checkpoints.ct2))
    engine = _faster_whisper(checkpoints.ct2, precision)
    call: Any = BatchedInferencePipeline(engine) if batched else engine

    def transcribe(samples: Samples, word_times: bool) -> Hypothesis:
        found, info = call.transcribe(samples, word_timestamps=word_times, **options)
        segments = list(found)
        found_words = [word for segment in segments for word in segment.words or ()]
        words = tuple((word.word, word.start, word.end) for word in found_words)
        probabilities = tuple(word.probability for word in found_words)
        return Hypothesis("".join(segment.text for segment in segments), info.language, words, probabilities)

    return transcribe


def openai_whisper(checkpoints: Checkpoints) -> Transcribe:
    """Load openai-whisper with the weights in its own form."""
    import whisper

    if not checkpoints.original.exists():
        write_original(checkpoints.model, checkpoints.original)
    model = whisper.load_model(str(checkpoints.original), device="cpu")
    _set_alignment_heads(model, checkpoints.model)

    def transcribe(samples: Samples, word_times: bool) -> Hypothesis:
        answer: Any = model.transcribe(samples, fp16=False, word_timestamps=word_times)
        found = [word for segment in answer["segments"] for word in segment.get("words", ())]
        words = tuple((word["word"], float(word["start"]), float(word["end"])) for word in found)
        probabilities = tuple(float(word["probability"]) for word in found)
        return Hypothesis(answer["text"], answer["language"], words, probabilities)

    return transcribe


def write_original(model: Path, path: Path) -> None:
    """Write a transformers checkpoint as openai-whisper reads it."""
    from transformers import WhisperForConditionalGeneration

    from benchmarks.base_size import to_original

    weights = WhisperForConditionalGeneration.from_pretrained(model, dtype=torch.float32)
    torch.save(to_original(weights), path)


def _set_alignment_heads(model: Any, folder: Path) -> None:
    """Set the attention heads that give word times, which openai-whisper knows only for models it downloads."""
    from transformers import GenerationConfig

    heads = torch.zeros(model.dims.n_text_layer, model.dims.n_text_head, dtype=torch.bool)
    for layer, head in GenerationConfig.from_pretrained(folder).alignment_heads:
        heads[layer, head] = True
    model.register_buffer("alignment_heads", heads.to_sparse(), persistent=False)


def transformers_pipeline(model: Path) -> Transcribe:
    """Load the pipeline of transformers, with batches of windows of 30 s and timestamps. It reports no language."""
    from transformers import pipeline, utils

    utils.logging.set_verbosity_error()
    call: Any = pipeline("automatic-speech-recognition", model=str(model), dtype="float32")

    def transcribe(samples: Samples, word_times: bool) -> Hypothesis:
        answer = call(
            {"raw": samples, "sampling_rate": SAMPLE_RATE}, chunk_length_s=30, batch_size=8,
            return_timestamps="word" if word_times else True, generate_kwargs={"task": "transcribe"},
        )  # fmt: skip
        words = tuple((chunk["text"], *chunk["timestamp"]) for chunk in answer["chunks"]) if word_times else ()
        return Hypothesis(str(answer["text"]), None, words)

    return transcribe


OURS: dict[str, Callable[[Checkpoints], Transcribe]] = {
    "ours": lambda of: ours(of.model),
    "ours, greedy": lambda of: ours(of.model, beam_size=1),
    "ours, 3 beams": lambda of: ours(of.model, beam_size=3),
    "ours, temperature fallback": lambda of: ours(of.model, temperature=FALLBACK_TEMPERATURES),
    "ours, sequential": lambda of: ours(of.model, sequential=True),
    "ours, vad_filter": lambda of: ours(of.model, vad_filter=True),
}
PEERS: dict[str, Callable[[Checkpoints], Transcribe]] = {
    "faster-whisper, 5 beams": faster_whisper,
    "faster-whisper, 1 beam": lambda of: faster_whisper(of, beam_size=1),
    "faster-whisper, batched": lambda of: faster_whisper(of, batched=True, batch_size=8),
    "openai-whisper": openai_whisper,
    "transformers pipeline": lambda of: transformers_pipeline(of.model),
}
"""Each loads itself."""
