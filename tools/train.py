"""Trains `models/demo-whisper` from nothing: `python -m training.train`.

A curriculum of 4 s, 10 s and 30 s windows. Aids that exist during training only: a word classifier on
every encoder frame, attention heads that are shown where the spoken word is, and encoder heads that
start as soft shifts. Stops and resumes at any step; the state lies in `training/.cache`.
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

from tools.corpus import CACHE, corpus
from tools.tokenizer import build_tokenizer
from tools.windows import FRAME_CLASSES, IGNORE, Mixer, Span, Window

ALIGNMENT_HEADS = ((1, 0), (1, 1))  # (decoder layer, head): they look at the word being written
PREVIOUS_WORD_HEAD = (0, 0)
CORPUS_SIZE = 36_000
RATES = (0.02, 2e-3)  # full learning rates of Muon and of AdamW


@dataclass(frozen=True)
class Stage:
    """`steps` batches of windows of `seconds`, with learning rates falling from `rate` to `until`."""

    seconds: float
    batch: int
    steps: int
    rate: float
    until: float


STAGES = (Stage(4, 40, 800, 1.0, 0.9), Stage(10, 16, 1000, 0.9, 0.6), Stage(30, 6, 800, 0.6, 0.0))


@dataclass(frozen=True)
class Batch:
    mel: Tensor  # (rows, 80, 2·frames)
    tokens: Tensor  # (rows, length)
    targets: Tensor
    frame_words: Tensor  # (rows, frames)
    gaze: Tensor  # (rows, length, 2) frames; 0, 0 where there is none
    glance: Tensor
    offsets: list[int]


class Windows(IterableDataset):  # type: ignore[type-arg]
    """Batches without end for the stage that a step belongs to."""

    def __init__(self, stages: tuple[Stage, ...], step: int) -> None:
        self.stages, self.step = stages, step

    def __iter__(self) -> Iterator[Batch]:
        torch.set_num_threads(1)
        mixer = Mixer(corpus("train", CORPUS_SIZE), build_tokenizer(), random.Random(self.step))
        for stage, done in _from(self.stages, self.step):
            for _ in range(done, stage.steps):
                yield collate([mixer.window(stage.seconds) for _ in range(stage.batch)])


def _from(stages: tuple[Stage, ...], step: int) -> Iterator[tuple[Stage, int]]:
    for stage in stages:
        yield stage, min(step, stage.steps)
        step = max(step - stage.steps, 0)


def collate(windows: list[Window]) -> Batch:
    """Windows of one length as padded tensors."""
    length = max(len(window.answer.tokens) for window in windows)

    def padded(values: list[int], fill: int) -> list[int]:
        return values + [fill] * (length - len(values))

    def spans(values: list[Span | None]) -> list[Span]:
        return [value or (0, 0) for value in values] + [(0, 0)] * (length - len(values))

    return Batch(
        mel=torch.from_numpy(np.stack([window.mel.T for window in windows])),
        tokens=torch.tensor([padded(window.answer.tokens, 0) for window in windows]),
        targets=torch.tensor([padded(window.answer.targets, IGNORE) for window in windows]),
        frame_words=torch.from_numpy(np.stack([window.frame_words for window in windows])),
        gaze=torch.tensor([spans(window.answer.gaze) for window in windows]),
        glance=torch.tensor([spans(window.answer.glance) for window in windows]),
        offsets=[window.offset for window in windows],
    )


def new_model(vocabulary: int, ids: dict[str, int]) -> WhisperForConditionalGeneration:
    """A Whisper of 128 dimensions whose encoder heads start as soft shifts in time."""
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
            _shift_heads(model.model.encoder.layers[layer].self_attn, shifts)
    _fast_encoder(model)
    return model


def _fast_encoder(model: WhisperForConditionalGeneration) -> None:
    """Fused attention in the encoder; the decoder stays eager, as its attention is looked at."""
    fused = WhisperConfig(**{**model.config.to_dict(), "attn_implementation": "sdpa"})
    fused._attn_implementation = "sdpa"
    for layer in model.model.encoder.layers:
        layer.self_attn.config = fused


def _shift_heads(attention: Any, shifts: tuple[int, ...], channels: int = 16) -> None:
    """Head h looks `shifts[h]` frames away: a rotation of the sinusoids of the position embedding."""
    width = attention.q_proj.weight.shape[0]
    size = width // len(shifts)
    frequency = torch.exp(-math.log(10_000) / (width // 2 - 1) * torch.arange(channels))
    for head, shift in enumerate(shifts):
        query, key = torch.zeros(size, width), torch.zeros(size, width)
        for channel, turn in enumerate((frequency * shift).tolist()):
            sine, cosine = channel, width // 2 + channel
            row = 2 * channel
            key[row, sine] = key[row + 1, cosine] = 1.2
            query[row, sine], query[row, cosine] = 1.2 * math.cos(turn), 1.2 * math.sin(turn)
            query[row + 1, cosine], query[row + 1, sine] = 1.2 * math.cos(turn), -1.2 * math.sin(turn)
        rows = slice(head * size, (head + 1) * size)
        attention.q_proj.weight[rows] = query + 0.02 * torch.randn_like(query)
        attention.k_proj.weight[rows] = key + 0.02 * torch.randn_like(key)


def encode(model: WhisperForConditionalGeneration, mel: Tensor, offsets: list[int]) -> Tensor:
    """Encoder states (rows, frames, width) of windows that may be shorter than 30 s."""
    encoder: Any = model.model.encoder
    hidden = functional.gelu(encoder.conv2(functional.gelu(encoder.conv1(mel)))).transpose(1, 2)
    table = encoder.embed_positions.weight
    hidden = hidden + torch.stack([table[at : at + hidden.shape[1]] for at in offsets])
    for layer in encoder.layers:
        out = layer(hidden, None)
        hidden = out[0] if isinstance(out, tuple) else out
    states: Tensor = encoder.layer_norm(hidden)
    return states


def loss_of(
    model: WhisperForConditionalGeneration, words: nn.Linear, batch: Batch, stamps: int
) -> tuple[Tensor, dict[str, float]]:
    """The training loss and its parts."""
    hidden = encode(model, batch.mel, batch.offsets)
    frames = functional.cross_entropy(words(hidden).flatten(0, 1), batch.frame_words.flatten())
    out = model.model.decoder(
        input_ids=batch.tokens, encoder_hidden_states=hidden, output_attentions=True, use_cache=False
    )
    logits = model.proj_out(out.last_hidden_state)
    tokens = token_loss(logits, batch.targets, stamps)
    looks = [_looking(out.cross_attentions[layer][:, head], batch.gaze) for layer, head in ALIGNMENT_HEADS]
    layer, head = PREVIOUS_WORD_HEAD
    looks.append(_looking(out.cross_attentions[layer][:, head], batch.glance))
    attention = torch.stack(looks).mean()
    right = (logits.argmax(-1) == batch.targets)[batch.targets != IGNORE].float().mean()
    parts = {"token": tokens.item(), "frame": frames.item(), "look": attention.item(), "right": right.item()}
    return tokens + 2.0 * frames + 0.5 * attention, parts


def token_loss(logits: Tensor, targets: Tensor, stamps: int, blur: float = 0.8) -> Tensor:
    """Cross-entropy; a time stamp's target is a bell (`blur` × 20 ms wide) around the true one."""
    chosen = targets != IGNORE
    scores, wanted = functional.log_softmax(logits[chosen], dim=-1), targets[chosen]
    timed = wanted >= stamps
    losses = -scores.gather(1, wanted[:, None])[:, 0]
    if timed.any():
        near = torch.arange(-2, 3)
        weights = torch.exp(-0.5 * (near / blur) ** 2)
        places = (wanted[timed, None] + near).clamp(stamps, scores.shape[1] - 1)
        soft = -(scores[timed].gather(1, places) * (weights / weights.sum())).sum(1)
        losses = torch.cat([losses[~timed], soft])
    return losses.mean()


def _looking(attention: Tensor, spans: Tensor) -> Tensor:
    """−log of the attention (rows, length, frames) that falls into the spans (rows, length, 2)."""
    frame = torch.arange(attention.shape[-1])
    inside = (frame >= spans[..., :1]) & (frame < spans[..., 1:])
    present = spans[..., 1] > 0
    share = (attention * inside).sum(-1)[present]
    return -torch.log(share + 1e-4).mean() if len(share) else attention.sum() * 0


def optimizers(model: nn.Module, words: nn.Module) -> list[torch.optim.Optimizer]:
    """Muon (Jordan et al. 2024) for the matrices of the layers, AdamW for all else."""
    matrices, others = [], list(words.parameters())
    for name, parameter in model.named_parameters():
        if "embed_positions" in name and "encoder" in name:
            parameter.requires_grad_(False)
        elif parameter.ndim == 2 and "embed" not in name:
            matrices.append(parameter)
        else:
            others.append(parameter)
    return [
        torch.optim.Muon(matrices, lr=RATES[0], momentum=0.95, weight_decay=0.01),
        torch.optim.AdamW(others, lr=RATES[1], betas=(0.9, 0.98), weight_decay=0.0),
    ]


def rate_at(step: int, stages: tuple[Stage, ...]) -> float:
    """The factor on all learning rates: a short warm-up, then linear within each stage."""
    for stage, done in _from(stages, step):
        if done < stage.steps:
            return min((step + 1) / 100, 1.0) * (stage.rate + (stage.until - stage.rate) * done / stage.steps)
    return 0.0


@dataclass
class Training:
    """A model on its way: everything that must be saved to go on later."""

    model: WhisperForConditionalGeneration
    words: nn.Linear
    optimizers: list[torch.optim.Optimizer]
    step: int = 0

    def save(self, path: Path) -> None:
        """Writes beside and renames, so that a kill leaves the older state whole."""
        unfinished = path.with_suffix(".part")
        torch.save(
            {"model": self.model.state_dict(), "words": self.words.state_dict(), "step": self.step,
             "optimizers": [optimizer.state_dict() for optimizer in self.optimizers]},
            unfinished,
        )  # fmt: skip
        unfinished.replace(path)

    def load(self, path: Path) -> None:
        """Goes on where `save` was called."""
        state = torch.load(path)
        self.model.load_state_dict(state["model"])
        self.words.load_state_dict(state["words"])
        for optimizer, saved in zip(self.optimizers, state["optimizers"], strict=True):
            optimizer.load_state_dict(saved)
        self.step = state["step"]

    def learn(self, batch: Batch, factor: float, first_stamp: int) -> dict[str, float]:
        """One step at `factor` of the full learning rates; the parts of the loss."""
        for optimizer, rate in zip(self.optimizers, RATES, strict=True):
            optimizer.param_groups[0]["lr"] = rate * factor
        loss, parts = loss_of(self.model, self.words, batch, first_stamp)
        loss.backward()  # type: ignore[no-untyped-call]
        torch.nn.utils.clip_grad_norm_(self.optimizers[1].param_groups[0]["params"], 1.0)
        for optimizer in self.optimizers:
            optimizer.step()
            optimizer.zero_grad()
        self.step += 1
        return parts


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--scale", type=float, default=1.0, help="factor on the steps of every stage")
    parser.add_argument("--state", type=Path, default=CACHE / "whisper.pt")
    options = parser.parse_args()
    stages = tuple(replace(stage, steps=int(stage.steps * options.scale)) for stage in STAGES)
    tokenizer = build_tokenizer()
    ids = tokenizer.get_vocab()
    model, words = new_model(len(tokenizer), ids), nn.Linear(128, len(FRAME_CLASSES) + 1)
    training = Training(model, words, optimizers(model, words))
    if options.state.exists():
        training.load(options.state)
    corpus("train", CORPUS_SIZE)
    total, began, resumed = sum(stage.steps for stage in stages), time.time(), training.step
    for batch in DataLoader(Windows(stages, resumed), batch_size=None, num_workers=1, prefetch_factor=4):
        parts = training.learn(batch, rate_at(training.step, stages), ids["<|0.00|>"])
        if training.step % 50 == 0 or training.step == total:
            each = (time.time() - began) / (training.step - resumed)
            shown = " ".join(f"{name} {value:.3f}" for name, value in parts.items())
            left = each * (total - training.step) / 60
            print(f"step {training.step}/{total}  {shown}  {each:.2f} s a step, {left:.0f} min left", flush=True)
        if training.step % 100 == 0 or training.step == total:
            training.save(options.state)


if __name__ == "__main__":
    main()
