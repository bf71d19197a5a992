"""The commands: transcribe, transcribe-server, transcribe-archive."""
