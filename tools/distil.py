"""Distil `models/demo-whisper-assistant` from the trained main model: `python -m tools.distil`.

The method is that of distil-whisper (Gandhi et al. 2023). The assistant keeps the encoder, the embeddings and the
attention of the main model, and a quarter of the decoder's feed-forward neurons. It keeps both decoder layers: with one
layer, less than half of its draft tokens were accepted.
"""

import argparse
import random
import time
from pathlib import Path

import torch
from torch import Tensor
from torch.nn import functional
from transformers import WhisperConfig, WhisperForConditionalGeneration

from tools.checkpoint import load_weights
from tools.corpus import CACHE, load_corpus
from tools.distillation import trained_modules
from tools.tokenizer import build_tokenizer
from tools.train import CORPUS_SIZE, Batch, Stage, collate, encode, new_model
from tools.windows import IGNORE, WindowGenerator

STAGES = (Stage(10, 16, 300, 1.0, 0.6), Stage(30, 6, 150, 0.6, 0.0))
LEARNING_RATE = 1.5e-3
NEURONS = 128


def new_assistant(main: WhisperForConditionalGeneration) -> WhisperForConditionalGeneration:
    """Return the main model with the NEURONS neurons of largest weight norm in each decoder layer."""
    assistant = WhisperForConditionalGeneration(
        WhisperConfig(**{**main.config.to_dict(), "decoder_ffn_dim": NEURONS, "attn_implementation": "sdpa"})
    )
    weights = main.state_dict()
    for layer in range(main.config.decoder_layers):
        name = f"model.decoder.layers.{layer}."
        fc1, fc2 = weights[f"{name}fc1.weight"], weights[f"{name}fc2.weight"]
        kept = (fc1.norm(dim=1) * fc2.norm(dim=0)).topk(NEURONS).indices
        weights[f"{name}fc1.weight"], weights[f"{name}fc2.weight"] = fc1[kept], fc2[:, kept]
        weights[f"{name}fc1.bias"] = weights[f"{name}fc1.bias"][kept]
    assistant.load_state_dict(weights)
    return assistant


def distillation_loss(
    teacher: WhisperForConditionalGeneration, student: WhisperForConditionalGeneration, batch: Batch
) -> Tensor:
    """Return the KL divergence from the teacher's to the student's token probabilities."""
    with torch.no_grad():
        states = encode(teacher, batch.mel, batch.offsets)
        out = teacher.model.decoder(input_ids=batch.tokens, encoder_hidden_states=states, use_cache=False)
        probabilities = teacher.proj_out(out.last_hidden_state).softmax(-1)
    out = student.model.decoder(input_ids=batch.tokens, encoder_hidden_states=states, use_cache=False)
    used = batch.labels != IGNORE
    logprobs = functional.log_softmax(student.proj_out(out.last_hidden_state)[used], dim=-1)
    return functional.kl_div(logprobs, probabilities[used], reduction="batchmean")


def main() -> None:
    """Run the command."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--main", type=Path, default=CACHE / "whisper.pt", help="training state of the main model")
    parser.add_argument("--state", type=Path, default=CACHE / "assistant.pt", help="file for the assistant's weights")
    options = parser.parse_args()
    tokenizer = build_tokenizer()
    teacher = new_model(len(tokenizer), tokenizer.get_vocab())
    teacher.load_state_dict(load_weights(options.main))
    teacher.eval()
    student = new_assistant(teacher)
    optimizer = torch.optim.AdamW(
        trained_modules(student).parameters(), lr=LEARNING_RATE, betas=(0.9, 0.98), weight_decay=0.0
    )
    generator = WindowGenerator(load_corpus("train", CORPUS_SIZE), tokenizer, random.Random("assistant"))
    started = time.time()
    for stage in STAGES:
        for step in range(stage.steps):
            batch = collate([generator.window(stage.seconds) for _ in range(stage.batch_size)])
            loss = distillation_loss(teacher, student, batch)
            loss.backward()  # type: ignore[no-untyped-call]
            optimizer.param_groups[0]["lr"] = LEARNING_RATE * stage.factor(step)
            optimizer.step()
            optimizer.zero_grad()
            if (step + 1) % 25 == 0:
                print(f"{stage.seconds:g} s windows: step {step + 1}/{stage.steps}  "
                      f"loss {loss.item():.3f}  {time.time() - started:.0f} s", flush=True)  # fmt: skip
    torch.save({"model": student.state_dict()}, options.state)


if __name__ == "__main__":
    main()
