"""Write a Whisper checkpoint as ONNX graphs, with all that the engine reads beside them. This needs torch and onnx."""

from pathlib import Path
from typing import Any

import numpy as np
import torch
import transformers

from transcription.config import ModelSettings
from transcription.engines.edge import files
from transcription.engines.edge.networks import cross_graph, decoder_graph, encoder_graph
from transcription.errors import InvalidSettings
from transcription.whisper.checkpoint import Whisper
from transcription.whisper.loading import Checkpoint, load_checkpoint

_CONFIG = ("decoder_attention_heads", "decoder_layers", "d_model", "max_target_positions", "vocab_size")
_GENERATION = (
    "alignment_heads", "begin_suppress_tokens", "lang_to_id", "max_initial_timestamp_index", "no_timestamps_token_id",
    "suppress_tokens", "task_to_id",
)  # fmt: skip


def export(settings: ModelSettings, folder: Path, int8: bool = False) -> None:
    """Write ASR_MODEL into a folder.

    int8: 8-bit weights, with one scale for each block of 128. One scale for each column is faster in the encoder, and
    its text is worse (benchmarks/README.md, Small devices).
    Raises InvalidSettings if the model cannot be loaded, or the files cannot be written.
    """
    checkpoint = load_checkpoint(settings.model_copy(update={"device": "cpu", "dtype": "float32"}))
    model: Any = checkpoint.model
    if model.config.activation_function != "gelu":
        raise InvalidSettings("ASR_MODEL has another activation than GELU: choose a Whisper checkpoint")
    heads = Whisper(checkpoint, assisted=False).alignment_heads()
    linear = "int8-blocks" if int8 else "float32"
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with torch.inference_mode():
            encoder_graph(model, linear).save(folder / files.ENCODER)
            cross_graph(model, linear).save(folder / files.CROSS)
            decoder_graph(model, heads, linear).save(folder / files.DECODER)
            _save_tables(checkpoint, folder, int8)
        _tokenizer(settings).save(str(folder / files.TOKENIZER))
        _describe(checkpoint, "int8" if int8 else "float32").save(folder)
    except OSError as error:
        raise InvalidSettings(f"the directory cannot be written: {error.strerror}") from None


def _save_tables(checkpoint: Checkpoint, folder: Path, int8: bool) -> None:
    """Write the embeddings and the filters. The tokens' embedding is large; in 8 bits it is half as large."""
    decoder: Any = checkpoint.model.model.decoder
    scale = checkpoint.model.config.d_model**0.5 if checkpoint.model.config.scale_embedding else 1.0
    tokens = decoder.embed_tokens.weight.numpy() * np.float32(scale)
    np.save(folder / files.TOKEN_EMBEDDING, tokens.astype(np.float16) if int8 else tokens)
    np.save(folder / files.POSITION_EMBEDDING, decoder.embed_positions.weight.numpy())
    np.save(folder / files.MEL_FILTERS, np.asarray(checkpoint.feature_extractor.mel_filters, np.float32).T)


def _tokenizer(settings: ModelSettings) -> Any:
    """Return the tokenizer of the library tokenizers."""
    token = settings.hf_token.get_secret_value() if settings.hf_token else None
    revision = settings.asr_revision or "main"
    tokenizer: Any = transformers.AutoTokenizer.from_pretrained(settings.asr_model, revision=revision, token=token)
    return tokenizer.backend_tokenizer


def _describe(checkpoint: Checkpoint, precision: str) -> files.Description:
    extractor = checkpoint.feature_extractor
    model: Any = checkpoint.model
    generation = {name: getattr(model.generation_config, name, None) for name in _GENERATION}
    return files.Description(
        files.VERSION, precision, extractor.n_fft, extractor.hop_length, extractor.n_samples,
        {name: getattr(model.config, name) for name in _CONFIG},
        {name: value for name, value in generation.items() if value is not None},
    )  # fmt: skip
