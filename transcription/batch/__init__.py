"""Archives of recordings, transcribed with Ray Data."""
