"""Save a trained model as a complete fp16 Whisper checkpoint that plain transformers loads."""

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
    """Save model, processor and generation config. alignment_heads: pairs of (decoder layer, head)."""
    model.generation_config = generation_config(tokenizer, alignment_heads)
    for name in ("suppress_tokens", "begin_suppress_tokens"):
        setattr(model.config, name, None)
    model.half().save_pretrained(folder)
    model.float()
    save_processor(tokenizer, folder)


def save_processor(tokenizer: WhisperTokenizerFast, folder: Path) -> None:
    """Save feature extractor and tokenizer under the file names of OpenAI's checkpoints.

    transformers 4 and 5 both read these files. transformers 4 cannot read the files that version 5 writes by itself.
    """
    WhisperFeatureExtractor(feature_size=80).save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    saved = json.loads((folder / "tokenizer.json").read_text())
    model = saved["model"]
    merges = [pair if isinstance(pair, str) else " ".join(pair) for pair in model["merges"]]
    _write_json(folder / "vocab.json", model["vocab"])
    (folder / "merges.txt").write_text("\n".join(["#version: 0.2", *merges]) + "\n")
    added_tokens = {str(token.pop("id")): token for token in saved["added_tokens"]}
    special_tokens = [token["content"] for token in added_tokens.values() if token["special"]]
    end = "<|endoftext|>"
    _write_json(
        folder / "tokenizer_config.json",
        {
            "bos_token": end,
            "eos_token": end,
            "unk_token": end,
            "pad_token": end,
            "additional_special_tokens": [token for token in special_tokens if token != end],
            "added_tokens_decoder": added_tokens,
            "add_prefix_space": False,
            "clean_up_tokenization_spaces": False,
            "errors": "replace",
            "model_max_length": 1024,
            "processor_class": "WhisperProcessor",
            "return_attention_mask": False,
            "tokenizer_class": "WhisperTokenizer",
        },
    )


def _write_json(path: Path, value: object) -> None:
    path.write_text(json.dumps(value, ensure_ascii=False, indent=1) + "\n")


def generation_config(
    tokenizer: WhisperTokenizerFast, alignment_heads: tuple[tuple[int, int], ...]
) -> GenerationConfig:
    """Return the config with languages, tasks, suppressed tokens and alignment heads."""
    ids = tokenizer.get_vocab()
    end = ids["<|endoftext|>"]
    controls = [ids[name] for name in ("<|startoftranscript|>", "<|translate|>", "<|transcribe|>",
                                       "<|startoflm|>", "<|startofprev|>", "<|nospeech|>")]  # fmt: skip
    first_language, after_languages = ids["<|startoftranscript|>"] + 1, ids["<|translate|>"]
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
        suppress_tokens=sorted([*controls, *range(first_language, after_languages)]),
        begin_suppress_tokens=[ids["Ġ"]] if "Ġ" in ids else None,
        return_timestamps=False,
    )


def load_weights(path: Path) -> dict[str, torch.Tensor]:
    """Return the model's weights from a saved training state."""
    weights: dict[str, torch.Tensor] = torch.load(path)["model"]
    return weights
