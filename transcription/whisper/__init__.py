"""What every engine knows of a Whisper checkpoint: loading, tokens, alignment, capabilities."""

from transcription.torchaudio_patch import patch_torchaudio

patch_torchaudio()  # before transformers is imported
