"""The files of an exported checkpoint, and what both the export and the engine know of them."""

import json
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from transcription.errors import InvalidSettings

ENCODER, CROSS, DECODER = "encoder.onnx", "cross.onnx", "decoder.onnx"
TOKENIZER, TOKEN_EMBEDDING, POSITION_EMBEDDING, MEL_FILTERS = (
    "tokenizer.json", "token_embedding.npy", "position_embedding.npy", "mel_filters.npy",
)  # fmt: skip
DESCRIPTION = "export.json"
VERSION = 1


@dataclass(frozen=True)
class Description:
    """What export.json says of a checkpoint.

    precision: of the weights, float32 or int8. n_fft, hop: samples of a transform, and between two of them. n_samples:
    of a window. config, generation: of transformers.
    """

    version: int
    precision: str
    n_fft: int
    hop: int
    n_samples: int
    config: dict[str, Any]
    generation: dict[str, Any]

    def save(self, folder: Path) -> None:
        """Write export.json."""
        (folder / DESCRIPTION).write_text(json.dumps(asdict(self), indent=1) + "\n", encoding="utf-8")

    @classmethod
    def load(cls, folder: Path) -> "Description":
        """Read export.json.

        Raises InvalidSettings if it is not there, or of another version.
        """
        again = "write it with transcribe-export MODEL DIR, and set ASR_MODEL to DIR"
        try:
            description = cls(**json.loads((folder / DESCRIPTION).read_text(encoding="utf-8")))
        except (OSError, ValueError, TypeError):
            raise InvalidSettings(f"ENGINE=onnx needs a directory with an exported checkpoint: {again}") from None
        if description.version != VERSION:
            raise InvalidSettings(f"the exported checkpoint is of another version: {again}")
        return description
