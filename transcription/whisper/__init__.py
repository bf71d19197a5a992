"""What every engine knows of a Whisper checkpoint: loading, tokens, alignment, capabilities."""
