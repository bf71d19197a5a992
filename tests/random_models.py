"""Whisper models of random weights and many shapes, for the tests of the decoders."""

import torch
from transformers import GenerationConfig, WhisperConfig, WhisperForConditionalGeneration

from transcription.whisper.tokens import Vocabulary

TEXT = 500
LANGUAGES, TASKS = {"<|en|>": TEXT + 2, "<|de|>": TEXT + 3}, {"transcribe": TEXT + 4, "translate": TEXT + 5}
VOCABULARY = Vocabulary(
    start=TEXT + 1, end=TEXT, no_timestamps=TEXT + 8, previous=TEXT + 6, no_speech=TEXT + 7,
    languages={"en": TEXT + 2, "de": TEXT + 3}, tasks=TASKS, first_timestamp=TEXT + 9,
)  # fmt: skip
SUPPRESSED, SUPPRESSED_FIRST, MAX_INITIAL = [7, TEXT + 1, TEXT + 6], [11, TEXT], 50

SHAPES = {
    "tiny": {"d_model": 48, "encoder_layers": 1, "decoder_layers": 4, "heads": 6, "mels": 80},
    "large-v3": {"d_model": 80, "encoder_layers": 1, "decoder_layers": 8, "heads": 20, "mels": 128},
    "turbo": {"d_model": 80, "encoder_layers": 2, "decoder_layers": 2, "heads": 20, "mels": 128},
}


def random_model(shape: dict[str, int], seed: int) -> WhisperForConditionalGeneration:
    """Return random weights, large enough that tokens differ from window to window.

    shape: one of SHAPES. positions: tokens of a window, 448 if absent; frames: of the encoder, 1500 if absent.
    """
    torch.manual_seed(seed)
    width = shape["d_model"]
    model = WhisperForConditionalGeneration(
        WhisperConfig(
            vocab_size=TEXT + 9 + 1501, num_mel_bins=shape["mels"], d_model=width, init_std=0.25,
            encoder_layers=shape["encoder_layers"], encoder_attention_heads=shape["heads"], encoder_ffn_dim=2 * width,
            decoder_layers=shape["decoder_layers"], decoder_attention_heads=shape["heads"], decoder_ffn_dim=4 * width,
            pad_token_id=TEXT, bos_token_id=TEXT, eos_token_id=TEXT, decoder_start_token_id=TEXT + 1,
            suppress_tokens=None, begin_suppress_tokens=None, max_target_positions=shape.get("positions", 448),
            max_source_positions=shape.get("frames", 1500),
        )
    ).eval()  # fmt: skip
    model.generation_config = GenerationConfig(
        lang_to_id=LANGUAGES, task_to_id=TASKS, is_multilingual=True, no_timestamps_token_id=TEXT + 8,
        prev_sot_token_id=TEXT + 6, suppress_tokens=SUPPRESSED, begin_suppress_tokens=SUPPRESSED_FIRST,
        max_initial_timestamp_index=MAX_INITIAL, decoder_start_token_id=TEXT + 1, eos_token_id=TEXT,
        bos_token_id=TEXT, pad_token_id=TEXT, max_length=448, alignment_heads=[[0, 0]],
    )  # fmt: skip
    return model
