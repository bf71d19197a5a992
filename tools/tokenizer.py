"""The demo tokenizer: byte-level BPE in which every vocabulary word is one token, then Whisper's own
special tokens in Whisper's own order (openai/whisper, tokenizer.py)."""

import json
import random
import tempfile
from pathlib import Path

from tokenizers import Tokenizer, models, pre_tokenizers, trainers
from transformers import WhisperTokenizerFast
from transformers.models.whisper.tokenization_whisper import LANGUAGES

from tools.sentences import VOCABULARY, Language, sentence

TIMESTAMPS = [f"<|{index * 0.02:.2f}|>" for index in range(1501)]
CONTROLS = [
    "<|endoftext|>",
    "<|startoftranscript|>",
    *(f"<|{code}|>" for code in list(LANGUAGES)[:99]),
    "<|translate|>",
    "<|transcribe|>",
    "<|startoflm|>",
    "<|startofprev|>",
    "<|nospeech|>",
    "<|notimestamps|>",
]


def build_tokenizer() -> WhisperTokenizerFast:
    """The tokenizer, the same at every call."""
    rng = random.Random(0)
    languages: tuple[Language, ...] = ("en", "de")
    lines = [" " + sentence(rng, code, "train").text for code in languages for _ in range(6000)]
    words = [f" {word}" for code in languages for word in VOCABULARY[code]]
    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    trainer = trainers.BpeTrainer(
        vocab_size=3000,
        min_frequency=2,
        initial_alphabet=sorted(pre_tokenizers.ByteLevel.alphabet()),
        show_progress=False,
    )
    tokenizer.train_from_iterator(lines + words * 2, trainer)
    model = json.loads(tokenizer.to_str())["model"]
    with tempfile.TemporaryDirectory() as folder:
        vocabulary, merges = Path(folder, "vocab.json"), Path(folder, "merges.txt")
        vocabulary.write_text(json.dumps(model["vocab"], ensure_ascii=False))
        merges.write_text("\n".join(" ".join(pair) for pair in model["merges"]))
        built = WhisperTokenizerFast(
            vocab=model["vocab"],
            merges=[tuple(pair) for pair in model["merges"]],
            unk_token="<|endoftext|>",
            bos_token="<|endoftext|>",
            eos_token="<|endoftext|>",
            pad_token="<|endoftext|>",
        )
    built.add_special_tokens({"additional_special_tokens": CONTROLS[1:]})
    built.add_tokens(TIMESTAMPS)
    return built
