"""ExportedCheckpoint: what transcribe-export wrote, loaded without torch."""

from dataclasses import dataclass
from pathlib import Path
from types import SimpleNamespace
from typing import Any

from tokenizers import Tokenizer

from transcription.engines.edge import files
from transcription.errors import InvalidSettings


@dataclass(frozen=True)
class _Model:
    """The configurations of a checkpoint, under transformers' names."""

    config: SimpleNamespace
    generation_config: SimpleNamespace


@dataclass(frozen=True)
class ExportedCheckpoint:
    """A checkpoint for whisper.checkpoint.Whisper."""

    model: _Model
    tokenizer: "EdgeTokenizer"
    description: files.Description
    folder: Path

    @classmethod
    def load(cls, folder: Path) -> "ExportedCheckpoint":
        """Load all but the networks.

        Raises InvalidSettings if a file is missing or cannot be read.
        """
        description = files.Description.load(folder)
        try:
            tokenizer = Tokenizer.from_file(str(folder / files.TOKENIZER))
        except Exception:  # the library raises nothing narrower
            raise InvalidSettings(
                f"{files.TOKENIZER} of the exported checkpoint cannot be read: export again"
            ) from None
        model = _Model(SimpleNamespace(**description.config), SimpleNamespace(**description.generation))
        return cls(model, EdgeTokenizer(tokenizer), description, folder)


class EdgeTokenizer:
    """A tokenizer of the library tokenizers, with those methods of transformers' tokenizers that are called."""

    def __init__(self, tokenizer: Tokenizer) -> None:
        """Use a tokenizer."""
        self._tokenizer = tokenizer

    def __call__(self, text: str, add_special_tokens: bool = True, verbose: bool = True) -> SimpleNamespace:
        """Return the tokens of a text as `input_ids`. `verbose` has no effect."""
        return SimpleNamespace(input_ids=self._tokenizer.encode(text, add_special_tokens=add_special_tokens).ids)

    def get_vocab(self) -> dict[str, int]:
        """Return token → id, special tokens too."""
        return dict(self._tokenizer.get_vocab(with_added_tokens=True))

    def decode(self, tokens: list[int], clean_up_tokenization_spaces: bool = False) -> str:
        """Return the text of tokens as they are; `clean_up_tokenization_spaces` has no effect."""
        return str(self._tokenizer.decode(tokens, skip_special_tokens=False))

    def convert_ids_to_tokens(self, token: int) -> Any:
        """Return a token as the vocabulary writes it."""
        return self._tokenizer.id_to_token(token)
