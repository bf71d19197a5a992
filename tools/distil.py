"""Trains `models/demo-whisper-assistant` from the finished main model: `python -m training.distil`.

The assistant keeps the main model's encoder, embeddings and attention, and learns to say with a quarter of the
feed-forward neurons what the main model says with all (the recipe of distil-whisper, Gandhi et al. 2023). It
keeps both decoder layers: one finds the last word in the audio, the next looks at what follows it, and with
one layer alone not half of its drafts were accepted.
"""

import argparse
import random
import time
from pathlib import Path

import torch
from torch.nn import functional
from transformers import WhisperConfig, WhisperForConditionalGeneration

from tools.checkpoint import load_state
from tools.corpus import CACHE, corpus
from tools.tokenizer import build_tokenizer
from tools.train import CORPUS_SIZE, Stage, collate, encode, new_model
from tools.windows import IGNORE, Mixer

STAGES = (Stage(10, 16, 300, 1.0, 0.6), Stage(30, 6, 150, 0.6, 0.0))
RATE = 1.5e-3
NEURONS = 128


def new_assistant(main: WhisperForConditionalGeneration) -> WhisperForConditionalGeneration:
    """The main model with the decoder's neurons that weigh most."""
    assistant = WhisperForConditionalGeneration(
        WhisperConfig(**{**main.config.to_dict(), "decoder_ffn_dim": NEURONS, "attn_implementation": "sdpa"})
    )
    weights = main.state_dict()
    for layer in range(main.config.decoder_layers):
        name = f"model.decoder.layers.{layer}."
        into, out = weights[f"{name}fc1.weight"], weights[f"{name}fc2.weight"]
        kept = (into.norm(dim=1) * out.norm(dim=0)).topk(NEURONS).indices
        weights[f"{name}fc1.weight"], weights[f"{name}fc2.weight"] = into[kept], out[:, kept]
        weights[f"{name}fc1.bias"] = weights[f"{name}fc1.bias"][kept]
    assistant.load_state_dict(weights)
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
    optimizer = torch.optim.AdamW(learning, lr=RATE, betas=(0.9, 0.98), weight_decay=0.0)
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
            optimizer.param_groups[0]["lr"] = RATE * (stage.rate + (stage.until - stage.rate) * step / stage.steps)
            optimizer.step()
            optimizer.zero_grad()
            if (step + 1) % 25 == 0:
                print(f"{stage.seconds:g} s windows: step {step + 1}/{stage.steps}  "
                      f"loss {loss.item():.3f}  {time.time() - began:.0f} s", flush=True)  # fmt: skip
    torch.save({"model": student.state_dict()}, options.state)


if __name__ == "__main__":
    main()
