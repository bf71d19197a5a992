"""What every engine knows of a Whisper checkpoint: loading, tokens, alignment, capabilities."""

from transcription.torchaudio_patch import mend_torchaudio

mend_torchaudio()  # before transformers is imported
