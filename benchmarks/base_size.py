"""Our engine and its peers on a model of whisper-base's size: `python -m benchmarks.base_size`.

Its weights are random, except that its positions spell a script: after the prompt, whatever it hears, it writes the
same hundred tokens in every window, and ends. So all contenders, called as ever, write the same tokens at any
precision and do the arithmetic of a real model; what was not the script, token by token, is an error here. The
original is a contender, as the vocabulary is its own. Contenders take turns as in `benchmarks.engines`.
"""

import argparse
import json
import statistics
import tempfile
from collections.abc import Callable
from dataclasses import asdict
from functools import reduce
from pathlib import Path
from typing import Any

import torch

from benchmarks.engines import APART, best, in_turn, long, short
from benchmarks.peers import Contender, WindowResponse, convert, faster_whisper, openai_whisper, ours, plain
from transcription.audio import SAMPLE_RATE, Samples

END = 50257
"""The original's end of text; every token below is text."""
PROMPT = 3
"""Tokens before the script: start, language, task."""
_SEGMENTS, _SECONDS, _WORDS = 5, 6, 18  # of a window; seconds and text tokens of a segment
_LOUD = 64.0  # a position's part in what is written, over the last token's
_STAMPED = {"without_timestamps": False}  # as all others

# transformers' names of weights → the original's, applied from the top.
_ORIGINAL = {
    ".layers.": ".blocks.", "self_attn_layer_norm": "attn_ln", "encoder_attn_layer_norm": "cross_attn_ln",
    "final_layer_norm": "mlp_ln", "encoder.layer_norm": "encoder.ln_post", "decoder.layer_norm": "decoder.ln",
    "self_attn": "attn", "encoder_attn": "cross_attn", "q_proj": "query", "k_proj": "key", "v_proj": "value",
    "out_proj": "out", "fc1": "mlp.0", "fc2": "mlp.2", "embed_tokens": "token_embedding",
    "embed_positions.weight": "positional_embedding",
}  # fmt: skip

CONTENDERS: dict[str, Callable[[Path], Contender]] = {
    "ours": lambda folder: ours(folder / "model"),
    "ours, int8": lambda folder: ours(folder / "model", quantization="int8"),
    "pipeline, num_beams=1": lambda folder: plain(folder / "model", 1),
    "pipeline, num_beams=1, windows that do not overlap": lambda folder: plain(folder / "model", 1, stride_length_s=0),
    "faster-whisper": lambda folder: faster_whisper(folder, "float32", **APART),
    "faster-whisper, int8": lambda folder: faster_whisper(folder, "int8", **APART),
    "faster-whisper, batch 8": lambda folder: faster_whisper(folder, "float32", 8, **_STAMPED),
    "faster-whisper, int8, batch 8": lambda folder: faster_whisper(folder, "int8", 8, **_STAMPED),
    "openai-whisper": lambda folder: openai_whisper(folder / "original.pt", **APART),
}
"""Each loads itself from the folder that `make` has filled."""
FILES: dict[str, Callable[[], Samples]] = {
    "7 s": lambda: short()[0],
    "58 s": lambda: long()[0][: 58 * SAMPLE_RATE],  # two windows, wherever they are cut
}
CALLS = {"7 s": 2, "58 s": 1}


def make(folder: Path) -> None:
    """The model as transformers, the original and faster-whisper load it, and the script."""
    from transformers import WhisperConfig, WhisperForConditionalGeneration

    from tools.checkpoint import save_checkpoint

    torch.manual_seed(0)
    tokenizer = original_tokenizer()
    model: Any = WhisperForConditionalGeneration(
        WhisperConfig(d_model=512, encoder_layers=6, decoder_layers=6, encoder_attention_heads=8,
                      decoder_attention_heads=8, encoder_ffn_dim=2048, decoder_ffn_dim=2048, pad_token_id=END,
                      bos_token_id=END, eos_token_id=END, decoder_start_token_id=END + 1)
    )  # fmt: skip
    script = [*written(tokenizer), END]
    spell(model.model.decoder, script)
    save_checkpoint(model, tokenizer, folder / "model", ((5, 0),))
    torch.save(as_original(model), folder / "original.pt")
    convert(folder / "model", folder)
    (folder / "script.json").write_text(json.dumps([token for token in script if token < END]))


def original_tokenizer() -> Any:
    """The original's vocabulary as transformers reads it."""
    import whisper
    from transformers import WhisperTokenizerFast
    from transformers.convert_slow_tokenizer import TikTokenConverter

    from tools.tokenizer import CONTROLS, TIMESTAMPS

    ranks = str(Path(whisper.__file__).parent / "assets" / "multilingual.tiktoken")
    vocabulary, merges = TikTokenConverter(ranks).extract_vocab_merges_from_model(ranks)
    names = ("unk_token", "bos_token", "eos_token", "pad_token")
    built = WhisperTokenizerFast(vocab=vocabulary, merges=merges, **dict.fromkeys(names, CONTROLS[0]))
    built.add_special_tokens({"additional_special_tokens": CONTROLS[1:]})
    built.add_tokens(TIMESTAMPS)
    return built


def written(tokenizer: Any) -> list[int]:
    """A window's tokens: segments on end, a time stamp on both sides of each."""
    text = tokenizer(" " + long()[1], add_special_tokens=False).input_ids
    first = tokenizer.convert_tokens_to_ids("<|0.00|>")
    stamps = [first + number * _SECONDS * 50 for number in range(_SEGMENTS + 1)]
    return [
        token
        for number in range(_SEGMENTS)
        for token in (stamps[number], *text[number * _WORDS : (number + 1) * _WORDS], stamps[number + 1])
    ]


def spell(decoder: Any, script: list[int]) -> None:
    """Makes the decoder write the script: each position means the token that follows it there."""
    tokens, positions = decoder.embed_tokens.weight.data, decoder.embed_positions.weight.data
    tokens.normal_(std=tokens.shape[1] ** -0.5)
    positions[PROMPT - 1 : PROMPT - 1 + len(script)] = _LOUD * tokens[script]


def as_original(model: Any) -> dict[str, Any]:
    """The model as openai-whisper's `load_model` reads it."""
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
    """What the original calls the weight that transformers calls `name`."""
    return reduce(lambda so_far, pair: so_far.replace(*pair), _ORIGINAL.items(), name)


def measure(contender: str, folder: Path) -> dict[str, dict[str, float]]:
    """One contender on all files, in this process."""
    transcribe = CONTENDERS[contender](folder)
    script = json.loads((folder / "script.json").read_text())
    found = {}
    for file, load in FILES.items():
        samples = load()
        seconds, said = best(transcribe, samples, CALLS[file])
        found[file] = {
            "seconds": seconds,
            "speed": len(samples) / SAMPLE_RATE / seconds,
            "windows": windows(said, script),
        }
    return found


def windows(said: WindowResponse, script: list[int]) -> int:
    """How many windows were written, each of them the script's text and nothing else."""
    text = [token for token in said.tokens if token < END]
    count = len(text) // len(script)
    if not count or text != script * count:
        raise SystemExit(f"not the script: {said.text[:200]!r}")
    return count


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--one", nargs=2, metavar=("CONTENDER", "FOLDER"), help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.one:
        print(json.dumps(measure(options.one[0], Path(options.one[1]))))
        return
    with tempfile.TemporaryDirectory() as folder:
        make(Path(folder))
        found = in_turn("benchmarks.base_size", CONTENDERS, options.rounds, folder)
    for file in FILES:
        _print(file, {name: [result[file] for result in results] for name, results in found.items()})


def _print(file: str, found: dict[str, list[dict[str, float]]]) -> None:
    print(f"\n| {file} | time | our time ÷ this | × real time | windows × tokens |\n|---|---|---|---|---|")
    for name, results in found.items():
        row = {key: statistics.median(result[key] for result in results) for key in results[0]}
        ratio = statistics.median(
            our["seconds"] / their["seconds"] for our, their in zip(found["ours"], results, strict=True)
        )
        print(
            f"| {name} | {row['seconds']:.2f} s | {ratio:.2f} | {row['speed']:.1f} "
            f"| {row['windows']:.0f} × {_SEGMENTS * (_WORDS + 2)} |"
        )


if __name__ == "__main__":
    main()
