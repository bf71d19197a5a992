"""What the engine of slots gains, and what it costs: `python -m benchmarks.slots`.

Clients at once against one at a time; a short request beside a long one; drafting against none, with a deep main
model, with the demo itself, and with an assistant that is always wrong; the part of a step outside the model;
memory by length of audio. Contenders take turns within one process; times are medians, ratios are medians of
neighbouring runs.
"""

import argparse
import json
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import torch

from benchmarks.engines import MODEL, ROOT, long, peak, short
from transcription.audio import SAMPLE_RATE, Audio
from transcription.config import InferenceConfig, ModelSettings
from transcription.context import RequestContext
from transcription.engines.batching.engine import BatchingEngine
from transcription.transcriber import Transcriber

ASSISTANT = ROOT / "models" / "demo-whisper-assistant"
CLIENTS = 16


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--minutes", type=float, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.minutes:
        print(json.dumps(peak_over_model(options.minutes)))
        return
    clients(options.rounds)
    beside_a_long_file(options.rounds)
    drafting(options.rounds)
    outside_the_model()
    memory()


def clients(rounds: int) -> None:
    """Requests per second of 16 clients, and of one after the other through transformers' loop."""
    audio, config = Audio(short()[0]), InferenceConfig(language="en")
    slots, plain = (Transcriber(ModelSettings.from_environment(asr_model=str(MODEL), engine=name))
                    for name in ("slots", "transformers"))  # fmt: skip
    together, one_by_one, alone = turns(
        rounds,
        lambda: _at_once(slots, audio, config),
        lambda: [plain.transcribe(audio, config) for _ in range(CLIENTS)],
        lambda: [slots.transcribe(audio, config) for _ in range(CLIENTS)],
    )
    print(f"\n| {CLIENTS} requests of 7 s | requests per second |\n|---|---|")
    for name, seconds in (
        ("slots, all at once", together), ("slots, one at a time", alone),
        ("transformers engine, one at a time", one_by_one),
    ):  # fmt: skip
        print(f"| {name} | {CLIENTS / statistics.median(seconds):.1f} |")
    print(f"\nAt once / transformers engine: {ratio(one_by_one, together):.2f}")


def beside_a_long_file(rounds: int) -> None:
    """A short request while an hour of audio is being decoded."""
    transcriber = Transcriber(ModelSettings.from_environment(asr_model=str(MODEL)))
    config, begun = InferenceConfig(language="en"), threading.Event()
    hour, clip = Audio(np.tile(long()[0], 6)), Audio(short()[0])

    context = RequestContext(lambda *_: begun.set())

    def call() -> object:
        return transcriber.transcribe(clip, config)

    [alone] = turns(rounds, call)
    with ThreadPoolExecutor(1) as pool:
        busy = pool.submit(transcriber.transcribe, hour, config, context)
        begun.wait()
        [beside] = turns(rounds, call)
        context.cancel()
        busy.exception()
    print(f"\nA clip of 7 s beside an hour of audio takes {ratio(beside, alone):.2f} of its time alone.")


def drafting(rounds: int) -> None:
    """Time with `assisted: auto` over time without: under 1 is a gain."""
    files = {"7 s": Audio(short()[0]), "60 s": Audio(long()[0][: 60 * SAMPLE_RATE]), "10 minutes": Audio(long()[0])}
    with tempfile.TemporaryDirectory() as folder:
        deep, wrong = Path(folder, "deep"), Path(folder, "wrong")
        deepened(24, deep)
        scrambled(wrong)
        print("\n| main model | assistant | agreement | " + " | ".join(files) + f" | {CLIENTS} clients |")
        print("|---|---|---|" + "---|" * (len(files) + 1))
        for name, model, assistant in (
            ("24 layers", deep, ASSISTANT), ("24 layers", deep, wrong), ("the demo, 2 layers", MODEL, ASSISTANT),
        ):  # fmt: skip
            transcriber = Transcriber(
                ModelSettings.from_environment(asr_model=str(model), assistant_model=str(assistant))
            )
            cells = []
            for audio in files.values():
                auto, none = turns(rounds, *(_call(transcriber, audio, assisted) for assisted in ("auto", False)))
                cells.append(f"{ratio(auto, none):.2f}")
            auto, none = turns(
                rounds,
                *(_all(transcriber, files["7 s"], assisted) for assisted in ("auto", False)),
            )
            cells.append(f"{ratio(auto, none):.2f}")
            engine: Any = transcriber.engine
            agreement = engine.loop.speculation.agreement
            shown = "the demo's" if assistant == ASSISTANT else "always wrong"
            print(f"| {name} | {shown} | {agreement:.2f} | " + " | ".join(cells) + " |")


def deepened(layers: int, folder: Path) -> None:
    """The demo model with layers added that change nothing: the same words at the cost of a deep decoder."""
    from transformers import WhisperConfig, WhisperForConditionalGeneration

    demo: Any = WhisperForConditionalGeneration.from_pretrained(MODEL)
    deep: Any = WhisperForConditionalGeneration(WhisperConfig(**{**demo.config.to_dict(), "decoder_layers": layers}))
    deep.load_state_dict(demo.state_dict(), strict=False)
    for layer in deep.model.decoder.layers[demo.config.decoder_layers :]:
        for last in (layer.self_attn.out_proj, layer.encoder_attn.out_proj, layer.fc2):
            torch.nn.init.zeros_(last.weight)
            torch.nn.init.zeros_(last.bias)
    deep.generation_config = demo.generation_config
    _saved(deep, MODEL, folder)


def scrambled(folder: Path) -> None:
    """The assistant with other words under its tokens: never right."""
    from transformers import WhisperForConditionalGeneration

    model: Any = WhisperForConditionalGeneration.from_pretrained(ASSISTANT)
    torch.nn.init.normal_(model.model.decoder.layers[-1].fc2.weight, std=1.0)
    _saved(model, ASSISTANT, folder)


def _saved(model: Any, source: Path, folder: Path) -> None:
    from transformers import AutoProcessor

    model.save_pretrained(folder)
    AutoProcessor.from_pretrained(source).save_pretrained(folder)


def outside_the_model() -> None:
    """The share of a decoding step that is not the model's own arithmetic."""
    engine = BatchingEngine(ModelSettings.from_environment(asr_model=str(MODEL)))
    base = _of_size(512, 6)
    print("\n| step outside the model | 1 row | 8 rows |\n|---|---|---|")
    for name, slots in (("demo (128 wide, 2 layers)", engine.loop.slots), ("whisper-base's size", base)):
        slots.resize(8)
        cells = []
        with torch.inference_mode():
            for rows in (1, 8):
                for row in range(rows):
                    slots.begin(row, [1, 2, 3], True, 0.0)
                slots.ended[:] = False
                inside = _timed_parts(slots, rows)
                cells.append(f"{1 - inside:.0%}")
        print(f"| {name} | " + " | ".join(cells) + " |")


def _of_size(width: int, layers: int) -> Any:
    from transformers import WhisperConfig, WhisperForConditionalGeneration

    from transcription.engines.batching.decoder import Decoder
    from transcription.engines.batching.logits_rules import LogitsRules
    from transcription.engines.batching.slots import Slots
    from transcription.whisper.tokens import Vocabulary

    model = WhisperForConditionalGeneration(
        WhisperConfig(d_model=width, encoder_layers=1, decoder_layers=layers, encoder_attention_heads=8,
                      decoder_attention_heads=8, encoder_ffn_dim=4 * width, decoder_ffn_dim=4 * width)
    ).eval()  # fmt: skip
    vocabulary = Vocabulary(50258, 50257, 50363, 50361, 50362, {}, {}, 50364)
    return Slots(Decoder(model, 1, 9), LogitsRules(vocabulary, 51865, torch.device("cpu"), [], [], 50))


def _timed_parts(slots: Any, rows: int, steps: int = 60) -> float:
    """The share of forward pass and logits in so many steps."""
    inside = 0.0
    decoder = slots.decoder

    def timed(call: Callable[..., Any]) -> Callable[..., Any]:
        def wrapped(*args: Any) -> Any:
            nonlocal inside
            began = time.perf_counter()
            found = call(*args)
            inside += time.perf_counter() - began
            return found

        return wrapped

    forward, logits = decoder.forward, decoder.logits
    decoder.forward, decoder.logits = timed(forward), timed(logits)
    began = time.perf_counter()
    for _ in range(steps):
        slots.step(rows, False, False)
        slots.ended_rows(rows)
    whole = time.perf_counter() - began
    decoder.forward, decoder.logits = forward, logits
    return inside / whole


def memory() -> None:
    """Peak memory over the loaded model, each length in a process of its own."""
    print("\n| audio | its samples, MB | peak over model and samples, MB |\n|---|---|---|")
    for minutes in (1, 10, 60):
        command = [sys.executable, "-m", "benchmarks.slots", "--minutes", str(minutes)]
        done = subprocess.run(command, capture_output=True, text=True, check=True, cwd=ROOT)
        samples, peak = json.loads(done.stdout.splitlines()[-1])
        print(f"| {minutes} min | {samples:.0f} | {peak:.0f} |")


def peak_over_model(minutes: float) -> tuple[float, float]:
    """MB of the samples themselves, and of all that transcribing takes over them and the loaded model."""
    engine = BatchingEngine(ModelSettings.from_environment(asr_model=str(MODEL)))
    audio = Audio(np.resize(long()[0], int(minutes * 60 * SAMPLE_RATE)))
    loaded = peak()
    engine.transcribe(audio, InferenceConfig(language="en"))
    return audio.samples.nbytes / 2**20, peak() - loaded


def _call(transcriber: Transcriber, audio: Audio, assisted: Any) -> Callable[[], object]:
    config = InferenceConfig(language="en", assisted=assisted)
    return lambda: transcriber.transcribe(audio, config)


def _all(transcriber: Transcriber, audio: Audio, assisted: Any) -> Callable[[], object]:
    return lambda: _at_once(transcriber, audio, InferenceConfig(language="en", assisted=assisted))


def _at_once(transcriber: Transcriber, audio: Audio, config: InferenceConfig) -> list[Any]:
    with ThreadPoolExecutor(CLIENTS) as pool:
        return list(pool.map(lambda _: transcriber.transcribe(audio, config), range(CLIENTS)))


def turns(rounds: int, *calls: Callable[[], object]) -> list[list[float]]:
    """Seconds of each call, taken in turn."""
    found: list[list[float]] = [[] for _ in calls]
    for number in range(rounds + 1):
        for call, seconds in zip(calls, found, strict=True):
            began = time.perf_counter()
            call()
            if number:  # the first warms up
                seconds.append(time.perf_counter() - began)
    return found


def ratio(one: list[float], other: list[float]) -> float:
    """One's time over the other's, median over neighbouring runs."""
    return statistics.median(a / b for a, b in zip(one, other, strict=True))


if __name__ == "__main__":
    main()
