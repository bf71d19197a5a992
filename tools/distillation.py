"""What the distillations of the demo model and of other checkpoints share."""

from torch import nn
from transformers import WhisperForConditionalGeneration


def trained_modules(student: WhisperForConditionalGeneration) -> nn.ModuleList:
    """Return the layers and the last norm of the decoder; encoder and embeddings stay those of the main model."""
    decoder = student.model.decoder
    return nn.ModuleList([*decoder.layers, decoder.layer_norm])
