"""Trains `models/demo-whisper-assistant` from the finished main model: `python -m training.distil`.

The assistant keeps the main model's encoder, embeddings and last decoder layer, and learns to say with one
layer what the main model says with two (the recipe of distil-whisper, Gandhi et al. 2023).
"""

import argparse
import random
import time
from pathlib import Path

import torch
from torch.nn import functional
from transformers import WhisperConfig, WhisperForConditionalGeneration

from training.checkpoint import load_state
from training.corpus import CACHE, corpus
from training.tokenizer import build_tokenizer
from training.train import CORPUS_SIZE, Stage, collate, encode, new_model
from training.windows import IGNORE, Mixer

STAGES = (Stage(10, 16, 150, 1.0, 0.6), Stage(30, 6, 100, 0.6, 0.0))


def new_assistant(main: WhisperForConditionalGeneration) -> WhisperForConditionalGeneration:
    """The main model without all decoder layers but the last."""
    assistant = WhisperForConditionalGeneration(
        WhisperConfig(**{**main.config.to_dict(), "decoder_layers": 1, "attn_implementation": "sdpa"})
    )
    weights = main.state_dict()
    last = f"decoder.layers.{main.config.decoder_layers - 1}."
    assistant.load_state_dict(
        {
            name: weights[name.replace("decoder.layers.0.", last) if "decoder.layers" in name else name]
            for name in assistant.state_dict()
        }
    )
    return assistant


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--main", type=Path, default=CACHE / "whisper.pt")
    parser.add_argument("--state", type=Path, default=CACHE / "assistant.pt")
    options = parser.parse_args()
    tokenizer = build_tokenizer()
    teacher = new_model(len(tokenizer), tokenizer.get_vocab())
    teacher.load_state_dict(load_state(options.main))
    teacher.eval()
    student = new_assistant(teacher)
    learning = list(student.model.decoder.layers.parameters()) + list(student.model.decoder.layer_norm.parameters())
    optimizer = torch.optim.AdamW(learning, lr=1.5e-3, betas=(0.9, 0.98), weight_decay=0.0)
    mixer = Mixer(corpus("train", CORPUS_SIZE), tokenizer, random.Random("assistant"))
    began = time.time()
    for stage in STAGES:
        for step in range(stage.steps):
            batch = collate([mixer.window(stage.seconds) for _ in range(stage.batch)])
            with torch.no_grad():
                states = encode(teacher, batch.mel, batch.offsets)
                wanted = teacher.model.decoder(input_ids=batch.tokens, encoder_hidden_states=states, use_cache=False)
                chances = teacher.proj_out(wanted.last_hidden_state).softmax(-1)
            out = student.model.decoder(input_ids=batch.tokens, encoder_hidden_states=states, use_cache=False)
            chosen = batch.targets != IGNORE
            scores = functional.log_softmax(student.proj_out(out.last_hidden_state)[chosen], dim=-1)
            loss = functional.kl_div(scores, chances[chosen], reduction="batchmean")
            loss.backward()  # type: ignore[no-untyped-call]
            optimizer.param_groups[0]["lr"] = 1.5e-3 * (stage.rate + (stage.until - stage.rate) * step / stage.steps)
            optimizer.step()
            optimizer.zero_grad()
            if (step + 1) % 25 == 0:
                print(f"{stage.seconds:g} s windows: step {step + 1}/{stage.steps}  "
                      f"loss {loss.item():.3f}  {time.time() - began:.0f} s", flush=True)  # fmt: skip
    torch.save({"model": student.state_dict()}, options.state)


if __name__ == "__main__":
    main()
