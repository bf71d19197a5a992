"""Compare the text of real weights on a device with their text on the CPU."""

import json
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from benchmarks.engines import ROOT
from benchmarks.speech.recordings import Recording, choose, read_manifest
from benchmarks.speech.scoring import Errors, recording_errors
from transcription.audio import SAMPLE_RATE, Audio
from transcription.config import InferenceConfig, ModelSettings
from transcription.transcriber import Transcriber

SAMPLES = ("short.wav", "noisy.wav", "long.mp3")
GROUPS = ("clean", "languages", "conversation", "long")


@dataclass(frozen=True)
class Accuracy:
    """The texts of all recordings. seconds: for audio_seconds, one recording after the other."""

    texts: tuple[str, ...]
    errors: Errors
    seconds: float
    audio_seconds: float


def load_recordings(manifest: Path | None, limit: int) -> list[Recording]:
    """Return `limit` recordings of each group of a manifest, or English samples of this repository without one."""
    if manifest is not None:
        return choose(read_manifest(manifest), GROUPS, limit)
    paths = [ROOT / "samples" / name for name in SAMPLES[:limit]]
    return [
        Recording(path.name, "en", "clean", json.loads(path.with_suffix(".json").read_text())["text"], path)
        for path in paths
    ]


def transcribe_all(
    model: Path, recordings: Sequence[Recording], device: str, dtype: str, graphs: bool = False
) -> Accuracy:
    """Transcribe recordings with default parameters."""
    settings = ModelSettings.from_environment(asr_model=str(model), device=device, dtype=dtype, cuda_graphs=graphs)
    transcriber = Transcriber(settings)
    samples = [recording.load() for recording in recordings]
    began = time.perf_counter()
    texts = tuple(transcriber.transcribe(Audio(one), InferenceConfig()).text for one in samples)
    seconds = time.perf_counter() - began
    errors = [recording_errors(recording, text) for recording, text in zip(recordings, texts, strict=True)]
    total = sum((one for one in errors if one is not None), Errors())
    return Accuracy(texts, total, seconds, sum(map(len, samples)) / SAMPLE_RATE)


def accuracy_table(model: Path, recordings: Sequence[Recording], device: str, dtype: str) -> str:
    """Return a table: the word error rate on the device, and how many texts differ from those of the CPU."""
    cpu = transcribe_all(model, recordings, "cpu", "float32")
    rows = {
        "cpu, float32": cpu,
        f"{device}, {dtype}": transcribe_all(model, recordings, device, dtype),
        f"{device}, {dtype}, CUDA graphs": transcribe_all(model, recordings, device, dtype, graphs=True),
    }
    lines = [f"| {model.name}, {len(recordings)} recordings | WER | other texts | × real time |", "|---|---|---|---|"]
    for name, one in rows.items():
        rate = "–" if one.errors.rate is None else f"{one.errors.rate:.1%}"
        others = sum(text != expected for text, expected in zip(one.texts, cpu.texts, strict=True))
        lines.append(f"| {name} | {rate} | {others} | {one.audio_seconds / one.seconds:.0f} |")
    return "\n".join(lines)
