"""Our engines and comparable libraries on any checkpoint, each called as its documentation shows."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

from transcription.audio import SAMPLE_RATE, Audio, Samples
from transcription.config import InferenceConfig, ModelSettings
from transcription.transcriber import Transcriber


@dataclass(frozen=True)
class Result:
    """A contender's text, and the tokens of all windows, with or without timestamps."""

    text: str
    tokens: list[int]


Contender = Callable[[Samples], Result]


def ours(model: Path, **settings: Any) -> Contender:
    """Return our Transcriber with default options, in float32 as the others, unless the settings say otherwise."""
    transcriber = Transcriber(
        ModelSettings.from_environment(**{"asr_model": str(model), "dtype": "float32", **settings})
    )

    def transcribe(samples: Samples) -> Result:
        transcript = transcriber.transcribe(Audio(samples), InferenceConfig(language="en"))
        return Result(transcript.text, [token for segment in transcript.segments for token in segment.tokens])

    return transcribe


def transformers_pipeline(model: Path, beams: int | None, **options: Any) -> Contender:
    """Return the pipeline of transformers with timestamps and batches of 24 windows of 30 s."""
    from transformers import pipeline, utils

    utils.logging.set_verbosity_error()
    call: Any = pipeline("automatic-speech-recognition", model=str(model), dtype="float32")
    generate, tokens = call.model.generate, list[int]()

    def generate_and_record(*args: Any, **named: Any) -> Any:
        sequences = generate(*args, **named)
        tokens.extend(sequences.flatten().tolist())
        return sequences

    call.model.generate = generate_and_record  # the pipeline does not return tokens
    arguments = {"task": "transcribe"} | ({"num_beams": beams} if beams else {})

    def transcribe(samples: Samples) -> Result:
        tokens.clear()
        output = call(
            {"raw": samples, "sampling_rate": SAMPLE_RATE}, chunk_length_s=30, batch_size=24,
            return_timestamps=True, generate_kwargs=arguments, **options,
        )  # fmt: skip
        return Result(str(output["text"]), list(tokens))

    return transcribe


def convert(model: Path, folder: Path) -> None:
    """Convert a model for faster-whisper, once in float32 and once in int8."""
    from ctranslate2.converters import TransformersConverter

    for precision in ("float32", "int8"):
        files = ["tokenizer.json", "preprocessor_config.json"]
        TransformersConverter(str(model), copy_files=files).convert(str(folder / precision), quantization=precision)


def faster_whisper(folder: Path, precision: str, batch: int | None = None, **options: Any) -> Contender:
    """Return faster-whisper with greedy decoding on a model from `convert`; with a batch, its batched pipeline."""
    from faster_whisper import BatchedInferencePipeline, WhisperModel

    threads = torch.get_num_threads()
    engine = WhisperModel(str(folder / precision), device="cpu", compute_type=precision, cpu_threads=threads)
    call: Any = BatchedInferencePipeline(engine) if batch else engine
    options |= {"batch_size": batch} if batch else {}

    def transcribe(samples: Samples) -> Result:
        segments = list(call.transcribe(samples, language="en", beam_size=1, **options)[0])
        text = " ".join(segment.text for segment in segments)
        return Result(text, [token for segment in segments for token in segment.tokens])

    return transcribe


def openai_whisper(weights: Path, **options: Any) -> Contender:
    """Return openai-whisper with greedy decoding on weights in its own format."""
    import whisper

    model = whisper.load_model(str(weights), device="cpu")

    def transcribe(samples: Samples) -> Result:
        output: Any = model.transcribe(samples, language="en", fp16=False, **options)
        return Result(output["text"], [token for segment in output["segments"] for token in segment["tokens"]])

    return transcribe
