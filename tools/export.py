"""Save the trained models as checkpoints in `models/`: `python -m tools.export`."""

import argparse
from pathlib import Path

from tools.checkpoint import load_weights, save_checkpoint
from tools.corpus import CACHE
from tools.distil import new_assistant
from tools.tokenizer import build_tokenizer
from tools.train import ALIGNMENT_HEADS, new_model

MODELS = Path(__file__).parent.parent / "models"


def main() -> None:
    """Run the command."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--main", type=Path, default=CACHE / "whisper.pt", help="training state of the main model")
    parser.add_argument("--assistant", type=Path, default=CACHE / "assistant.pt", help="weights of the assistant")
    parser.add_argument("--output", type=Path, default=MODELS, help="folder of the checkpoints")
    options = parser.parse_args()
    tokenizer = build_tokenizer()
    model = new_model(len(tokenizer), tokenizer.get_vocab())
    model.load_state_dict(load_weights(options.main))
    assistant = new_assistant(model)
    save_checkpoint(model, tokenizer, options.output / "demo-whisper", ALIGNMENT_HEADS)
    if options.assistant.exists():
        assistant.load_state_dict(load_weights(options.assistant))
        save_checkpoint(assistant, tokenizer, options.output / "demo-whisper-assistant", ALIGNMENT_HEADS)


if __name__ == "__main__":
    main()
