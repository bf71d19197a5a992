"""Network: the encoder and the decoder of an exported checkpoint, run by onnxruntime."""

import os
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import onnxruntime

from transcription.audio import Samples
from transcription.engines.edge import files
from transcription.engines.edge.checkpoint import ExportedCheckpoint
from transcription.engines.edge.features import LogMelFeatures
from transcription.errors import InvalidSettings

Array = npt.NDArray[np.float32]


@dataclass(frozen=True)
class Pass:
    """What one pass of the decoder returns.

    logits: (rows, wanted, vocabulary). attention: of the alignment heads (rows, heads, queries, frames). memory: keys
    and values of self-attention, per layer, each (rows, heads, length, head width).
    """

    logits: Array
    attention: Array
    memory: list[Array]


class Network:
    """Three sessions of onnxruntime. Not for several threads at a time."""

    def __init__(self, checkpoint: ExportedCheckpoint) -> None:
        """Load the graphs.

        Raises InvalidSettings if they cannot be loaded.
        """
        folder, description = checkpoint.folder, checkpoint.description
        options = _options()
        try:
            self._encoder, self._cross, self._decoder = (
                onnxruntime.InferenceSession(str(folder / name), options, providers=["CPUExecutionProvider"])
                for name in (files.ENCODER, files.CROSS, files.DECODER)
            )
            # Mapped, not loaded: a window reads some hundred rows of it.
            self._tokens = np.load(folder / files.TOKEN_EMBEDDING, mmap_mode="r")
            self._positions: Array = np.load(folder / files.POSITION_EMBEDDING)
            filters = np.load(folder / files.MEL_FILTERS)
        except Exception:  # onnxruntime's own errors have no common class, and their messages have paths
            raise InvalidSettings(
                "the exported checkpoint cannot be loaded: export it again, or install a newer onnxruntime"
            ) from None
        self._features = LogMelFeatures(filters, description.n_fft, description.hop, description.n_samples)
        config = description.config
        self._layers, heads = config["decoder_layers"], config["decoder_attention_heads"]
        self._past = [f"past_{kind}_{number}" for number in range(self._layers) for kind in ("key", "value")]
        self._cross_names = [one.name for one in self._cross.get_outputs()]
        self._present = [name.replace("past", "present") for name in self._past]
        self._memory_shape = heads, 0, config["d_model"] // heads
        self.positions: int = config["max_target_positions"]

    def encode(self, samples: Samples) -> Array:
        """Return the states (1, frames, width) of at most 30 s of samples at 16 kHz."""
        return _array(self._encoder.run(["states"], {"features": self._features(samples)})[0])

    def cross_memory(self, states: Array) -> list[Array]:
        """Return the keys and values of cross-attention of states (windows, frames, width), per layer."""
        return [_array(value) for value in self._cross.run(self._cross_names, {"states": states})]

    def empty_memory(self, rows: int) -> list[Array]:
        """Return the memory of self-attention before the first token."""
        heads, length, width = self._memory_shape
        return [np.zeros((rows, heads, length, width), np.float32)] * (2 * self._layers)

    def read(
        self, tokens: npt.NDArray[np.int64], first: npt.NDArray[np.int64], wanted: Sequence[Sequence[int]],
        memory: Sequence[Array], cross: Sequence[Array],
    ) -> Pass:  # fmt: skip
        """Read tokens (rows, queries), and return what follows and the new memory.

        first (rows,): how many positions of each row are padding, on the left. wanted: the queries of each row whose
        logits are returned.
        """
        places = np.arange(tokens.shape[1]) + memory[0].shape[2] - first[:, None]
        embedded = self._tokens[tokens].astype(np.float32, copy=False) + self._positions[np.maximum(places, 0)]
        feeds: dict[str, Any] = {
            "embedded": embedded, "first": first, "wanted": np.array(wanted, np.int64)[..., None],
            **dict(zip(self._past, memory, strict=True)), **dict(zip(self._cross_names, cross, strict=True)),
        }  # fmt: skip
        logits, attention, *present = self._decoder.run(["logits", "attention", *self._present], feeds)
        return Pass(_array(logits), _array(attention), [_array(value) for value in present])


def _options() -> onnxruntime.SessionOptions:
    options = onnxruntime.SessionOptions()
    # OMP_NUM_THREADS limits torch, and whoever sets it means this too; onnxruntime itself does not read it.
    options.intra_op_num_threads = int(os.environ.get("OMP_NUM_THREADS") or 0)
    options.inter_op_num_threads = 1
    options.enable_cpu_mem_arena = False  # it keeps the encoder's largest memory while the decoder runs
    options.add_session_config_entry("session.intra_op.allow_spinning", "0")  # leave the cores to others
    options.log_severity_level = 3
    return options


def _array(value: Any) -> Array:
    return np.asarray(value, np.float32)
