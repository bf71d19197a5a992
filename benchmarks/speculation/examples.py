"""Examples for distillation: encoder states, and the main model's own text with its most probable tokens, in a file."""

import random
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor

from benchmarks.speculation.windows import Spoken
from transcription.config import InferenceConfig, ModelSettings
from transcription.engines.batching.engine import BatchingEngine
from transcription.whisper.decoding_result import needs_fallback

CANDIDATES = 32
"""Tokens that are kept of the main model's distribution; the others have a thousandth of it or less."""
_BATCH = 8
_TIMED_EVERY = 3


@dataclass(frozen=True, eq=False)
class Example:
    """The main model's greedy text of a window.

    window: index of its encoder states. timed: whether the text has timestamps. tokens: prompt, text and end of text.
    prompt_length: tokens before the text.
    candidates, probabilities: (text and end of text, CANDIDATES) of the main model, best first.
    """

    window: int
    timed: bool
    tokens: list[int]
    prompt_length: int
    candidates: Tensor
    probabilities: Tensor


@dataclass(frozen=True, eq=False)
class Examples:
    """Examples of windows, and the windows' encoder states (windows, frames, width)."""

    states: Tensor
    examples: list[Example]

    @classmethod
    def load(cls, folder: Path) -> "Examples":
        """Load the batches of `make_examples` that are there."""
        states, examples = [torch.empty(0)], list[Example]()
        for path in sorted(folder.glob("*.pt")):
            batch = torch.load(path)
            first = sum(map(len, states))
            examples += [Example(**{**one, "window": first + one["window"]}) for one in batch["examples"]]
            states.append(batch["states"])
        return cls(torch.cat(states[1:] or states), examples)


def make_examples(model: Path, windows: Sequence[Spoken], folder: Path) -> None:
    """Write examples of the windows, in the precision that DTYPE sets; batches that are there are kept.

    All windows are decoded without timestamps, and every third batch also with them. A text that repeats itself, or
    that the model is unsure about, is left out: another temperature would decode it.
    """
    folder.mkdir(exist_ok=True)
    order = sorted(windows, key=lambda window: len(window.samples))  # rows of a batch end at about the same time
    batches = {number: order[first : first + _BATCH] for number, first in enumerate(range(0, len(order), _BATCH))}
    missing = [number for number in batches if not (folder / f"{number:04}.pt").exists()]
    if not missing:
        return
    engine = BatchingEngine(ModelSettings.from_environment(asr_model=str(model), slots=_BATCH))
    for number in random.Random(0).sample(missing, len(missing)):  # a part of them is like the whole
        with torch.inference_mode():
            states, examples = _make_batch(engine, batches[number], timed=number % _TIMED_EVERY == 0)
        path = folder / f"{number:04}.pt"
        torch.save({"states": states, "examples": [vars(one) for one in examples]}, path.with_suffix(".part"))
        path.with_suffix(".part").replace(path)
        print(f"{folder.name}: {len(list(folder.glob('*.pt')))} of {len(batches)} batches", flush=True)


def _make_batch(engine: BatchingEngine, windows: Sequence[Spoken], timed: bool) -> tuple[Tensor, list[Example]]:
    encode, frames = engine.loop.encoder.encode, engine.loop.slots.decoder.frames
    states = torch.cat([encode([window.samples], frames) for window in windows])
    languages = [window.language for window in windows]
    examples = [*_decode(engine, states, languages, False)]
    if timed:
        examples += _decode(engine, states, languages, True)
    return states, examples


def _decode(engine: BatchingEngine, states: Tensor, languages: list[str], timed: bool) -> Iterator[Example]:
    slots, whisper, count = engine.loop.slots, engine.whisper, len(states)
    rows, config = slice(0, count), InferenceConfig()
    slots.write_cross_kv(rows, states)
    prompts = [whisper.prompt([], language, config.task, timed) for language in languages]
    slots.prefill(rows, prompts)
    for row, prompt in enumerate(prompts):
        slots.begin(row, prompt, timed)
    while len(slots.ended_rows(count)) < count:
        slots.step(count, record_alignment=False, sample=False)
    decoded = [slots.decoded(row, len(prompt)) for row, prompt in enumerate(prompts)]
    texts = [[*prompt, *tokens] for prompt, (tokens, _) in zip(prompts, decoded, strict=True)]
    hidden = slots.prefill(rows, texts)
    for row, (prompt, text, (tokens, logprobs)) in enumerate(zip(prompts, texts, decoded, strict=True)):
        if needs_fallback(whisper.score(tokens, logprobs, 0.0, 0.0), config):
            continue
        logits = slots.decoder.logits(hidden[row, len(prompt) - 1 : len(text)])
        best = logits.softmax(-1).topk(min(CANDIDATES, logits.shape[-1]))
        yield Example(
            row, timed, [*text, whisper.vocabulary.end], len(prompt), best.indices.clone(), best.values.clone()
        )
