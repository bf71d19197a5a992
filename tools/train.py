"""Train `models/demo-whisper` from scratch: `python -m tools.train`.

The curriculum has windows of 4, 10 and 30 s. Training only: a classifier of the word in every encoder frame, and a loss
that guides attention heads to the spoken word. Some encoder heads start as soft shifts in time.
Training can be interrupted and resumed at any step; its state is in `tools/.cache`.
"""

import argparse
import math
import random
import time
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional
from torch.utils.data import DataLoader, IterableDataset
from transformers import WhisperConfig, WhisperForConditionalGeneration

from tools.corpus import CACHE, load_corpus
from tools.optimization import Training, muon_and_adamw
from tools.tokenizer import build_tokenizer
from tools.windows import FRAME_CLASSES, IGNORE, Span, Window, WindowGenerator

ALIGNMENT_HEADS = ((1, 0), (1, 1))  # (decoder layer, head): guided to the word that is being written
PREVIOUS_WORD_HEAD = (0, 0)
CORPUS_SIZE = 36_000


@dataclass(frozen=True)
class Stage:
    """A stage of the curriculum. The factor on the learning rates falls linearly from first to last."""

    seconds: float
    batch_size: int
    steps: int
    first_factor: float
    last_factor: float

    def factor(self, step: int) -> float:
        """Return the factor on the learning rates at a step of this stage."""
        return self.first_factor + (self.last_factor - self.first_factor) * step / self.steps


STAGES = (Stage(4, 40, 800, 1.0, 0.9), Stage(10, 16, 1000, 0.9, 0.6), Stage(30, 6, 800, 0.6, 0.0))


@dataclass(frozen=True)
class Batch:
    """Padded tensors of several windows."""

    mel: Tensor  # (rows, 80, 2·frames)
    tokens: Tensor  # (rows, length)
    labels: Tensor  # (rows, length)
    frame_words: Tensor  # (rows, frames)
    spans: Tensor  # (rows, length, 2) frames; 0, 0 without a span
    previous_spans: Tensor
    offsets: list[int]


class Windows(IterableDataset):  # type: ignore[type-arg]
    """Batches of all stages, from a given step on."""

    def __init__(self, stages: tuple[Stage, ...], step: int) -> None:
        self.stages, self.step = stages, step

    def __iter__(self) -> Iterator[Batch]:
        torch.set_num_threads(1)
        generator = WindowGenerator(load_corpus("train", CORPUS_SIZE), build_tokenizer(), random.Random(self.step))
        for stage, done in _completed_steps(self.stages, self.step):
            for _ in range(done, stage.steps):
                yield collate([generator.window(stage.seconds) for _ in range(stage.batch_size)])


def _completed_steps(stages: tuple[Stage, ...], step: int) -> Iterator[tuple[Stage, int]]:
    """Yield each stage with the number of its steps that are complete after `step` steps of all."""
    for stage in stages:
        yield stage, min(step, stage.steps)
        step = max(step - stage.steps, 0)


def collate(windows: list[Window]) -> Batch:
    """Return windows of equal seconds as padded tensors."""
    length = max(len(window.decoder.tokens) for window in windows)

    def pad(values: list[int], fill: int) -> list[int]:
        return values + [fill] * (length - len(values))

    def pad_spans(values: list[Span | None]) -> list[Span]:
        return [value or (0, 0) for value in values] + [(0, 0)] * (length - len(values))

    return Batch(
        mel=torch.from_numpy(np.stack([window.mel.T for window in windows])),
        tokens=torch.tensor([pad(window.decoder.tokens, 0) for window in windows]),
        labels=torch.tensor([pad(window.decoder.labels, IGNORE) for window in windows]),
        frame_words=torch.from_numpy(np.stack([window.frame_words for window in windows])),
        spans=torch.tensor([pad_spans(window.decoder.spans) for window in windows]),
        previous_spans=torch.tensor([pad_spans(window.decoder.previous_spans) for window in windows]),
        offsets=[window.offset for window in windows],
    )


def new_model(vocabulary: int, ids: dict[str, int]) -> WhisperForConditionalGeneration:
    """Return an untrained Whisper of 128 dimensions. ids: token to id."""
    torch.manual_seed(0)
    config = WhisperConfig(
        vocab_size=vocabulary, num_mel_bins=80, d_model=128,
        encoder_layers=4, encoder_attention_heads=4, encoder_ffn_dim=512,
        decoder_layers=2, decoder_attention_heads=4, decoder_ffn_dim=512,
        max_source_positions=1500, max_target_positions=448,
        pad_token_id=ids["<|endoftext|>"], bos_token_id=ids["<|endoftext|>"],
        eos_token_id=ids["<|endoftext|>"], decoder_start_token_id=ids["<|startoftranscript|>"],
        suppress_tokens=None, begin_suppress_tokens=None, attn_implementation="eager",
    )  # fmt: skip
    model = WhisperForConditionalGeneration(config)
    first = ids["<|0.00|>"]
    positions = model.model.encoder.embed_positions.weight
    with torch.no_grad():
        model.model.decoder.embed_tokens.weight[first : first + 1500] = positions * 0.02
        for layer, shifts in enumerate(((-3, 3, -9, 9), (-6, 6, -20, 20))):
            _initialize_shifts(model.model.encoder.layers[layer].self_attn, shifts)
    _use_fused_attention(model)
    return model


def _use_fused_attention(model: WhisperForConditionalGeneration) -> None:
    """Use fused attention in the encoder. The decoder stays eager, because the loss reads its attention."""
    fused = WhisperConfig(**{**model.config.to_dict(), "attn_implementation": "sdpa"})
    fused._attn_implementation = "sdpa"
    for layer in model.model.encoder.layers:
        layer.self_attn.config = fused


def _initialize_shifts(attention: Any, shifts: tuple[int, ...], channels: int = 16) -> None:
    """Make head h attend to the frame `shifts[h]` frames away, by rotating the sinusoids of the position embedding."""
    width = attention.q_proj.weight.shape[0]
    head_width = width // len(shifts)
    frequency = torch.exp(-math.log(10_000) / (width // 2 - 1) * torch.arange(channels))
    for head, shift in enumerate(shifts):
        query, key = torch.zeros(head_width, width), torch.zeros(head_width, width)
        for channel, angle in enumerate((frequency * shift).tolist()):
            sine, cosine = channel, width // 2 + channel
            row = 2 * channel
            key[row, sine] = key[row + 1, cosine] = 1.2
            query[row, sine], query[row, cosine] = 1.2 * math.cos(angle), 1.2 * math.sin(angle)
            query[row + 1, cosine], query[row + 1, sine] = 1.2 * math.cos(angle), -1.2 * math.sin(angle)
        rows = slice(head * head_width, (head + 1) * head_width)
        attention.q_proj.weight[rows] = query + 0.02 * torch.randn_like(query)
        attention.k_proj.weight[rows] = key + 0.02 * torch.randn_like(key)


def encode(model: WhisperForConditionalGeneration, mel: Tensor, offsets: list[int]) -> Tensor:
    """Return encoder states (rows, frames, width) of windows that may be shorter than 30 s."""
    encoder: Any = model.model.encoder
    hidden = functional.gelu(encoder.conv2(functional.gelu(encoder.conv1(mel)))).transpose(1, 2)
    positions = encoder.embed_positions.weight
    hidden = hidden + torch.stack([positions[offset : offset + hidden.shape[1]] for offset in offsets])
    for layer in encoder.layers:
        out = layer(hidden, None)
        hidden = out[0] if isinstance(out, tuple) else out
    states: Tensor = encoder.layer_norm(hidden)
    return states


def training_loss(
    model: WhisperForConditionalGeneration, word_classifier: nn.Linear, batch: Batch, first_timestamp: int
) -> tuple[Tensor, dict[str, float]]:
    """Return the loss, and its parts with the accuracy of the tokens."""
    hidden = encode(model, batch.mel, batch.offsets)
    frames = functional.cross_entropy(word_classifier(hidden).flatten(0, 1), batch.frame_words.flatten())
    out = model.model.decoder(
        input_ids=batch.tokens, encoder_hidden_states=hidden, output_attentions=True, use_cache=False
    )
    logits = model.proj_out(out.last_hidden_state)
    tokens = token_loss(logits, batch.labels, first_timestamp)
    heads = [(*head, batch.spans) for head in ALIGNMENT_HEADS] + [(*PREVIOUS_WORD_HEAD, batch.previous_spans)]
    attention = torch.stack(
        [_attention_loss(out.cross_attentions[layer][:, head], spans) for layer, head, spans in heads]
    ).mean()
    accuracy = (logits.argmax(-1) == batch.labels)[batch.labels != IGNORE].float().mean()
    parts = {
        "token": tokens.item(), "frame": frames.item(), "attention": attention.item(), "accuracy": accuracy.item(),
    }  # fmt: skip
    return tokens + 2.0 * frames + 0.5 * attention, parts


def token_loss(logits: Tensor, labels: Tensor, first_timestamp: int, blur: float = 0.8) -> Tensor:
    """Return the cross-entropy. A timestamp's label is a Gaussian around the true one, `blur` × 20 ms wide."""
    used = labels != IGNORE
    logprobs, labels = functional.log_softmax(logits[used], dim=-1), labels[used]
    is_timestamp = labels >= first_timestamp
    losses = -logprobs.gather(1, labels[:, None])[:, 0]
    if is_timestamp.any():
        distance = torch.arange(-2, 3)
        weights = torch.exp(-0.5 * (distance / blur) ** 2)
        neighbours = (labels[is_timestamp, None] + distance).clamp(first_timestamp, logprobs.shape[1] - 1)
        blurred = -(logprobs[is_timestamp].gather(1, neighbours) * (weights / weights.sum())).sum(1)
        losses = torch.cat([losses[~is_timestamp], blurred])
    return losses.mean()


def _attention_loss(attention: Tensor, spans: Tensor) -> Tensor:
    """Return −log of the share of attention (rows, length, frames) inside the spans (rows, length, 2)."""
    frame = torch.arange(attention.shape[-1])
    inside = (frame >= spans[..., :1]) & (frame < spans[..., 1:])
    has_span = spans[..., 1] > 0
    share = (attention * inside).sum(-1)[has_span]
    return -torch.log(share + 1e-4).mean() if len(share) else attention.sum() * 0


def optimizers(model: nn.Module, word_classifier: nn.Module) -> list[torch.optim.Optimizer]:
    """Return the optimizers; the encoder's position embedding stays as it is."""
    matrices, others = [], list(word_classifier.parameters())
    for name, parameter in model.named_parameters():
        if "embed_positions" in name and "encoder" in name:
            parameter.requires_grad_(False)
        elif parameter.ndim == 2 and "embed" not in name:
            matrices.append(parameter)
        else:
            others.append(parameter)
    return muon_and_adamw(matrices, others, betas=(0.9, 0.98))


def learning_rate_factor(step: int, stages: tuple[Stage, ...]) -> float:
    """Return the factor on all learning rates: a warm-up of 100 steps, then linear within each stage."""
    for stage, done in _completed_steps(stages, step):
        if done < stage.steps:
            return min((step + 1) / 100, 1.0) * stage.factor(done)
    return 0.0


def main() -> None:
    """Run the command."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--scale", type=float, default=1.0, help="factor on the number of steps of every stage")
    parser.add_argument("--state", type=Path, default=CACHE / "whisper.pt", help="file of the training state")
    options = parser.parse_args()
    stages = tuple(replace(stage, steps=int(stage.steps * options.scale)) for stage in STAGES)
    tokenizer = build_tokenizer()
    ids = tokenizer.get_vocab()
    model, word_classifier = new_model(len(tokenizer), ids), nn.Linear(128, len(FRAME_CLASSES) + 1)
    training = Training({"model": model, "words": word_classifier}, optimizers(model, word_classifier))
    if options.state.exists():
        training.load(options.state)
    load_corpus("train", CORPUS_SIZE)  # before the loader's process needs it
    total, started, resumed_at = sum(stage.steps for stage in stages), time.time(), training.step
    for batch in DataLoader(Windows(stages, resumed_at), batch_size=None, num_workers=1, prefetch_factor=4):
        loss, parts = training_loss(model, word_classifier, batch, ids["<|0.00|>"])
        clipped = training.optimizers[1].param_groups[0]["params"]
        training.update(loss, learning_rate_factor(training.step, stages), clipped)
        if training.step % 50 == 0 or training.step == total:
            step_seconds = (time.time() - started) / (training.step - resumed_at)
            losses = " ".join(f"{name} {value:.3f}" for name, value in parts.items())
            minutes = step_seconds * (total - training.step) / 60
            print(
                f"step {training.step}/{total}  {losses}  {step_seconds:.2f} s/step, {minutes:.0f} min left", flush=True
            )
        if training.step % 100 == 0 or training.step == total:
            training.save(options.state)


if __name__ == "__main__":
    main()
