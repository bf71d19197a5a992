"""Whisper's sizes, models of these sizes with random weights, and how fast an H100 could be at most."""

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

from benchmarks.base_size import make_script, set_positions, set_script
from benchmarks.engines import MODEL

FRAMES, WINDOW = 1500, 30  # frames and seconds of a window
_FLOPS, _BYTES = (
    0.6 * 989e12,
    0.8 * 3.35e12,
)  # per second, of an H100 in bfloat16: what good kernels reach of its limits
_POSITION_SCALE = 256.0  # of a script: larger than at base size, because 32 layers add more noise
_WRONG_EVERY = 8  # every so many tokens, the assistant writes another one


@dataclass(frozen=True)
class Shape:
    """Sizes of a Whisper checkpoint. assistant_layers: decoder layers of its assistant, 0 without one."""

    name: str
    width: int
    heads: int
    encoder_layers: int
    decoder_layers: int
    mels: int = 128
    assistant_layers: int = 0
    vocabulary: int = 51_866

    def bound(self, rows: int, tokens: int) -> float:
        """Return how many seconds of audio an H100 transcribes per second at most, in batches of so many windows.

        The encoder is limited by arithmetic. A decoding step is limited by reading: the weights once for all rows, and
        the encoder's keys and values for each row.
        """
        encoder = self._encoder_flops() / _FLOPS
        step = (self._decoder_bytes() / rows + self._cross_kv_bytes()) / _BYTES
        return WINDOW / (encoder + tokens * step)

    def _encoder_flops(self) -> float:
        """Return the operations of a window: convolutions, layers, and the keys and values for the decoder."""
        width = self.width
        convolutions = 2 * 2 * FRAMES * 3 * self.mels * width + 2 * FRAMES * 3 * width**2
        layer = 2 * FRAMES * 12 * width**2 + 4 * FRAMES**2 * width
        return convolutions + self.encoder_layers * layer + self.decoder_layers * 2 * FRAMES * 2 * width**2

    def _decoder_bytes(self) -> float:
        return 2 * (self.decoder_layers * 14 * self.width**2 + self.vocabulary * self.width)

    def _cross_kv_bytes(self) -> float:
        return 2 * self.decoder_layers * 2 * FRAMES * self.width


LARGE_V3_TURBO = Shape("large-v3-turbo", 1280, 20, 32, 4)
LARGE_V3 = Shape("large-v3", 1280, 20, 32, 32, assistant_layers=2)
TINY = Shape("tiny", 256, 4, 1, 2, assistant_layers=1, vocabulary=3000)  # a smaller width would not write the script


def make_models(shape: Shape, folder: Path, device: str) -> None:
    """Save a model with random weights that writes the same hundred tokens in every window, and its assistant.

    `folder` gets model, assistant and script.json. The assistant has the encoder of the model, as distil-large-v3 has,
    and writes the same tokens but for every eighth one.
    """
    torch.manual_seed(0)
    tokenizer = _padded_tokenizer(shape.vocabulary)
    script = [*make_script(tokenizer), tokenizer.eos_token_id]
    model = _random_model(shape, shape.decoder_layers, tokenizer, device)
    set_script(model.model.decoder, script)
    set_positions(model.model.decoder, script, _POSITION_SCALE)
    _save(model, tokenizer, shape, folder / "model")
    text = [token for token in script if token < tokenizer.eos_token_id]
    (folder / "script.json").write_text(json.dumps({"text": text, "end": tokenizer.eos_token_id}))
    if shape.assistant_layers:
        encoder, tokens = model.model.encoder.state_dict(), model.model.decoder.embed_tokens.weight.data
        assistant = _random_model(shape, shape.assistant_layers, tokenizer, device)
        assistant.model.encoder.load_state_dict(encoder)
        wrong = [token + (number % _WRONG_EVERY == 1) for number, token in enumerate(script)]
        assistant.model.decoder.embed_tokens.weight.data.copy_(tokens)
        set_positions(assistant.model.decoder, wrong, _POSITION_SCALE)
        _save(assistant, tokenizer, shape, folder / "assistant")


def _random_model(shape: Shape, decoder_layers: int, tokenizer: Any, device: str) -> Any:
    from transformers import WhisperConfig, WhisperForConditionalGeneration

    end = tokenizer.eos_token_id
    config = WhisperConfig(
        vocab_size=shape.vocabulary, num_mel_bins=shape.mels, d_model=shape.width, encoder_layers=shape.encoder_layers,
        encoder_attention_heads=shape.heads, encoder_ffn_dim=4 * shape.width, decoder_layers=decoder_layers,
        decoder_attention_heads=shape.heads, decoder_ffn_dim=4 * shape.width, pad_token_id=end, bos_token_id=end,
        eos_token_id=end, decoder_start_token_id=end + 1,
    )  # fmt: skip
    with torch.device(device):
        return WhisperForConditionalGeneration(config)


def _save(model: Any, tokenizer: Any, shape: Shape, folder: Path) -> None:
    from transformers import WhisperFeatureExtractor

    from tools.checkpoint import save_checkpoint

    save_checkpoint(model, tokenizer, folder, ((model.config.decoder_layers - 1, 0),))
    WhisperFeatureExtractor(feature_size=shape.mels).save_pretrained(folder)


def _padded_tokenizer(size: int) -> Any:
    """Return the demo's tokenizer with so many tokens; the added ones are no text."""
    from transformers import WhisperTokenizerFast

    from tools.tokenizer import CONTROLS, TIMESTAMPS

    model = json.loads((MODEL / "tokenizer.json").read_text())["model"]
    vocabulary: dict[str, int] = model["vocab"]
    count = size - len(CONTROLS) - len(TIMESTAMPS)
    vocabulary |= {f"unused {number}": number for number in range(len(vocabulary), count)}
    names = ("unk_token", "bos_token", "eos_token", "pad_token")
    tokenizer = WhisperTokenizerFast(
        vocab=vocabulary, merges=[tuple(pair) for pair in model["merges"]], **dict.fromkeys(names, CONTROLS[0])
    )
    tokenizer.add_special_tokens({"additional_special_tokens": CONTROLS[1:]})
    tokenizer.add_tokens(TIMESTAMPS)
    return tokenizer
