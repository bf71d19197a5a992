"""Transcription with speakers: Whisper, speculative decoding and pyannote behind one Transcriber."""
