"""Writes a trained model as a checkpoint that plain transformers loads, fp16, with everything Whisper has."""

from pathlib import Path

import torch
from transformers import (
    GenerationConfig,
    WhisperFeatureExtractor,
    WhisperForConditionalGeneration,
    WhisperProcessor,
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
    WhisperProcessor(WhisperFeatureExtractor(feature_size=80), tokenizer).save_pretrained(folder)
    model.float()


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
