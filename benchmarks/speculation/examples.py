"""Examples for distillation: encoder states, and the main model's own text with its most probable tokens, in a file."""

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

    def save(self, path: Path) -> None:
        """Save them; an interruption leaves no file."""
        partial = path.with_suffix(".part")
        torch.save({"states": self.states, "examples": [vars(one) for one in self.examples]}, partial)
        partial.replace(path)

    @classmethod
    def load(cls, path: Path) -> "Examples":
        """Load what `save` wrote; the states are read when they are used."""
        saved = torch.load(path, mmap=True)
        return cls(saved["states"], [Example(**one) for one in saved["examples"]])


def make_examples(model: Path, windows: Sequence[Spoken]) -> Examples:
    """Return two examples of each window, without and with timestamps, in the precision that DTYPE sets.

    A text that repeats itself, or that the model is unsure about, is left out: another temperature would decode it.
    """
    engine = BatchingEngine(ModelSettings.from_environment(asr_model=str(model), slots=_BATCH))
    order = sorted(windows, key=lambda window: len(window.samples))  # rows of a batch end at about the same time
    states, examples = list[Tensor](), list[Example]()
    with torch.inference_mode():
        for first in range(0, len(order), _BATCH):
            batch = order[first : first + _BATCH]
            states.append(torch.cat([engine.loop.encode([window.samples]) for window in batch]))
            for timed in (False, True):
                examples += _decode(engine, states[-1], first, [window.language for window in batch], timed)
            print(f"{first + len(batch)} of {len(order)} windows", flush=True)
        return Examples(torch.cat(states) if states else torch.empty(0), examples)


def _decode(engine: BatchingEngine, states: Tensor, first: int, languages: list[str], timed: bool) -> Iterator[Example]:
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
            first + row, timed, [*text, whisper.vocabulary.end], len(prompt), best.indices.clone(), best.values.clone()
        )
