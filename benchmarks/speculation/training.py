"""Distil a decoder of few layers from a Whisper checkpoint, whose encoder it shares.

The method is that of distil-whisper (Gandhi et al. 2023): layers that are evenly spaced in the main model's decoder,
then the KL divergence to the main model's distribution and the cross entropy of the main model's own text.
"""

import random
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional

from benchmarks.speculation.examples import Example, Examples
from tools.distillation import trained_modules
from tools.optimization import Training
from transcription.config import ModelSettings
from transcription.whisper.loading import load_checkpoint

LEARNING_RATE = 5e-4
_WARM_UP = 30  # steps
_TEXT_WEIGHT = 0.5  # of the cross entropy; that of the KL divergence is 1
_SAVE_EVERY = 50  # steps
_TESTED = 24  # examples


@dataclass(frozen=True)
class Plan:
    """How long to train: steps, and examples of each step."""

    steps: int
    batch: int


def new_student(main: Any, layers: int) -> Any:
    """Return a model with so many of the main model's decoder layers, the first and the last among them."""
    from transformers import WhisperConfig, WhisperForConditionalGeneration

    student: Any = WhisperForConditionalGeneration(
        WhisperConfig(**{**main.config.to_dict(), "decoder_layers": layers, "attn_implementation": "sdpa"})
    )
    kept = evenly_spaced(main.config.decoder_layers, layers)
    for own, number in zip(student.model.decoder.layers, kept, strict=True):
        own.load_state_dict(main.model.decoder.layers[number].state_dict())
    others = {name: value for name, value in main.state_dict().items() if ".decoder.layers." not in name}
    student.load_state_dict(others, strict=False)
    student.generation_config = main.generation_config
    student.generation_config.alignment_heads = None  # heads of the main model's layers
    return student


def evenly_spaced(total: int, count: int) -> list[int]:
    """Return `count` of the numbers below `total`, the first and the last among them; one alone is the last."""
    if count == 1:
        return [total - 1]
    return [round(number * (total - 1) / (count - 1)) for number in range(count)]


def distillation_loss(student: Any, states: Tensor, examples: Sequence[Example]) -> Tensor:
    """Return the loss of a student on examples and their encoder states (examples, frames, width)."""
    hidden = torch.cat(_hidden(student, states, examples))
    logprobs = functional.log_softmax(student.proj_out(hidden).float(), dim=-1)  # only of the positions that are used
    candidates = torch.cat([one.candidates for one in examples])
    probabilities = torch.cat([one.probabilities for one in examples])
    probabilities = probabilities / probabilities.sum(-1, keepdim=True)
    cross = -(probabilities * logprobs.gather(-1, candidates)).sum(-1)
    entropy = -torch.xlogy(probabilities, probabilities).sum(-1)
    labels = torch.cat([torch.tensor(one.tokens[one.prompt_length :]) for one in examples])
    return (cross - entropy).mean() + _TEXT_WEIGHT * functional.nll_loss(logprobs, labels)


def agreement(student: Any, examples: Examples, chosen: Sequence[Example]) -> float:
    """Return the share of the main model's tokens that are the student's most probable ones, given those before."""
    right = total = 0
    with torch.no_grad():
        for one in chosen:
            [hidden] = _hidden(student, examples.states[[one.window]].float(), [one])
            found = student.proj_out(hidden).argmax(-1)
            right += int((found == torch.tensor(one.tokens[one.prompt_length :])).sum())
            total += len(found)
    return right / max(total, 1)


def _hidden(student: Any, states: Tensor, examples: Sequence[Example]) -> list[Tensor]:
    """Return the hidden states (tokens, width) at the positions that predict the text and its end."""
    longest = max(len(one.tokens) for one in examples) - 1
    tokens = torch.tensor([[*one.tokens[:-1], *[0] * (longest + 1 - len(one.tokens))] for one in examples])
    hidden = student.model.decoder(input_ids=tokens, encoder_hidden_states=states, use_cache=False).last_hidden_state
    return [row[one.prompt_length - 1 : len(one.tokens) - 1] for row, one in zip(hidden, examples, strict=True)]


def distil(model: Path, layers: int, heard: Examples, unheard: Examples, plan: Plan, output: Path) -> None:
    """Train an assistant and save it. `training.pt` in the output folder holds the state that is resumed."""
    main = load_checkpoint(ModelSettings.from_environment(asr_model=str(model), dtype="float32", device="cpu")).model
    student = new_student(main, layers)
    modules = trained_modules(student)
    for parameter in student.parameters():
        parameter.requires_grad_(False)
    for parameter in modules.parameters():
        parameter.requires_grad_(True)
    optimizer = torch.optim.AdamW(modules.parameters(), lr=LEARNING_RATE, betas=(0.9, 0.98), weight_decay=0.01)
    training = Training({"decoder": modules}, [optimizer])
    state = output / "training.pt"
    if state.exists():
        training.load(state)
    started, first = time.time(), training.step
    while training.step < plan.steps:
        loss = _step(student, heard, training, plan)
        if training.step % _SAVE_EVERY == 0 or training.step == plan.steps:
            training.save(state)
            save_assistant(student, model, output)
            rates = [agreement(student, one, _tested(one)) for one in (heard, unheard)]
            seconds = (time.time() - started) / (training.step - first)
            print(
                f"step {training.step}/{plan.steps}  loss {loss:.3f}  agreement: heard {rates[0]:.3f}, "
                f"unheard {rates[1]:.3f}  {seconds:.1f} s/step", flush=True,
            )  # fmt: skip


def _step(student: Any, heard: Examples, training: Training, plan: Plan) -> float:
    chosen = random.Random(training.step).sample(heard.examples, min(plan.batch, len(heard.examples)))
    states = heard.states[[one.window for one in chosen]]
    with torch.autocast("cpu", torch.bfloat16):
        loss = distillation_loss(student, states.float(), chosen)
    loss.backward()  # type: ignore[no-untyped-call]
    nn.utils.clip_grad_norm_(training.modules["decoder"].parameters(), 1.0)
    [optimizer] = training.optimizers
    rise, fall = (training.step + 1) / _WARM_UP, (plan.steps - training.step) / plan.steps
    optimizer.param_groups[0]["lr"] = LEARNING_RATE * min(rise, fall)
    optimizer.step()
    optimizer.zero_grad()
    training.step += 1
    return loss.item()


def _tested(examples: Examples) -> list[Example]:
    """Return some examples without timestamps, the same at every test."""
    found = [one for one in examples.examples if not one.timed]
    return random.Random(0).sample(found, min(_TESTED, len(found)))


def save_assistant(student: Any, model: Path, output: Path) -> None:
    """Save a student as a checkpoint, in the precision of the main model's file: the same encoder is shared."""
    from transformers import AutoConfig, AutoProcessor

    config = AutoConfig.from_pretrained(model)
    dtype = getattr(config, "dtype", None) or torch.float32
    student.to(dtype).save_pretrained(output)
    student.float()
    AutoProcessor.from_pretrained(model).save_pretrained(output)
