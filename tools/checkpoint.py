"""Writes a trained model as a checkpoint that plain transformers loads, fp16, with everything Whisper has."""

import json
from pathlib import Path

import torch
from transformers import (
    GenerationConfig,
    WhisperFeatureExtractor,
    WhisperForConditionalGeneration,
    WhisperTokenizerFast,
)

LANGUAGES = ("en", "de")


def save_checkpoint(
    model: WhisperForConditionalGeneration,
    tokenizer: WhisperTokenizerFast,
    folder: Path,
    alignment_heads: tuple[tuple[int, int], ...],
) -> None:
    """Model, processor and generation config into `folder`."""
    model.generation_config = generation_config(tokenizer, alignment_heads)
    for name in ("suppress_tokens", "begin_suppress_tokens"):
        setattr(model.config, name, None)
    model.half().save_pretrained(folder)
    model.float()
    save_processor(tokenizer, folder)


def save_processor(tokenizer: WhisperTokenizerFast, folder: Path) -> None:
    """Feature extractor and tokenizer in the files of OpenAI's own checkpoints.

    transformers 4 and 5 both read these; what 5 writes by itself, 4 cannot read.
    """
    WhisperFeatureExtractor(feature_size=80).save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    whole = json.loads((folder / "tokenizer.json").read_text())
    model = whole["model"]
    merges = [pair if isinstance(pair, str) else " ".join(pair) for pair in model["merges"]]
    _write(folder / "vocab.json", model["vocab"])
    (folder / "merges.txt").write_text("\n".join(["#version: 0.2", *merges]) + "\n")
    added = {str(token.pop("id")): token for token in whole["added_tokens"]}
    special = [token["content"] for token in added.values() if token["special"]]
    end = "<|endoftext|>"
    names = {"bos_token": end, "eos_token": end, "unk_token": end, "pad_token": end}
    _write(
        folder / "tokenizer_config.json",
        {
            **names,
            "additional_special_tokens": [token for token in special if token != end],
            "added_tokens_decoder": added,
            "add_prefix_space": False,
            "clean_up_tokenization_spaces": False,
            "errors": "replace",
            "model_max_length": 1024,
            "processor_class": "WhisperProcessor",
            "return_attention_mask": False,
            "tokenizer_class": "WhisperTokenizer",
        },
    )


def _write(path: Path, value: object) -> None:
    path.write_text(json.dumps(value, ensure_ascii=False, indent=1) + "\n")


def generation_config(
    tokenizer: WhisperTokenizerFast, alignment_heads: tuple[tuple[int, int], ...]
) -> GenerationConfig:
    """What Whisper's generate() and our engines read: languages, tasks, suppressed tokens, heads."""
    ids = tokenizer.get_vocab()
    end = ids["<|endoftext|>"]
    controls = [ids[name] for name in ("<|startoftranscript|>", "<|translate|>", "<|transcribe|>",
                                       "<|startoflm|>", "<|startofprev|>", "<|nospeech|>")]  # fmt: skip
    first, last = ids["<|startoftranscript|>"] + 1, ids["<|translate|>"]
    return GenerationConfig(
        bos_token_id=end,
        eos_token_id=end,
        pad_token_id=end,
        decoder_start_token_id=ids["<|startoftranscript|>"],
        max_length=448,
        is_multilingual=True,
        lang_to_id={f"<|{code}|>": ids[f"<|{code}|>"] for code in LANGUAGES},
        task_to_id={name: ids[f"<|{name}|>"] for name in ("translate", "transcribe")},
        no_timestamps_token_id=ids["<|notimestamps|>"],
        prev_sot_token_id=ids["<|startofprev|>"],
        max_initial_timestamp_index=50,
        alignment_heads=[list(head) for head in alignment_heads],
        suppress_tokens=sorted([*controls, *range(first, last)]),
        begin_suppress_tokens=[ids["Ġ"]] if "Ġ" in ids else None,
        return_timestamps=False,
    )


def load_state(path: Path) -> dict[str, torch.Tensor]:
    """The model's weights out of a training state."""
    state: dict[str, torch.Tensor] = torch.load(path)["model"]
    return state
