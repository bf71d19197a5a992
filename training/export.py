"""Writes the trained state as `models/demo-whisper`: `python -m training.export`."""

import argparse
from pathlib import Path

from training.checkpoint import load_state, save_checkpoint
from training.corpus import CACHE
from training.tokenizer import build_tokenizer
from training.train import ALIGNMENT_HEADS, new_model

MODELS = Path(__file__).parent.parent / "models"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--state", type=Path, default=CACHE / "whisper.pt")
    parser.add_argument("--output", type=Path, default=MODELS / "demo-whisper")
    options = parser.parse_args()
    tokenizer = build_tokenizer()
    model = new_model(len(tokenizer), tokenizer.get_vocab())
    model.load_state_dict(load_state(options.state))
    save_checkpoint(model, tokenizer, options.output, ALIGNMENT_HEADS)


if __name__ == "__main__":
    main()
