"""Our engines and their peers on any checkpoint, called as their users call them."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

from transcription.audio import SAMPLE_RATE, Audio, Samples
from transcription.config import InferenceConfig, ModelSettings
from transcription.transcriber import Transcriber


@dataclass(frozen=True)
class WindowResponse:
    """What a contender makes of some audio: its text, and the tokens of all windows, with or without time stamps."""

    text: str
    tokens: list[int]


Contender = Callable[[Samples], WindowResponse]


def ours(model: Path, **settings: Any) -> Contender:
    """Transcriber, as a request that says nothing but the language gets it."""
    transcriber = Transcriber(ModelSettings.from_environment(asr_model=str(model), **settings))

    def transcribe(samples: Samples) -> WindowResponse:
        found = transcriber.transcribe(Audio(samples), InferenceConfig(language="en"))
        return WindowResponse(found.text, [token for segment in found.segments for token in segment.tokens])

    return transcribe


def plain(model: Path, beams: int | None, **options: Any) -> Contender:
    """transformers' pipeline with batches of 24 windows of 30 s and time stamps."""
    from transformers import pipeline, utils

    utils.logging.set_verbosity_error()
    call: Any = pipeline("automatic-speech-recognition", model=str(model), dtype="float32")
    generate, tokens = call.model.generate, list[int]()

    def kept(*args: Any, **named: Any) -> Any:
        written = generate(*args, **named)
        tokens.extend(written.flatten().tolist())
        return written

    call.model.generate = kept  # the pipeline itself shows no tokens
    asked = {"task": "transcribe"} | ({"num_beams": beams} if beams else {})

    def transcribe(samples: Samples) -> WindowResponse:
        tokens.clear()
        answer = call(
            {"raw": samples, "sampling_rate": SAMPLE_RATE}, chunk_length_s=30, batch_size=24,
            return_timestamps=True, generate_kwargs=asked, **options,
        )  # fmt: skip
        return WindowResponse(str(answer["text"]), list(tokens))

    return transcribe


def convert(model: Path, folder: Path) -> None:
    """The model as faster-whisper loads it, in both precisions."""
    from ctranslate2.converters import TransformersConverter

    for kind in ("float32", "int8"):
        files = ["tokenizer.json", "preprocessor_config.json"]
        TransformersConverter(str(model), copy_files=files).convert(str(folder / kind), quantization=kind)


def faster_whisper(folder: Path, kind: str, batch: int | None = None, **options: Any) -> Contender:
    """CTranslate2's engine on what `convert` put into `folder`, greedy; its batched pipeline where a batch is given."""
    from faster_whisper import BatchedInferencePipeline, WhisperModel

    engine = WhisperModel(str(folder / kind), device="cpu", compute_type=kind, cpu_threads=torch.get_num_threads())
    call: Any = BatchedInferencePipeline(engine) if batch else engine
    options |= {"batch_size": batch} if batch else {}

    def transcribe(samples: Samples) -> WindowResponse:
        segments = list(call.transcribe(samples, language="en", beam_size=1, **options)[0])
        return WindowResponse(
            " ".join(segment.text for segment in segments),
            [token for segment in segments for token in segment.tokens],
        )

    return transcribe


def openai_whisper(weights: Path, **options: Any) -> Contender:
    """The original, on weights in its own form, greedy."""
    import whisper

    model = whisper.load_model(str(weights), device="cpu")

    def transcribe(samples: Samples) -> WindowResponse:
        found: Any = model.transcribe(samples, language="en", fp16=False, **options)
        return WindowResponse(found["text"], [token for segment in found["segments"] for token in segment["tokens"]])

    return transcribe
