"""Compare our engine with other libraries on a model of whisper-base's size: `python -m benchmarks.base_size`.

The model has random weights, except for the decoder's position embedding, which makes it write a fixed script: the same
hundred tokens in every window, whatever the audio. So every contender writes the same tokens at any precision, with the
arithmetic of a real model. A contender that writes anything else is an error. The model has the vocabulary of the
original, so openai-whisper is a contender too. Contenders alternate as in `benchmarks.engines`.
"""

import argparse
import json
import tempfile
from collections.abc import Callable
from dataclasses import asdict
from functools import reduce
from pathlib import Path
from typing import Any

import torch

from benchmarks.engines import NO_PREVIOUS_TEXT, fastest, long, medians, run_processes, short
from benchmarks.peers import (
    Contender,
    Result,
    convert,
    faster_whisper,
    openai_whisper,
    ours,
    transformers_pipeline,
)
from transcription.audio import SAMPLE_RATE, Samples

END = 50257
"""End of text of the original vocabulary; all smaller tokens are text."""
PROMPT = 3
"""Tokens before the script: start, language, task."""
SEGMENTS, SEGMENT_SECONDS, SEGMENT_TOKENS = 5, 6, 18  # of the script; SEGMENT_TOKENS without timestamps
POSITION_SCALE = 64.0  # makes the position outweigh the previous token in the logits
WITH_TIMESTAMPS = {"without_timestamps": False}  # as all other contenders

# Replacements that turn a weight's name in transformers into that of the original, applied in order.
ORIGINAL_NAMES = {
    ".layers.": ".blocks.", "self_attn_layer_norm": "attn_ln", "encoder_attn_layer_norm": "cross_attn_ln",
    "final_layer_norm": "mlp_ln", "encoder.layer_norm": "encoder.ln_post", "decoder.layer_norm": "decoder.ln",
    "self_attn": "attn", "encoder_attn": "cross_attn", "q_proj": "query", "k_proj": "key", "v_proj": "value",
    "out_proj": "out", "fc1": "mlp.0", "fc2": "mlp.2", "embed_tokens": "token_embedding",
    "embed_positions.weight": "positional_embedding",
}  # fmt: skip

CONTENDERS: dict[str, Callable[[Path], Contender]] = {
    "ours": lambda folder: ours(folder / "model"),
    "ours, int8": lambda folder: ours(folder / "model", quantization="int8"),
    "pipeline, num_beams=1": lambda folder: transformers_pipeline(folder / "model", 1),
    "pipeline, num_beams=1, windows that do not overlap": lambda folder: transformers_pipeline(
        folder / "model", 1, stride_length_s=0
    ),
    "faster-whisper": lambda folder: faster_whisper(folder, "float32", **NO_PREVIOUS_TEXT),
    "faster-whisper, int8": lambda folder: faster_whisper(folder, "int8", **NO_PREVIOUS_TEXT),
    "faster-whisper, batch 8": lambda folder: faster_whisper(folder, "float32", 8, **WITH_TIMESTAMPS),
    "faster-whisper, int8, batch 8": lambda folder: faster_whisper(folder, "int8", 8, **WITH_TIMESTAMPS),
    "openai-whisper": lambda folder: openai_whisper(folder / "original.pt", **NO_PREVIOUS_TEXT),
}
"""Functions that load a contender from the folder that `make_models` filled."""
FILES: dict[str, Callable[[], Samples]] = {
    "7 s": lambda: short()[0],
    "58 s": lambda: long()[0][: 58 * SAMPLE_RATE],  # two windows for every chunking
}
CALLS = {"7 s": 2, "58 s": 1}


def make_models(folder: Path) -> None:
    """Save the model in the formats of transformers, openai-whisper and faster-whisper, and the script."""
    from transformers import WhisperConfig, WhisperForConditionalGeneration

    from tools.checkpoint import save_checkpoint

    torch.manual_seed(0)
    tokenizer = original_tokenizer()
    model: Any = WhisperForConditionalGeneration(
        WhisperConfig(d_model=512, encoder_layers=6, decoder_layers=6, encoder_attention_heads=8,
                      decoder_attention_heads=8, encoder_ffn_dim=2048, decoder_ffn_dim=2048, pad_token_id=END,
                      bos_token_id=END, eos_token_id=END, decoder_start_token_id=END + 1)
    )  # fmt: skip
    script = [*make_script(tokenizer), END]
    set_script(model.model.decoder, script)
    save_checkpoint(model, tokenizer, folder / "model", ((5, 0),))
    torch.save(to_original(model), folder / "original.pt")
    convert(folder / "model", folder)
    (folder / "script.json").write_text(json.dumps([token for token in script if token < END]))


def original_tokenizer() -> Any:
    """Return the original vocabulary as a tokenizer of transformers."""
    import whisper
    from transformers import WhisperTokenizerFast
    from transformers.convert_slow_tokenizer import TikTokenConverter

    from tools.tokenizer import CONTROLS, TIMESTAMPS

    ranks = str(Path(whisper.__file__).parent / "assets" / "multilingual.tiktoken")
    vocabulary, merges = TikTokenConverter(ranks).extract_vocab_merges_from_model(ranks)
    names = ("unk_token", "bos_token", "eos_token", "pad_token")
    tokenizer = WhisperTokenizerFast(vocab=vocabulary, merges=merges, **dict.fromkeys(names, CONTROLS[0]))
    tokenizer.add_special_tokens({"additional_special_tokens": CONTROLS[1:]})
    tokenizer.add_tokens(TIMESTAMPS)
    return tokenizer


def make_script(tokenizer: Any) -> list[int]:
    """Return the tokens of a window: adjacent segments, each between two timestamps."""
    text = tokenizer(" " + long()[1], add_special_tokens=False).input_ids
    first = tokenizer.convert_tokens_to_ids("<|0.00|>")
    timestamps = [first + number * SEGMENT_SECONDS * 50 for number in range(SEGMENTS + 1)]
    script = []
    for number in range(SEGMENTS):
        words = text[number * SEGMENT_TOKENS : (number + 1) * SEGMENT_TOKENS]
        script += [timestamps[number], *words, timestamps[number + 1]]
    return script


def set_script(decoder: Any, script: list[int]) -> None:
    """Make the decoder write the script: the embedding of each position is that of the token to write there."""
    tokens = decoder.embed_tokens.weight.data
    tokens.normal_(std=tokens.shape[1] ** -0.5)
    set_positions(decoder, script)


def set_positions(decoder: Any, script: list[int], scale: float = POSITION_SCALE) -> None:
    """Set the position embedding alone, for tokens that are embedded already."""
    tokens, positions = decoder.embed_tokens.weight.data, decoder.embed_positions.weight.data
    positions[PROMPT - 1 : PROMPT - 1 + len(script)] = scale * tokens[script]


def to_original(model: Any) -> dict[str, Any]:
    """Return the model in the format of openai-whisper's `load_model`."""
    from whisper.model import ModelDimensions

    config = model.config
    dims = ModelDimensions(
        config.num_mel_bins, config.max_source_positions, config.d_model, config.encoder_attention_heads,
        config.encoder_layers, config.vocab_size, config.max_target_positions, config.d_model,
        config.decoder_attention_heads, config.decoder_layers,
    )  # fmt: skip
    weights = model.model.state_dict()
    return {"dims": asdict(dims), "model_state_dict": {original_name(name): weights[name] for name in weights}}


def original_name(name: str) -> str:
    """Return the original's name of a weight of transformers."""
    return reduce(lambda result, pair: result.replace(*pair), ORIGINAL_NAMES.items(), name)


def measure(contender: str, folder: Path) -> dict[str, dict[str, float]]:
    """Measure one contender on all files, in this process."""
    transcribe = CONTENDERS[contender](folder)
    script = json.loads((folder / "script.json").read_text())
    results = {}
    for file, load in FILES.items():
        samples = load()
        seconds, result = fastest(transcribe, samples, CALLS[file])
        results[file] = {
            "seconds": seconds,
            "speed": len(samples) / SAMPLE_RATE / seconds,
            "windows": count_windows(result, script),
        }
    return results


def count_windows(result: Result, script: list[int]) -> int:
    """Return how often the script was written.

    Raises SystemExit if anything else was written.
    """
    text = [token for token in result.tokens if token < END]
    count = len(text) // len(script)
    if not count or text != script * count:
        raise SystemExit(f"the tokens differ from the script: {result.text[:200]!r}")
    return count


def main() -> None:
    """Run the command."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=3, help="rounds over all contenders (default: %(default)s)")
    parser.add_argument("--contender", nargs=2, metavar=("NAME", "FOLDER"), help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.contender:
        print(json.dumps(measure(options.contender[0], Path(options.contender[1]))))
        return
    with tempfile.TemporaryDirectory() as folder:
        make_models(Path(folder))
        results = run_processes("benchmarks.base_size", CONTENDERS, options.rounds, folder)
    for file in FILES:
        print_table(file, {name: [round_[file] for round_ in rounds] for name, rounds in results.items()})


def print_table(file: str, results: dict[str, list[dict[str, float]]]) -> None:
    """Print the results of all contenders on one file."""
    print(f"\n| {file} | time | our time ÷ this | × real time | windows × tokens |\n|---|---|---|---|---|")
    for name, rounds in results.items():
        row = medians(rounds, results["ours"])
        print(
            f"| {name} | {row['seconds']:.2f} s | {row['ratio']:.2f} | {row['speed']:.1f} "
            f"| {row['windows']:.0f} × {SEGMENTS * (SEGMENT_TOKENS + 2)} |"
        )


if __name__ == "__main__":
    main()
