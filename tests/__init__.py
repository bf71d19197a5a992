"""Tests. torchaudio is patched before a test imports transformers."""

from transcription.torchaudio_patch import patch_torchaudio

patch_torchaudio()
