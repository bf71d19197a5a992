"""Contenders on one device: the pipeline of transformers, and ours with and without CUDA graphs."""

import gc
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

from transcription.audio import SAMPLE_RATE, Audio, Samples
from transcription.config import InferenceConfig, ModelSettings
from transcription.transcriber import Transcriber


@dataclass(frozen=True)
class Setup:
    """Where and how all contenders run. folder: from `make_models`. slots: of ours."""

    folder: Path
    device: str
    dtype: str
    slots: int


@dataclass(frozen=True)
class Output:
    """The tokens of some recordings, and the number of windows that were decoded."""

    tokens: list[int]
    windows: int


@dataclass(frozen=True)
class Contender:
    """A loaded contender.

    transcribe: (recordings, windows in a batch) → their output; all recordings are there at once. acceptance: returns
    the share of accepted drafts, None without an assistant.
    """

    transcribe: Callable[[list[Samples], int], Output]
    acceptance: Callable[[], float | None] = lambda: None


def ours(setup: Setup, graphs: bool, beams: int = 1, assistant: bool = False) -> Contender:
    """Load our Transcriber; each recording is a request in a thread of its own."""
    settings = ModelSettings.from_environment(
        asr_model=str(setup.folder / "model"), device=setup.device, dtype=setup.dtype, slots=setup.slots,
        cuda_graphs=graphs, assistant_model=str(setup.folder / "assistant") if assistant else None,
    )  # fmt: skip
    transcriber = Transcriber(settings)

    engine: Any = transcriber.engine
    submit, windows = engine.submit, list[Future[Any]]()

    def submit_and_record(*args: Any, **named: Any) -> Future[Any]:
        windows.append(submit(*args, **named))
        return windows[-1]

    engine.submit = submit_and_record

    def transcribe(recordings: list[Samples], batch: int) -> Output:
        windows.clear()
        config = InferenceConfig(language="en", batch_size=batch, beam_size=beams, assisted="auto")
        with ThreadPoolExecutor(len(recordings)) as pool:
            transcripts = list(pool.map(lambda samples: transcriber.transcribe(Audio(samples), config), recordings))
        return Output([token for one in transcripts for part in one.segments for token in part.tokens], len(windows))

    def acceptance() -> float | None:
        return None if engine.loop.speculation is None else float(engine.loop.speculation.acceptance_rate)

    return Contender(transcribe, acceptance)


def transformers_pipeline(setup: Setup) -> Contender:
    """Load the pipeline, with one beam, timestamps and windows of 30 s that do not overlap."""
    from transformers import pipeline, utils

    utils.logging.set_verbosity_error()
    call: Any = pipeline(
        "automatic-speech-recognition", model=str(setup.folder / "model"), device=setup.device,
        dtype=getattr(torch, setup.dtype),
    )  # fmt: skip
    generate, written = call.model.generate, list[list[int]]()

    def generate_and_record(*args: Any, **named: Any) -> Any:
        sequences = generate(*args, **named)
        written.extend(sequences.tolist())
        return sequences

    call.model.generate = generate_and_record  # the pipeline does not return tokens
    options = {"task": "transcribe", "language": "en", "num_beams": 1}

    def transcribe(recordings: list[Samples], batch: int) -> Output:
        written.clear()
        inputs = [{"raw": samples, "sampling_rate": SAMPLE_RATE} for samples in recordings]
        call(
            inputs, chunk_length_s=30, stride_length_s=0, batch_size=batch, return_timestamps=True,
            generate_kwargs=options,
        )  # fmt: skip
        return Output([token for window in written for token in window], len(written))

    return Contender(transcribe)


CONTENDERS: dict[str, Callable[[Setup], Contender]] = {
    "ours, CUDA graphs": lambda setup: ours(setup, graphs=True),
    "ours, eager": lambda setup: ours(setup, graphs=False),
    "pipeline": transformers_pipeline,
    "ours, CUDA graphs, 5 beams (default)": lambda setup: ours(setup, graphs=True, beams=5),
    "ours, eager, assistant": lambda setup: ours(setup, graphs=False, assistant=True),
    "ours, CUDA graphs, assistant": lambda setup: ours(setup, graphs=True, assistant=True),
}
"""Functions that load a contender, the most interesting ones first. All have one beam but one."""


def free_memory() -> None:
    """Free what an earlier contender left in this process."""
    gc.collect()
    if torch.cuda.is_available():
        torch.cuda.empty_cache()
        torch.cuda.reset_peak_memory_stats()
