"""Parameters of a request that a live session does not know."""

WITHOUT_EFFECT = frozenset(
    {"timestamps", "sampling_rate", "multichannel", "vad_filter", "vad_threshold", "vad_silence_ms", "vad_padding_ms",
     "chunk_length_s", "sequential", "batch_size", "align", "turns"}
)  # fmt: skip
"""Names of InferenceConfig. A turn is short, so nothing in it is cut or batched."""
