"""Measure the batching engine: `python -m benchmarks.batching`.

Throughput of concurrent clients; latency of a short request beside a long one; speculative decoding with a deep main
model, with the demo model, and with an assistant that is always wrong; the time of a step outside the model; memory by
length of audio. Calls alternate within one process; times are medians, and ratios are medians over rounds.
"""

import argparse
import json
import statistics
import subprocess
import sys
import tempfile
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import torch

from benchmarks.engines import MODEL, ROOT, long, peak_memory, short
from benchmarks.timing import alternate, ratio, seconds_of
from transcription.audio import SAMPLE_RATE, Audio
from transcription.config import InferenceConfig, ModelSettings
from transcription.context import RequestContext
from transcription.engines.batching.engine import BatchingEngine
from transcription.engines.batching.slots import Slots
from transcription.transcriber import Transcriber

ASSISTANT = ROOT / "models" / "demo-whisper-assistant"
CLIENTS = 16


def main() -> None:
    """Run the command."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=5, help="rounds of each comparison (default: %(default)s)")
    parser.add_argument("--minutes", type=float, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.minutes:
        print(json.dumps(measure_memory(options.minutes)))
        return
    print_throughput(options.rounds)
    print_latency_beside_long_audio(options.rounds)
    print_speculation(options.rounds)
    print_overhead()
    print_memory()


def load_transcriber(**settings: str) -> Transcriber:
    """Return a transcriber, with the demo model by default."""
    return Transcriber(ModelSettings.from_environment(**{"asr_model": str(MODEL), **settings}))


def transcribe_concurrently(transcriber: Transcriber, audio: Audio, config: InferenceConfig) -> None:
    """Transcribe the audio for CLIENTS clients at the same time."""
    with ThreadPoolExecutor(CLIENTS) as pool:
        list(pool.map(lambda _: transcriber.transcribe(audio, config), range(CLIENTS)))


def transcribe_sequentially(transcriber: Transcriber, audio: Audio, config: InferenceConfig) -> None:
    """Transcribe the audio for CLIENTS clients, one after the other."""
    for _ in range(CLIENTS):
        transcriber.transcribe(audio, config)


def print_throughput(rounds: int) -> None:
    """Compare concurrent requests with sequential ones, and with those of the transformers engine."""
    audio, config = Audio(short()[0]), InferenceConfig(language="en")
    batching, transformers = load_transcriber(), load_transcriber(engine="transformers")
    concurrent, reference, sequential = alternate(
        rounds,
        partial(transcribe_concurrently, batching, audio, config),
        partial(transcribe_sequentially, transformers, audio, config),
        partial(transcribe_sequentially, batching, audio, config),
    )
    print(f"\n| {CLIENTS} requests of 7 s | requests per second |\n|---|---|")
    for name, seconds in (
        ("batching engine, concurrent", concurrent), ("batching engine, sequential", sequential),
        ("transformers engine, sequential", reference),
    ):  # fmt: skip
        print(f"| {name} | {CLIENTS / statistics.median(seconds):.1f} |")
    print(f"\nConcurrent / transformers engine: {ratio(reference, concurrent):.2f}")


def print_latency_beside_long_audio(rounds: int) -> None:
    """Measure a short request while the engine decodes an hour of audio."""
    transcriber, config, started = load_transcriber(), InferenceConfig(language="en"), threading.Event()
    hour, clip = Audio(np.tile(long()[0], 6)), Audio(short()[0])
    context = RequestContext(lambda *_: started.set())
    transcribe_clip = partial(transcriber.transcribe, clip, config)
    [alone] = alternate(rounds, transcribe_clip)
    with ThreadPoolExecutor(1) as pool:
        long_request = pool.submit(transcriber.transcribe, hour, config, context)
        started.wait()
        [beside] = alternate(rounds, transcribe_clip)
        context.cancel()
        long_request.exception()
    print(f"\nA clip of 7 s beside an hour of audio takes {ratio(beside, alone):.2f} times as long as alone.")


def print_speculation(rounds: int) -> None:
    """Compare the time with `assisted: auto` to the time without an assistant."""
    files = {"7 s": Audio(short()[0]), "60 s": Audio(long()[0][: 60 * SAMPLE_RATE]), "10 minutes": Audio(long()[0])}
    with tempfile.TemporaryDirectory() as folder:
        deep, wrong = Path(folder, "deep"), Path(folder, "wrong")
        save_deep_model(24, deep)
        save_wrong_assistant(wrong)
        print("\n| main model | assistant | acceptance | " + " | ".join(files) + f" | {CLIENTS} clients |")
        print("|---|---|---|" + "---|" * (len(files) + 1))
        for name, model, assistant_name, assistant in (
            ("24 layers", deep, "the demo's", ASSISTANT),
            ("24 layers", deep, "always wrong", wrong),
            ("the demo, 2 layers", MODEL, "the demo's", ASSISTANT),
        ):
            transcriber = load_transcriber(asr_model=str(model), assistant_model=str(assistant))
            calls: list[Callable[[InferenceConfig], object]] = [
                *(partial(transcriber.transcribe, audio) for audio in files.values()),
                partial(transcribe_concurrently, transcriber, files["7 s"]),
            ]
            ratios = [f"{assisted_ratio(rounds, call):.2f}" for call in calls]
            engine: Any = transcriber.engine
            acceptance = engine.loop.speculation.acceptance_rate
            print(f"| {name} | {assistant_name} | {acceptance:.2f} | {' | '.join(ratios)} |")


def assisted_ratio(rounds: int, transcribe: Callable[[InferenceConfig], object]) -> float:
    """Return the time with `assisted: auto` over the time with `assisted: false`; below 1 is a gain."""
    auto = InferenceConfig(language="en", assisted="auto")
    none = InferenceConfig(language="en", assisted=False)
    return ratio(*alternate(rounds, partial(transcribe, auto), partial(transcribe, none)))


def save_deep_model(layers: int, folder: Path) -> None:
    """Save the demo model with added layers that change nothing: the same words at the cost of a deep decoder."""
    from transformers import WhisperConfig, WhisperForConditionalGeneration

    demo: Any = WhisperForConditionalGeneration.from_pretrained(MODEL)
    deep: Any = WhisperForConditionalGeneration(WhisperConfig(**{**demo.config.to_dict(), "decoder_layers": layers}))
    deep.load_state_dict(demo.state_dict(), strict=False)
    for layer in deep.model.decoder.layers[demo.config.decoder_layers :]:
        for projection in (layer.self_attn.out_proj, layer.encoder_attn.out_proj, layer.fc2):
            torch.nn.init.zeros_(projection.weight)
            torch.nn.init.zeros_(projection.bias)
    deep.generation_config = demo.generation_config
    _save(deep, MODEL, folder)


def save_wrong_assistant(folder: Path) -> None:
    """Save the assistant with random weights in its last layer, so that its drafts are never right."""
    from transformers import WhisperForConditionalGeneration

    model: Any = WhisperForConditionalGeneration.from_pretrained(ASSISTANT)
    torch.nn.init.normal_(model.model.decoder.layers[-1].fc2.weight, std=1.0)
    _save(model, ASSISTANT, folder)


def _save(model: Any, source: Path, folder: Path) -> None:
    """Save a model with the processor of another."""
    from transformers import AutoProcessor

    model.save_pretrained(folder)
    AutoProcessor.from_pretrained(source).save_pretrained(folder)


def print_overhead() -> None:
    """Print the share of a decoding step that is not the model's arithmetic."""
    demo = BatchingEngine(ModelSettings.from_environment(asr_model=str(MODEL))).loop.slots
    print("\n| step outside the model | 1 row | 8 rows |\n|---|---|---|")
    for name, slots in (("demo (128 wide, 2 layers)", demo), ("whisper-base's size", random_slots(512, 6))):
        slots.resize(8)
        shares = []
        with torch.inference_mode():
            for rows in (1, 8):
                for row in range(rows):
                    slots.begin(row, [1, 2, 3], True, 0.0)
                slots.ended[:] = False
                shares.append(f"{1 - model_share(slots, rows):.0%}")
        print(f"| {name} | {' | '.join(shares)} |")


def random_slots(width: int, layers: int) -> Slots:
    """Return slots of a model with random weights."""
    from transformers import WhisperConfig, WhisperForConditionalGeneration

    from transcription.engines.batching.decoder import Decoder
    from transcription.engines.batching.logits_rules import LogitsRules
    from transcription.whisper.tokens import Vocabulary

    model = WhisperForConditionalGeneration(
        WhisperConfig(d_model=width, encoder_layers=1, decoder_layers=layers, encoder_attention_heads=8,
                      decoder_attention_heads=8, encoder_ffn_dim=4 * width, decoder_ffn_dim=4 * width)
    ).eval()  # fmt: skip
    vocabulary = Vocabulary(50258, 50257, 50363, 50361, 50362, {}, {}, 50364)
    return Slots(Decoder(model, 1, 9), LogitsRules(vocabulary, 51865, torch.device("cpu"), [], [], 50))


def model_share(slots: Slots, rows: int, steps: int = 60) -> float:
    """Return the share of forward pass and logits in the time of decoding steps."""
    inside = 0.0
    decoder: Any = slots.decoder
    forward, logits = decoder.forward, decoder.logits

    def timed(call: Callable[..., Any]) -> Callable[..., Any]:
        def wrapped(*args: Any) -> Any:
            nonlocal inside
            results: list[Any] = []
            inside += seconds_of(lambda: results.append(call(*args)))
            return results[0]

        return wrapped

    def decode() -> None:
        for _ in range(steps):
            slots.step(rows, record_alignment=False, sample=False)
            slots.ended_rows(rows)

    decoder.forward, decoder.logits = timed(forward), timed(logits)
    total = seconds_of(decode)
    decoder.forward, decoder.logits = forward, logits
    return inside / total


def print_memory() -> None:
    """Print peak memory by length of audio, each length measured in a process of its own."""
    print("\n| audio | its samples, MB | peak over model and samples, MB |\n|---|---|---|")
    for minutes in (1, 10, 60):
        command = [sys.executable, "-m", "benchmarks.batching", "--minutes", str(minutes)]
        process = subprocess.run(command, capture_output=True, text=True, check=True, cwd=ROOT)
        samples, peak = json.loads(process.stdout.splitlines()[-1])
        print(f"| {minutes} min | {samples:.0f} | {peak:.0f} |")


def measure_memory(minutes: float) -> tuple[float, float]:
    """Return the MB of the samples, and the peak MB above the loaded model and the samples."""
    engine = BatchingEngine(ModelSettings.from_environment(asr_model=str(MODEL)))
    audio = Audio(np.resize(long()[0], int(minutes * 60 * SAMPLE_RATE)))
    loaded = peak_memory()
    engine.transcribe(audio, InferenceConfig(language="en"))
    return audio.samples.nbytes / 2**20, peak_memory() - loaded


if __name__ == "__main__":
    main()
