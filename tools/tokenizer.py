"""The demo tokenizer: byte-level BPE with one token for each vocabulary word, and Whisper's special tokens.

The special tokens have the order of openai/whisper, tokenizer.py.
"""

import json
import random

from tokenizers import Tokenizer, models, pre_tokenizers, trainers
from transformers import WhisperTokenizerFast
from transformers.models.whisper.tokenization_whisper import LANGUAGES

from tools.sentences import VOCABULARY, Language, random_sentence

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
    """Return the tokenizer; every call returns the same."""
    rng = random.Random(0)
    languages: tuple[Language, ...] = ("en", "de")
    lines = [" " + random_sentence(rng, code, "train").text for code in languages for _ in range(6000)]
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
    whisper_tokenizer = WhisperTokenizerFast(
        vocab=model["vocab"],
        merges=[tuple(pair) for pair in model["merges"]],
        unk_token="<|endoftext|>",
        bos_token="<|endoftext|>",
        eos_token="<|endoftext|>",
        pad_token="<|endoftext|>",
    )
    whisper_tokenizer.add_special_tokens({"additional_special_tokens": CONTROLS[1:]})
    whisper_tokenizer.add_tokens(TIMESTAMPS)
    return whisper_tokenizer
