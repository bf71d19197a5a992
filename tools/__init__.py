"""How the demo models were made, start to end."""

from transcription.torchaudio_patch import mend_torchaudio

mend_torchaudio()  # before any module here imports transformers or pyannote.audio
